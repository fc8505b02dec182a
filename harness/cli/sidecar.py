"""`harness sidecar`: the same commands as `python -m recorders.sidecar`, with this folder's log."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import msgspec

from harness.cli.doors import map_
from harness.cli.finite import Finite
from harness.cli.output import emit, folder_option, json_option, one_line

if TYPE_CHECKING:
    from recorders.sidecar.settings import Settings

config_option = click.option(
    "--config", type=click.Path(dir_okay=False, path_type=Path), help="The sidecar's settings in TOML."
)


def timeout_option(seconds: float) -> Callable[[Any], Any]:
    """Return the option that bounds how long a command may take."""
    return click.option(
        "--timeout",
        type=Finite(min=0),
        default=seconds,
        show_default=True,
        help="In seconds.",
    )


@click.group()
def sidecar() -> None:
    """Run and look after the recorder's sidecar."""


sidecar.add_command(map_)


@sidecar.command("run")
@config_option
@folder_option
def run(config: Path | None, folder: Path | None) -> None:
    """Take frames from services, keep them on disk, ship them into the log."""
    from recorders.sidecar import commands
    from recorders.sidecar.logs import write_json_lines

    write_json_lines()
    with _settings(config, folder, log=True) as settings:
        commands.run(settings)


@sidecar.command("status")
@config_option
@folder_option
@json_option
def status(config: Path | None, folder: Path | None, json: bool) -> None:
    """Show what the running sidecar knows of itself."""
    from recorders.sidecar import commands

    with _settings(config, folder) as settings:
        found = commands.status(settings)
    emit(found, json=json, text=lambda: _status(found))


@sidecar.command("drain")
@config_option
@folder_option
@timeout_option(60.0)
@json_option
def drain(config: Path | None, folder: Path | None, timeout: float, json: bool) -> None:
    """Let the running sidecar take no more, ship all, and end."""
    from recorders.sidecar import commands

    with _settings(config, folder) as settings:
        found = commands.drain(settings, timeout_s=timeout)
    emit(found, json=json, text="Drained: the log has all that the sidecar had.")


@sidecar.command("ship")
@config_option
@folder_option
@timeout_option(60.0)
@click.option("--from", "again_from", type=int, help="Ship again from this batch on. Doubles nothing.")
@click.option("--new-writer", is_flag=True, help="After a fork whose other side is gone. May repeat events.")
@json_option
def ship(**given: Any) -> None:
    """Ship what a stopped sidecar left in its spool."""
    from recorders.sidecar import commands
    from recorders.sidecar.logs import write_json_lines

    if given["json"]:
        write_json_lines()
    with _settings(given["config"], given["folder"], log=True) as settings:
        found = commands.ship(
            settings,
            timeout_s=given["timeout"],
            again_from=given["again_from"],
            new_writer=given["new_writer"],
        )
    shipped = found["ship"]
    text = f"Shipped {shipped['batches']} batches, {shipped['events']} events. The log has all."
    emit(found, json=given["json"], text=text)


@sidecar.command("receipts")
@config_option
@folder_option
@click.option("--json", is_flag=True, help="Write an error as JSON too.")
def receipts(config: Path | None, folder: Path | None, json: bool) -> None:
    """Print what the log answered for the last batches, a JSON object a line: harness log check-receipts."""
    del json  # it is JSON always; the shell looks for the word where it tells an error
    from recorders.sidecar import commands

    with _settings(config, folder) as settings:
        for one in commands.receipts(settings):
            click.echo(one_line(one))


@sidecar.command("inspect")
@config_option
@folder_option
@json_option
def inspect(config: Path | None, folder: Path | None, json: bool) -> None:
    """Show what the spool's files hold. Changes nothing; the sidecar may run or not."""
    from recorders.sidecar import commands

    with _settings(config, folder) as settings:
        found = commands.inspect(settings)
    emit(found, json=json, text=lambda: _files(found))


@contextlib.contextmanager
def _settings(config: Path | None, folder: Path | None, *, log: bool = False) -> "Iterator[Settings]":
    """Yield the settings; with `log`, the address of the folder's log if the environment names none."""
    from harness.cli.experiment import opened
    from recorders.sidecar.settings import load

    settings = load(config)
    if folder is not None and not settings.path.is_absolute():
        settings = msgspec.structs.replace(settings, folder=str(folder / settings.path))
    if settings.url or not log:
        yield settings
        return
    with opened(folder) as found:
        yield msgspec.structs.replace(settings, url=found.url)


def _status(found: dict[str, Any]) -> str:
    spool, ship, disk = found["spool"], found["ship"], found["disk"]
    reason = f": {ship['reason']}" if ship["reason"] else ""
    clock = found.get("clock", {}).get("steps", 0)  # what runs may be older than this command
    keys = found.get("keys", {"held": 0})
    aside = found.get("quarantine", {}).get("files", 0)
    told = f"{keys['held']} frames went back to their services, which keep them; the last"
    return "\n".join(
        (
            f"kept       {spool['frames']} frames, {spool['events']} events of {spool['writers']} writers",
            f"disk       {disk['refusal'] or 'takes frames'}; {disk['used_bytes']} bytes used",
            f"shipping   {ship['state']}{reason}; {ship['waiting']} batches wait",
            f"shipped    {ship['batches']} batches, {ship['events']} events into log {ship['log_id'] or '-'}",
            *([f"aside      {aside} files in quarantine/: see harness sidecar inspect"] if aside else []),
            *([f"keys       {told} {keys['ago_s']:.0f} s ago: {keys['why']}"] if keys["held"] else []),
            *(
                [f"clock      set {clock} times since the start, by {found['clock']['set_s']:+.0f} s"]
                if clock
                else []
            ),
        )
    )


def _files(found: dict[str, Any]) -> str:
    lines = []
    for file in found["files"]:
        held = f"{file.get('frames', file.get('batches', '?'))} of {file.get('events', '?')} events"
        state = file["damage"] or "whole"
        lines.append(f"{file['file']:<22}{file['bytes']:>12} bytes  {held:<28}{state}")
    lines += [f"quarantine/{name}" for name in found["quarantine"]]
    return "\n".join(lines) or "The spool is empty."
