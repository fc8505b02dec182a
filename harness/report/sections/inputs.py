"""Inputs: what monitors of the decision point said last, the column that matters most first."""

from harness.report import numbers as n
from harness.report.data import ReportData
from harness.report.figure import absent, caption, heading
from harness.report.figures import WatchedInputs
from harness.report.markup import Markup, tag
from harness.report.sections.frame import section

_NONE = (
    "No monitor had judged a day of this decision point at this position. One is registered with “harness "
    "monitor register”."
)
_CHANGE = "nothing: no gate reads what monitors say, and drift alone retrains nothing."


def inputs(data: ReportData) -> Markup:
    """Return the section."""
    if not data.inputs:
        said = "No monitor had judged a day of this decision point at this position."
        return section(
            "inputs", "Inputs", absent(f"{said} One is registered with “harness monitor register”.")
        )
    rail = (
        "The newest day that each monitor has judged.",
        "Ordered by importance to the model times the movement beyond what matters.",
    )
    return section("inputs", "Inputs", *(_figure(each) for each in data.inputs), rail=rail)


def _figure(found: WatchedInputs) -> Markup:
    rows = [
        tag(
            "tr",
            tag("th", row.name, scope="row"),
            tag("td", tag("b", row.answer) if row.answer in ("broken", "drift") else row.answer),
            tag("td", row.reason.removeprefix(f"{row.name}: "), class_="q"),
        )
        for row in found.rows
    ]
    table = tag("table", tag("tbody", *rows), class_="kv beside")
    title = heading(f"{found.monitor}: {found.answer}", f"{found.day}, {n.count(found.decisions)} decisions")
    return tag("figure", title, table, caption(_finding(found), _CHANGE))


def _finding(found: WatchedInputs) -> str:
    moved = sum(row.answer in ("broken", "drift") for row in found.rows)
    whole = len(found.rows) + found.left
    said = f"{moved} of {whole} rows are broken or moved by more than chance and by enough to matter."
    if found.left:
        said += f" {found.left} more are in “harness monitor show {found.monitor}”."
    if found.encrypted:
        said += f" Kept encrypted, so not watched: {', '.join(found.encrypted)}."
    return said
