"""Slices: who loses although the average wins."""

from harness.report import numbers as n
from harness.report.charts.slices import MOST_ROWS, forest
from harness.report.data import ReportData
from harness.report.figure import absent, caption
from harness.report.figures import Absent, Slices
from harness.report.markup import Markup, tag
from harness.report.sections.frame import section


def slices(data: ReportData) -> Markup:
    """Return the section."""
    found = data.slices
    if isinstance(found, Absent) or data.last is None:
        words = found.sentence if isinstance(found, Absent) else "Slices come with the first look."
        return section("slices", "Slices", absent(words))
    table = forest(found, metric=data.metric, overall=data.last, level=data.plan.level)
    shown = tag("figure", table, caption(_finding(data, found), _change(data)))
    rail = (
        f"{data.metric.difference} in each registered slice. {found.correction}",
        "Filled: separated from 0. Open: not. Shaded: all decisions.",
    )
    return section("slices", "Slices", shown, rail=rail)


def _finding(data: ReportData, found: Slices) -> str:
    worse = [row for row in found.rows if row.state == "worse"]
    hidden = len(found.rows) - MOST_ROWS
    rest = f" {hidden} more slices are in the machine-readable form." if hidden > 0 else ""
    if not worse:
        better = sum(row.state == "better" for row in found.rows)
        share = f"{better} of {len(found.rows)}"
        return f"No slice is predicted worse after correction; {share} are predicted better.{rest}"
    named = ", ".join(
        f"{row.name} (by {n.plain(abs(row.difference), data.metric.decimals)}, {n.count(row.used)} decisions)"
        for row in worse[:3]
    )
    return f"Predicted worse after correction: {named}.{rest}"


def _change(data: ReportData) -> str:
    if any("slice" in gate.name.lower() for gate in data.gates):
        return "a registered slice beyond its limit."
    return "nothing: slices are report-only in this policy."
