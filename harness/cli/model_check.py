"""`harness model check`: the findings as a table or as JSON, and an exit code."""

import sys
from pathlib import Path
from typing import Any

import click

from harness.cli.finite import Finite
from harness.cli.log import opened
from harness.cli.output import emit, folder_option, json_option
from harness.cli.places import names, range_of, range_options

FAILED = 20
MARKS = {"pass": "✓", "warn": "!", "fail": "✗"}
CLAIMS = {
    "bit": "its scores are the same bits in any cut, place and process",
    "digits": "its scores agree to twelve digits in any place of a block; in canonical blocks, to the bit",
    "nothing": "its scores may differ from run to run",
}


@click.command()
@click.argument("name", metavar="URI|NAME:VERSION")
@range_options
@click.option("--rows", type=click.IntRange(8), default=2_048, show_default=True, help="Rows to try it on.")
@click.option("--inputs", help="Features it wants, comma-separated. Default: what the model says itself.")
@click.option(
    "--trained-until",
    metavar="PLACE",
    help="Last position or time that its training saw. Of a registered model it is known.",
)
@click.option(
    "--timeout",
    type=Finite(0, min_open=True),
    metavar="SECONDS",
    help="Longest time for a block of 1,024 rows.",
)
@click.option("--memory", type=int, metavar="MB", help="Most memory that the model may use.")
@folder_option
@json_option
def check(name: str, rows: int, inputs: str | None, folder: Path | None, json: bool, **given: Any) -> None:
    """Try a model on recorded rows and on odd ones: exit 0, or 20 when it fails.

    It is asked twice, in another process, in other cuts, orders and company, with rows that nobody
    recorded; what it costs, keeps and tries beside is measured. A registered model's findings are kept
    in the log.
    """
    from harness.challengers import limits_of
    from harness.model_check import Question
    from harness.model_check import check as checked

    point, wanted = given["decision_point"], names(inputs)
    limits = limits_of(folder, timeout=given["timeout"], memory=given["memory"])
    with opened(folder) as log:
        first, after = range_of(log, point, given["start"], given["stop"])
        inputs_named = None if wanted is None else tuple(wanted)
        question = Question(name, point, first, after, rows, inputs_named, given["trained_until"])
        found = checked(log, question, folder=folder, limits=limits)
    lines = [f"{MARKS[each.state]} {each.check:<18} {each.found}" for each in found.findings]
    lines.append(f"On {found.rows:,} decisions of {point}: {CLAIMS[found.claim]}.")
    data = {field: getattr(found, field) for field in found.__struct_fields__}
    emit(data | {"state": found.state}, json=json, text="\n".join(lines))
    if found.state == "fail":
        sys.exit(FAILED)
