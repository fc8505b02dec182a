"""What was counted: the denominator, when outcomes arrive, and how much the missing ones could matter."""

from harness.report import numbers as n
from harness.report.charts.coverage import coverage_table
from harness.report.charts.maturity import maturity_chart
from harness.report.charts.missing import cases, missing_chart
from harness.report.data import ReportData
from harness.report.figure import Table, absent, caption, figure, heading, pair
from harness.report.figures import Absent, Maturity, Stage
from harness.report.markup import Markup, join, tag, text
from harness.report.sections.frame import section

_IDENTIFIED = {
    "direct": "Whether an outcome is missing does not depend on either model: identification ",
    "logged_action": "The outcome depends on the action, whose probability is logged: identification ",
    "blocked": "The outcome of an action that was not taken is never seen: identification ",
}


def counted(data: ReportData) -> Markup:
    """Return the section."""
    way = data.metric.identification
    rail = (
        join([text(_IDENTIFIED[way]), tag("b", way.replace("_", " ")), text(".")]),
        "A decision never leaves without a reason.",
    )
    if isinstance(data.coverage, Absent):
        top = absent(data.coverage.sentence)
    else:
        top = tag("figure", coverage_table(data.coverage), caption(_finding(data.coverage), _change(data)))
    return section(
        "counted", "What was counted", top, pair(_maturity(data), _missing(data), spaced=True), rail=rail
    )


def _finding(stages: tuple[Stage, ...]) -> str:
    total = n.count(stages[0].kept)
    reasons = [(count, reason) for stage in stages for reason, count in stage.left if count]
    said = f"Every decision is used or left for a named reason; the counts add up to {total}."
    if not reasons:
        return said
    most, reason = max(reasons)
    return f"{said} Most of those that left: {reason} ({n.count(most)})."


def _change(data: ReportData) -> str:
    for gate in data.gates:
        if "coverage" in gate.name.lower() and gate.limit is not None:
            return f"a coverage below {n.percent_tight(gate.limit)}."
    return "missing outcomes that depend on the decision (NOT_IDENTIFIABLE)."


def _maturity(data: ReportData) -> Markup:
    maturity = data.maturity
    if isinstance(maturity, Absent):
        return absent(maturity.sentence, title=heading("When outcomes arrive"))
    qualifier = join([text("label "), tag("code", maturity.label)])
    window = n.duration(maturity.window_hours)
    said = (
        f"A decision counts only at age {window}, however early its outcome came, "
        "so quick outcomes are not over-represented."
    )
    if not maturity.curve:
        said = f"No outcome has arrived yet; a decision counts at age {window}."
    elif maturity.never > 0:
        late = " in time" if maturity.late else ""
        said += f" {n.percent_fine(maturity.never)} of mature decisions have none{late}."
    return figure(
        maturity_chart(maturity),
        title=heading("When outcomes arrive", qualifier),
        finding=said,
        change="nothing by itself: late and missing outcomes count against the coverage above.",
        table=_arrivals(maturity) if maturity.curve else None,
    )


def _arrivals(maturity: Maturity) -> Table:
    """Return the curve in at most nine rows."""
    rows = []
    for part in range(1, 9):
        hours = maturity.window_hours * part / 8
        known = [share for age, share in maturity.curve if age <= hours + 1e-9]
        rows.append((n.duration(hours), n.percent(known[-1] if known else 0.0)))
    return Table("Outcomes known by age", ("Age", "Share known"), rows)


def _missing(data: ReportData) -> Markup:
    title = heading("If the missing outcomes were known", data.metric.difference)
    missing = data.missing
    if isinstance(missing, Absent) or data.last is None:
        words = missing.sentence if isinstance(missing, Absent) else "Comes with the first look."
        return absent(words, title=title)
    places = data.metric.decimals
    return figure(
        missing_chart(missing, metric=data.metric, observed=data.last),
        title=title,
        finding=(
            "The first row is the result. The others assume that each of the "
            f"{n.count(missing.outcomes)} missing outcomes went against the challenger, or for it; "
            "both scores are known, so these are the extremes."
        ),
        change=_missing_change(data),
        table=Table(
            "Worst and best case",
            ("Case", "Difference"),
            [(label, n.signed(value, places)) for label, value in cases(missing, data.last)],
        ),
    )


def _missing_change(data: ReportData) -> str:
    limit = data.metric.limit
    if limit is None:
        return "nothing by itself; it is how far the missing outcomes could move the result."
    return (
        "nothing by itself; a worst case on the far side of "
        f"{n.signed(limit, data.metric.decimals)} says that it rests on outcomes that were never seen."
    )
