"""`harness schedule`: run what harness.toml lists when it is due."""

import signal
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.experiment import opened
from harness.cli.finite import Finite
from harness.cli.output import emit, folder_option, json_option, to_json

if TYPE_CHECKING:
    from harness.schedule_file import Schedule
    from harness.scheduler import Run, Runner


@click.group()
def schedule() -> None:
    """Take looks when they are due."""


@schedule.command("list")
@folder_option
@json_option
def list_(folder: Path | None, json: bool) -> None:
    """List the schedules of harness.toml with their last and next runs."""
    from harness.config import Config
    from harness.schedule_file import read_schedules
    from harness.scheduler import WallClock, history

    now = WallClock().now()
    with opened(folder) as log:
        rows = []
        for each in read_schedules(Config.load(folder)):
            ends = history(log, each.name)
            rows.append({"schedule": each, "next": each.next_slot(now), "last": ends[-1] if ends else None})
    emit(rows, json=json, text=lambda: "\n".join(map(_row, rows)) or "harness.toml lists no [[schedule]].")


def _row(row: dict[str, Any]) -> str:
    each, last = row["schedule"], row["last"]
    times = f"every {each.every}" if each.every else f"cron {each.cron} {each.timezone}"
    ended = "never ran" if last is None else f"{last.type.partition('.')[2]} {last.body['slot']}"
    about = f"{each.job:<10}{each.experiment or '-':<24}{times:<28}"
    return f"{each.name:<20}{about}next {_when(row['next'])}  {ended}"


def _when(instant: datetime | None) -> str:
    return "never" if instant is None else instant.isoformat()


@schedule.command()
@click.option(
    "--sweep",
    type=Finite(0.1),
    default=30.0,
    show_default=True,
    help="Seconds between searches for missed runs.",
)
@folder_option
@json_option
def serve(sweep: float, folder: Path | None, json: bool) -> None:
    """Run all schedules until SIGTERM; the current job is finished first."""
    _serve(_schedules(folder, None), folder, sweep_s=sweep, json=json)


@schedule.command()
@click.argument("name")
@click.option("--once", is_flag=True, help="Run the slot that is due now, then end.")
@click.option(
    "--sweep",
    type=Finite(0.1),
    default=30.0,
    show_default=True,
    help="Seconds between searches for missed runs.",
)
@folder_option
@json_option
def run(*, name: str, once: bool, sweep: float, folder: Path | None, json: bool) -> int:
    """Run the schedule NAME alone. Exit code 1 when its job fails."""
    schedules = _schedules(folder, name)
    if not once:
        _serve(schedules, folder, sweep_s=sweep, json=json)
        return 0
    done = _runner(folder).run_due(schedules[0])
    emit(done, json=json, text=_run_text(done))
    return 1 if done.state == "failed" else 0


def _schedules(folder: Path | None, name: str | None) -> "Sequence[Schedule]":
    from harness.config import Config
    from harness.errors import NotFound, UsageError
    from harness.schedule_file import read_schedules

    found = read_schedules(Config.load(folder))
    if name is not None:
        chosen = [each for each in found if each.name == name]
        if not chosen:
            raise NotFound("schedule", name, [each.name for each in found])
        return chosen
    if not found:
        raise UsageError(
            "harness.toml lists no [[schedule]].",
            "Expected at least one.",
            "See docs/experiments.md for the keys.",
        )
    return found


def _runner(folder: Path | None) -> "Runner":
    from harness.schedule_jobs import jobs
    from harness.scheduler import Runner, WallClock

    return Runner(lambda: opened(folder), jobs(folder), WallClock())


def _serve(schedules: "Sequence[Schedule]", folder: Path | None, *, sweep_s: float, json: bool) -> None:
    from harness.schedule_server import serve

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stop.set())
    click.echo(f"Serving {len(schedules)} of harness.toml. SIGTERM ends it after the current job.", err=True)
    with opened(folder):  # an embedded server is kept between the runs
        serve(
            schedules,
            _runner(folder),
            stop,
            report=lambda done: click.echo(to_json(done) if json else _run_text(done)),
            sweep_s=sweep_s,
        )


def _run_text(done: "Run") -> str:
    slot = "" if done.slot is None else f" {done.slot.isoformat()}"
    kept = "" if done.position is None else f" at position {done.position}"
    detail = "".join(f", {key.replace('_', ' ')} {value}" for key, value in done.detail.items())
    return f"{done.schedule}{slot} {done.state}{kept}{detail}"
