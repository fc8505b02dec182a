"""`harness monitor`: register a watch on inputs, scores and outcomes, run it, show and explain it."""

from datetime import datetime
from pathlib import Path

import click

from harness.cli.experiment import opened
from harness.cli.output import emit, folder_option, json_option

_FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
_NAME = click.argument("name", metavar="ID")


@click.group()
def monitor() -> None:
    """Watch quality, drift and live losses, day by day."""


@monitor.command()
@_FILE
@json_option
def lint(file: Path, json: bool) -> None:
    """Check FILE and name all of its faults at once."""
    from harness.monitor.file import read_monitor

    found = read_monitor(file)
    body = {"file": str(file), "monitor": found.id, "digest": found.digest, "faults": 0}
    emit(body, json=json, text=f"{file}: no fault.\ndigest {found.digest}")


@monitor.command()
@_FILE
@click.option("--dry-run", is_flag=True, help="Check everything, register nothing.")
@folder_option
@json_option
def register(file: Path, dry_run: bool, folder: Path | None, json: bool) -> None:
    """Register FILE with the bins and limits that its reference shows: from now on they do not change."""
    from harness.monitor.file import read_monitor
    from harness.monitor.registered import check, register

    declared = read_monitor(file)
    with opened(folder) as log:
        if dry_run:
            body = check(log, declared)
            emit(body, json=json, text=f'"{declared.id}" can be registered. Nothing was stored.')
            return
        found = register(log, declared)
    text = (
        f'"{found.id}" is registered at position {found.event.position}; it watches '
        f"{len(found.inputs.features)} columns from {declared.reference.stop} on."
    )
    if found.encrypted:
        text += f"\nNot watched, since they are kept encrypted: {', '.join(found.encrypted)}."
    emit(found.event, json=json, text=text)


@monitor.command()
@_NAME
@click.option("--as-of", "as_of", default=None, help="A position or a time. Default: the end of the log.")
@click.option("--dry-run", is_flag=True, help="Judge, and store nothing.")
@folder_option
@json_option
def run(name: str, as_of: str | None, dry_run: bool, folder: Path | None, json: bool) -> int:
    """Judge each day of ID that is over, or has matured, and was not judged yet.

    Exit code: 0 ok, 10 not enough data, 20 drift or an alarm of losses, 30 broken data; the gravest counts.
    """
    from harness.monitor.run import EXIT_CODES, run, tell_time
    from harness.monitor.text import ran_text
    from harness.scheduler import WallClock

    with opened(folder) as log:
        if as_of is None and not dry_run:
            tell_time(log, name, WallClock().now())
        found = run(log, name, as_of, dry_run=dry_run, folder=folder)
    emit(found, json=json, text=lambda: ran_text(found))
    return EXIT_CODES[found.answer]


@monitor.command("list")
@folder_option
@json_option
def list_(folder: Path | None, json: bool) -> None:
    """List the registered monitors."""
    from harness.monitor.registered import list_monitors
    from harness.monitor.text import monitors_text

    with opened(folder) as log:
        found = list_monitors(log)
    emit([each.event for each in found], json=json, text=lambda: monitors_text(found))


@monitor.command()
@_NAME
@folder_option
@json_option
def show(name: str, folder: Path | None, json: bool) -> None:
    """Show what ID said last, and how its features and losses moved over the last days."""
    from harness.monitor.registered import get_monitor
    from harness.monitor.run import history
    from harness.monitor.text import monitor_text

    with opened(folder) as log:
        found = get_monitor(log, name)
        inputs, outcomes = history(log, name)
    data = {"registered": found.event, "inputs": inputs, "outcomes": outcomes}
    emit(data, json=json, text=lambda: monitor_text(found, inputs, outcomes))


@monitor.command()
@_NAME
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]))
@folder_option
@json_option
def explain(name: str, day: datetime, folder: Path | None, json: bool) -> None:
    """Judge DAY of ID again from the log alone, and compare every byte. Exit code 40 when one differs."""
    from harness.monitor.run import explain

    with opened(folder) as log:
        found = explain(log, name, day.date())
    said = "\n".join(
        f"  {body['answer']}" + "".join(f"\n    {why}" for why in body["reasons"]) for body in found
    )
    text = f"{name}, {day.date()}: the log gives the same bytes for {len(found)} answers.\n{said}"
    emit(found, json=json, text=text)


@monitor.command()
@_NAME
@click.argument("day", type=click.DateTime(["%Y-%m-%d"]))
@click.option("--without", "without", multiple=True, metavar="HOUR", help="Take this hour out; repeatable.")
@folder_option
@json_option
def hours(name: str, day: datetime, without: tuple[str, ...], folder: Path | None, json: bool) -> int:
    """Show DAY of ID by the hour, and what it would say without some of them. Nothing is stored.

    HOUR is a name from the first column. Exit code: as `run`.
    """
    from harness.monitor.run import EXIT_CODES, hours
    from harness.monitor.text import hours_text

    with opened(folder) as log:
        found = hours(log, name, day.date(), without=without, folder=folder)
    emit(found, json=json, text=lambda: hours_text(found))
    return EXIT_CODES[found["answer"]]
