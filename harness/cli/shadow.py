"""`harness shadow`: score challengers while the log grows, each decision once."""

import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.experiment import opened
from harness.cli.finite import Finite
from harness.cli.output import emit, folder_option, json_option, to_json

if TYPE_CHECKING:
    from harness.log.log import Log
    from harness.tail.status import TailStatus
    from harness.tail.targets import Target
    from harness.tail.worker import Pace

WAIT_S = 0.2


@click.group()
def shadow() -> None:
    """Score challengers while the log grows."""


def _targets(command: Any) -> Any:
    """Add EXPERIMENTS, or --model with --decision-point and --from, to a command."""
    for option in (
        click.option(
            "--from", "start", default=None, metavar="POSITION", help="With --model: where it begins."
        ),
        click.option("--decision-point", "-d", default=None, help="With --model: where decisions are made."),
        click.option("--model", default=None, metavar="NAME:VERSION", help="One model, without experiment."),
        click.argument("experiments", nargs=-1, metavar="[EXPERIMENT]..."),
    ):
        command = option(command)
    return command


@shadow.command()
@_targets
@click.option(
    "--shed-after",
    type=click.IntRange(1),
    default=None,
    metavar="POSITIONS",
    help="Leave out what waits when it is more than that; counted in the log. Default: never.",
)
@click.option(
    "--linger",
    type=Finite(0, 10),
    default=0.01,
    show_default=True,
    help="Seconds between small steps.",
)
@click.option("--poll", type=Finite(0.01, 60), default=0.5, show_default=True, help="Seconds without a hint.")
@folder_option
@json_option
def start(
    *, shed_after: int | None, linger: float, poll: float, folder: Path | None, json: bool, **named: Any
) -> int:
    """Follow the log until SIGTERM, or until all that is followed has ended.

    Names EXPERIMENTS: each one's challenger (and its champion, if the plan scores that again) from the first
    position of its window on. What replays have scored already is left out. Started twice, the second one
    waits and takes over when the first one ends, however it ends. Exit code 1 when a model could not go on.
    """
    from harness.tail.worker import Pace

    return _serve(folder, named, Pace(poll_s=poll, linger_s=linger, shed_after=shed_after), json=json)


@shadow.command()
@_targets
@folder_option
@json_option
def drain(*, folder: Path | None, json: bool, **named: Any) -> int:
    """Score all that waits up to the present end of the log, then end: here, or where it is followed."""
    from harness.log.points import check_point
    from harness.tail.status import tails_of
    from harness.tail.tails import ask
    from harness.tail.worker import Pace

    with opened(folder) as log:
        head = log.head().position
        check_point(log, named["decision_point"])  # nothing waits where nothing was recorded
        for tail in tails_of(log, _keys(log, named)):
            ask(log, tail.id, "drain")
    return _serve(folder, named, Pace(until=head), json=json)


@shadow.command()
@_targets
@folder_option
@json_option
def stop(*, folder: Path | None, json: bool, **named: Any) -> None:
    """Ask whoever follows them to stop now; what was scored is kept, and "start" goes on from there."""
    from harness.tail.status import tails_of
    from harness.tail.tails import ask

    with opened(folder) as log:
        found = tails_of(log, _keys(log, named))
        asked = [
            {"tail": tail.id, "model": tail.model, "position": ask(log, tail.id, "stop")} for tail in found
        ]
    text = "\n".join(f"asked {each['model']} to stop" for each in asked) or "Nothing of it was ever followed."
    emit(asked, json=json, text=text)


@shadow.command()
@folder_option
@json_option
def status(folder: Path | None, json: bool) -> None:
    """Show each tail: how far it is, how far behind, what failed and what was left out."""
    from harness.tail.status import status as found_of

    with opened(folder) as log:
        found = found_of(log)
    text = (
        "\n".join([_HEADER, *map(_row, found)])
        if found
        else 'No tail yet. Begin one: "harness shadow start".'
    )
    emit(found, json=json, text=text)


_HEADER = (
    f"{'model':<22}{'decision point':<20}{'through':>12}{'behind':>10}"
    f"{'rows':>12}{'failed':>8}{'shed':>8}  state"
)


def _row(found: "TailStatus") -> str:
    state = found.reason or "not followed: its worker ended without a word"
    if found.followed:
        waits = "" if found.reason is None else f", waits ({found.reason.removeprefix('ended: ')})"
        state = f"followed by {found.worker or 'a worker that has yet to say who it is'}{waits}"
    return (
        f"{found.model:<22}{found.decision_point:<20}{found.through:>12,}{found.behind:>10,}{found.rows:>12,}"
        f"{found.failed:>8,}{found.shed:>8,}  {state}, {found.behind_s:.1f} s behind"
    )


def _serve(folder: Path | None, named: dict[str, Any], pace: "Pace", *, json: bool) -> int:
    from harness.log.places import check_range
    from harness.tail.worker import serve

    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopping.set())

    def told(target: "Target", text: str) -> None:
        said = {"model": target.model, "decision_point": target.decision_point, "said": text}
        click.echo(to_json(said) if json else f"{target.name} {text}")

    with opened(folder) as kept:  # an embedded server is kept between the threads
        head = kept.head().position
        for target in _chosen(kept, named):  # what is not there is said at once
            check_range(target.start, target.start, head)
        failed = serve(
            lambda: opened(folder),
            lambda log: _chosen(log, named),
            stopping,
            told=told,
            pace=pace,
            folder=folder,
        )
    return 1 if failed else 0


def _keys(log: "Log", named: dict[str, Any]) -> list[tuple[str, str, int]]:
    return [(target.model, target.decision_point, target.start) for target in _chosen(log, named)]


def _chosen(log: "Log", named: dict[str, Any]) -> "Sequence[Target]":
    from harness.errors import UsageError
    from harness.models import get_model
    from harness.tail.targets import Target, of_experiment

    model, point, start = named["model"], named["decision_point"], named["start"]
    if bool(named["experiments"]) == bool(model) or (model and not (point and start)):
        raise UsageError(
            "What to follow is not said, or said twice.",
            "Expected names of experiments, or --model with --decision-point and --from.",
            'See "harness experiment list" for what is registered.',
        )
    if model:
        get_model(log, model)
        return [Target(model, point, _position(start))]
    return [target for name in named["experiments"] for target in of_experiment(log, name)]


def _position(text: str) -> int:
    from harness.errors import UsageError

    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise UsageError(f"{text!r} is no position.", "Expected a whole number from 1 on.", "Write --from 1.")
    return int(text)
