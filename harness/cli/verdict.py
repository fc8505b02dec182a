"""`harness verdict`: show what was decided, recompute it from the log, approve it."""

from pathlib import Path

import click

from harness.cli.experiment import opened
from harness.cli.output import emit, folder_option, json_option

_PLACE = click.argument("place", metavar="EXPERIMENT|POSITION")
_LOOK = click.option(
    "--look", "number", type=click.IntRange(1), default=None, help="Which look. Default: the newest."
)


@click.group()
def verdict() -> None:
    """Show and recompute verdicts."""


@verdict.command()
@_PLACE
@_LOOK
@folder_option
@json_option
def show(place: str, number: int | None, folder: Path | None, json: bool) -> None:
    """Show a stored look with its verdict, gates and figures."""
    from harness.cli.experiment_text import look_text, lost_lines
    from harness.experiment_status import saw_whole_window
    from harness.experiments import get_experiment
    from harness.verdicts import find_look, lost_verdicts

    with opened(folder) as log:
        taken = find_look(log, place, number)
        over = saw_whole_window(log, get_experiment(log, taken.look.experiment), taken.look)
        lost = lost_verdicts(log, taken.look.experiment)
    emit(
        {"position": taken.position, "look": taken.look, "invalid": lost},
        json=json,
        text=lambda: "\n".join([*lost_lines(lost), look_text(taken.look, taken.position, over=over)]),
    )


@verdict.command()
@_PLACE
@_LOOK
@folder_option
@json_option
def explain(place: str, number: int | None, folder: Path | None, json: bool) -> None:
    """Recompute a look and all before it from the log, and compare every byte.

    Exit code 40 when a stored look is not what the log gives: the first differing field is named.
    """
    from harness.cli.experiment_text import look_text, lost_lines
    from harness.experiment_status import saw_whole_window
    from harness.experiments import get_experiment
    from harness.verdicts import explain, lost_verdicts

    with opened(folder) as log:
        found = explain(log, place, number)
        lost = lost_verdicts(log, found.look.experiment)
        over = saw_whole_window(log, get_experiment(log, found.look.experiment), found.look)
    same = "1 look was" if found.looks == 1 else f"{found.looks} looks were"
    shown = "\n".join([*lost_lines(lost), look_text(found.look, found.position, over=over)])
    text = f"{shown}\n\n{same} recomputed from the log: every byte agrees."
    data = {
        "position": found.position,
        "recomputed": found.looks,
        "agrees": True,
        "look": found.look,
        "invalid": lost,
    }
    emit(data, json=json, text=text)


@verdict.command()
@click.argument("experiment")
@click.option("--by", required=True, help="Who approves.")
@click.option("-m", "--message", required=True, help="Why.")
@folder_option
@json_option
def approve(*, experiment: str, by: str, message: str, folder: Path | None, json: bool) -> None:
    """Approve the recorded PROMOTE of EXPERIMENT, and record the promotion."""
    from harness.verdicts import approve

    with opened(folder) as log:
        approval, promotion = approve(log, experiment, by=by, reason=message)
    body = promotion.body
    model = f"{body['model']}:{body['version']}"
    text = (
        f"Approved by {by} at position {approval.position}.\n"
        f"{model} is promoted at {body['decision_point']}, position {promotion.position}."
    )
    emit({"approval": approval, "promotion": promotion}, json=json, text=text)
