"""Evidence by look: the primary metric, the e-value behind the verdict, and what a naive test would say."""

import math
from itertools import pairwise

from harness.report import numbers as n
from harness.report.charts.bounds import bounds_chart
from harness.report.charts.evalues import evalue_chart, naive_state
from harness.report.charts.frame import NARROW, WIDE
from harness.report.charts.looks import looks_chart
from harness.report.data import Look, ReportData
from harness.report.figure import Table, absent, figure, heading
from harness.report.findings import NotIdentifiable
from harness.report.markup import Markup, tag
from harness.report.sections.frame import section


def evidence(data: ReportData) -> Markup:
    """Return the section; where outcomes are blocked the bounds stand in its place."""
    if isinstance(data.verdict.finding, NotIdentifiable):
        return _bounds(data, data.verdict.finding)
    first = figure(
        looks_chart(data, WIDE),
        looks_chart(data, NARROW),
        finding=_finding(data),
        change=_change(data),
        table=_table(data) if data.looks else None,
    )
    return section("looks", "Evidence by look", first, _evalues(data), rail=_rail(data))


def _rail(data: ReportData) -> tuple[str, ...]:
    if not data.looks:
        return (f"Primary metric; unit: {data.plan.unit_note}.", "The axes are those of the registered plan.")
    kind = "Exact at any number of looks" if data.plan.exact else "Asymptotic: valid with many units"
    last = data.looks[-1]
    notes = [f"Primary metric. {kind}; unit: {data.plan.unit_note}, {n.count(last.units)} so far."]
    if last.log_e is not None:
        needed = n.plain(data.plan.needed_e, 0)
        notes.append(f"e-value for {data.claim} {n.e_value(last.log_e)}; {needed} is needed.")
    return tuple(notes)


def _finding(data: ReportData) -> str:
    if not data.looks:
        count = len(data.plan.expected)
        looks = f"{count} planned look{'s' if count != 1 else ''}" if count else "the looks"
        margin = "the margin and " if data.metric.limit is not None else ""
        return f"The registered plan: {margin}{looks}. The results will be drawn on these axes."
    last = data.looks[-1]
    said = f"The paired {data.metric.difference} on the same decisions, at each look."
    if len(data.looks) == 1:
        said = f"The paired {data.metric.difference} on the same decisions, at the first look."
    return f"{said} {_where(data, last)}"


def _where(data: ReportData, last: Look) -> str:
    """Return where the last interval lies, in words."""
    if last.difference is None or last.low is None or last.high is None:
        return "There is no difference to give yet: no unit has closed with both scores and outcomes."
    if last.low == last.high:
        return "Every unit has the same difference, so the interval has no width."
    better = data.metric.direction == "lower"
    if last.low <= 0 <= last.high and last.superior:
        return (
            "The interval still holds 0: it is two-sided. That the challenger is better is shown "
            "by the e-value, which asks on one side alone."
        )
    if last.low <= 0 <= last.high:
        return "The interval still holds 0: neither model is shown to be better."
    if (last.high < 0) == better:
        return f"The interval lies wholly on the challenger’s side of 0{_since(data)}."
    return "The interval lies wholly on the champion’s side of 0."


def _since(data: ReportData) -> str:
    first = None
    for look in reversed(data.looks):
        if look.low is None or look.high is None or look.low <= 0 <= look.high:
            break
        first = look.number
    return "" if first is None or first == data.looks[-1].number else f" since look {first}"


def _change(data: ReportData) -> str:
    needed = n.plain(data.plan.needed_e, 0)
    match data.verdict.state:
        case "NONE":
            return f"not known before the first look; {needed} is the e-value it needs."
        case "PROMOTE":
            return f"nothing that comes later; without an e-value of {needed} at any look it would be HOLD."
        case "REJECT":
            return "nothing that comes later; a new experiment with another challenger starts a new count."
    needs = []
    if data.last is not None and data.last.used < data.plan.min_decisions:
        needs.append(f"{n.count(data.plan.min_decisions)} decisions used")
    if data.last is not None and data.last.units < data.plan.min_units and data.plan.unit != "decisions":
        needs.append(f"{n.count(data.plan.min_units)} {data.plan.unit}")
    with_these = f", with {' and '.join(needs)}," if needs else ""
    better = {"superiority": "better", "equivalence": "neither better nor worse"}.get(data.claim, "not worse")
    return f"an e-value of {needed} for “{better}”{with_these} gives PROMOTE; one for harm gives REJECT."


