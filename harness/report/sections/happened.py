"""What happened: the ranges of the log and the control events of the experiment, with their positions."""

from harness.report import numbers as n
from harness.report.charts.frame import NARROW, WIDE
from harness.report.charts.ranges import inclusive, overlapping, ranges_chart
from harness.report.data import Event, ReportData
from harness.report.figure import Table, figure
from harness.report.markup import Markup, tag
from harness.report.sections.frame import section

MOST_ROWS = 40


def ranges_figure(data: ReportData) -> Markup:
    """Return the figure of training and evaluated ranges."""
    spans = (
        ("champion trained", data.champion.trained),
        ("challenger trained", data.challenger.trained),
        ("evaluated", data.evaluated),
    )
    rows = [
        (name, "not declared", "") if span is None else (name, n.count(span[0]), n.count(span[1] - 1))
        for name, span in spans
    ]
    return figure(
        ranges_chart(data, WIDE),
        ranges_chart(data, NARROW),
        finding=_finding(data),
        change=_change(data),
        table=Table("Ranges of the log, both ends included", ("Range", "First", "Last"), rows),
    )


def _finding(data: ReportData) -> str:
    overlap = overlapping(data)
    if overlap is not None:
        return (
            f"The marked part of the challenger’s training range, {inclusive(overlap)}, "
            "lies inside the evaluated range."
        )
    ticks = "; the ticks are the looks." if data.looks else "."
    if data.challenger.trained is None:
        return f"The challenger’s training range is not declared{ticks}"
    if data.champion.trained is None:
        return f"The challenger was trained before the evaluated range{ticks}"
    return f"Both models were trained on positions before the evaluated range{ticks}"


def _change(data: ReportData) -> str:
    if overlapping(data) is not None and data.challenger.trained is not None:
        first = n.count(data.challenger.trained[1])
        return f"a new revision whose evaluated range starts at position {first} or later."
    return "an overlap of the challenger’s training and the evaluated range gives INVALID."


def happened(data: ReportData, *, with_ranges: bool = True) -> Markup:
    """Return the section; INVALID by overlap draws the ranges above, once."""
    rows = _rows(data.events)
    head = tag(
        "thead",
        tag(
            "tr",
            tag("th", "Position", scope="col", class_="n"),
            tag("th", "Time, UTC", scope="col"),
            tag("th", "Event", scope="col"),
            tag("th", "By", scope="col"),
        ),
    )
    table = tag("table", head, tag("tbody", *rows), class_="tl")
    shown = ranges_figure(data) if with_ranges else None
    return section(
        "happened", "What happened", shown, table, rail=("Control events of this experiment, from the log.",)
    )


def _rows(events: tuple[Event, ...]) -> list[Markup]:
    """Return at most forty rows: the first one, then the newest; how many lie between is said."""
    if len(events) <= MOST_ROWS:
        return [_row(event) for event in events]
    more = len(events) - MOST_ROWS + 1
    between = Event(None, None, f"and {n.count(more)} more in --json")
    newest = [_row(event) for event in events[-(MOST_ROWS - 2) :]]
    return [_row(events[0]), _row(between, word="…"), *newest]


def _row(event: Event, *, word: str = "next") -> Markup:
    position = word if event.position is None else n.count(event.position)
    # A log with the event clock stands at 1970 until its first event: that is no time of anything.
    when = "" if event.time is None or event.time.timestamp() == 0 else n.stamp(event.time)
    return tag(
        "tr",
        tag("th", position, scope="row", class_="n"),
        tag("td", when, class_="when"),
        tag("td", event.text),
        tag("td", event.actor, class_="q"),
        class_="next" if event.position is None else None,
    )
