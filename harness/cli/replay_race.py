"""`harness replay race`: challengers side by side, each until its own policy rejects it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from harness.cli.budgets import budget_options, meter_of
from harness.cli.log import opened
from harness.cli.output import emit, folder_option, json_option


@click.command()
@click.argument("experiments", nargs=-1, required=True, metavar="EXPERIMENT...")
@budget_options
@folder_option
@json_option
def race(experiments: tuple[str, ...], folder: Path | None, json: bool, **budget: Any) -> int:
    """Score the challengers of experiments over their windows, and stop each that its policy rejects.

    They share each pass over the decisions. After 65,536 positions of the window, and each time after twice
    as many, an experiment is looked at as of there: where it says REJECT, that look is stored and its
    challenger is asked no more; the others go on. Nothing else comes of it: look with "harness evaluate".

    Killed, or out of its budget (exit code 75), the same command goes on where it was. Else the exit code is
    0, or 1 when a challenger could not be scored.
    """
    from harness.cli.progress import progress
    from harness.race import race as run

    with opened(folder) as log, progress(None, "scoring", unit="positions") as done:
        found = run(log, experiments, folder=folder, progress=done, meter=meter_of(**budget))
    emit(found, json=json, text="\n".join(_lines(found)))
    return int(any(each.state == "failed" for each in found))


def _lines(found: Sequence[Any]) -> list[str]:
    lines = []
    for each in found:
        span = f"[{each.start}, {each.stop})"
        lines.append(f"{each.state:<9}{each.experiment:<24}{each.challenger:<24}{span}")
        lines += [f"         {reason}" for reason in each.reasons]
    stopped = [each.experiment for each in found if each.state == "stopped"]
    lines += [f'Record the verdict with "harness decide {name}".' for name in stopped]
    return lines