def _table(data: ReportData) -> Table:
    places = data.metric.decimals
    rows = [
        (
            str(look.number),
            n.day(look.time),
            n.count(look.position),
            n.count(look.used),
            n.count(look.units),
            _signed(look.difference, places),
            _signed(look.low, places),
            _signed(look.high, places),
            look.state,
        )
        for look in data.looks
    ]
    columns = (
        "Look",
        "Date",
        "Position",
        "Used",
        data.plan.unit.capitalize(),
        "Difference",
        "Lower",
        "Upper",
        "Verdict",
    )
    return Table(f"{data.metric.difference} at each look", columns, rows)


def _signed(value: float | None, places: int) -> str:
    return "none" if value is None else n.signed(value, places)


def _evalues(data: ReportData) -> Markup | None:
    if not any(look.log_e is not None for look in data.looks):
        return None
    naive = [look for look in data.looks if look.naive_z is not None]
    title = heading(
        "Strength of the evidence", "e-value, and the naive test beside it" if naive else "e-value"
    )
    rows = [
        (
            str(look.number),
            "none" if look.log_e is None else n.e_value(look.log_e),
            "none" if look.naive_z is None else n.signed(look.naive_z, 1),
            "none" if look.naive_z is None else naive_state(look.naive_z),
            look.state,
        )
        for look in data.looks
    ]
    table = Table(
        "E-value at each look, and the paired z over single decisions",
        ("Look", "E-value", "Naive z", "Naive test would say", "Verdict"),
        rows,
    )
    shown = figure(
        evalue_chart(data, WIDE),
        evalue_chart(data, NARROW),
        title=title,
        finding=_evalue_finding(data, naive),
        change=_evalue_change(data, naive=bool(naive)),
        table=table,
    )
    return tag("div", shown, class_="stack")


def _evalue_finding(data: ReportData, naive: list[Look]) -> str:
    needed = n.plain(data.plan.needed_e, 0)
    reached = next((look for look in data.looks if look.log_e is not None and _passes(data, look)), None)
    said = f"The e-value has not reached {needed} yet."
    if reached is not None:
        said = f"The e-value first reached {needed} at look {reached.number}."
    if not naive:
        return said
    calls = [(look.number, naive_state(look.naive_z or 0.0)) for look in naive]
    firm = [(number, state) for number, state in calls if state != "HOLD"]
    if not firm:
        return f"{said} A naive test would not have decided either."
    changes = [firm[0]]
    changes += [now for before, now in pairwise(firm) if now[1] != before[1]]
    story = ", then ".join(f"{state} at look {number}" for number, state in changes)
    return (
        f"{said} A paired z over single decisions, as if they were independent and looked at once, "
        f"would have said {story}. Decisions of one {_singular(data.plan.unit)} fall together, "
        "so that z is overconfident."
        if data.plan.unit != "decisions"
        else f"{said} A paired z read at every look as if it were the only one would have said {story}."
    )


def _evalue_change(data: ReportData, *, naive: bool) -> str:
    needed = n.plain(data.plan.needed_e, 0)
    leads = "REJECT" if data.claim == "harm" else "PROMOTE"
    said = f"an e-value of {needed}, at any look, counts from then on and leads to {leads}."
    return f"{said} The naive rows change nothing." if naive else said


def _singular(plural: str) -> str:
    return plural.removesuffix("s")


def _passes(data: ReportData, look: Look) -> bool:
    return look.log_e is not None and look.log_e >= math.log(data.plan.needed_e)


def _bounds(data: ReportData, finding: NotIdentifiable) -> Markup:
    title = "What the log allows"
    rail = ("Worst-case bounds; no model of the missing outcomes is assumed.",)
    if data.bounds is None:
        return section(
            "looks",
            title,
            absent("Bounds come with the first look that counts the blocked outcomes."),
            rail=rail,
        )
    drawings = [
        bounds_chart(data.bounds, metric=data.metric, finding=finding, width=width)
        for width in (WIDE, NARROW)
    ]
    said = (
        "The grey bar holds every difference that agrees with the log; "
        "more decisions of the same kind do not shorten it."
    )
    if data.bounds.planned is not None:
        said += " The dotted interval is what the named exploration would leave of it."
    limit = data.metric.limit
    above = "" if limit is None else f", wholly beyond {n.signed(limit, data.metric.decimals)} (REJECT)"
    rows = [
        (
            "what the log allows",
            n.signed(data.bounds.low, data.metric.decimals),
            n.signed(data.bounds.high, data.metric.decimals),
        )
    ]
    if data.bounds.planned is not None:
        low, high = data.bounds.planned
        rows.append(
            (
                "with exploration, planned",
                n.signed(low, data.metric.decimals),
                n.signed(high, data.metric.decimals),
            )
        )
    shown = figure(
        *drawings,
        finding=said,
        change=f"bounds wholly on the challenger’s side of 0 (PROMOTE){above}, or logged exploration.",
        table=Table(f"Bounds on the {data.metric.difference}", ("Case", "Lower", "Upper"), rows),
    )
    return section("looks", title, shown, rail=rail)
