"""The primary difference in each registered slice, as a table with one strip a row."""

from itertools import groupby
from typing import Literal

from harness.report import numbers as n
from harness.report.data import Look, Metric
from harness.report.figures import Slice, Slices
from harness.report.marks import gate_mark
from harness.report.markup import Markup, tag
from harness.report.scales import Linear, decimals, step

MOST_ROWS = 30
FEWEST_USED = 400
_ROW, _GROUP = 24, 32


def forest(slices: Slices, *, metric: Metric, overall: Look, level: str) -> Markup:
    """Return the table: all decisions first, then each group in the order given."""
    x = _scale(slices, metric, overall)
    everything = Slice(
        "",
        "All decisions",
        overall.used,
        overall.difference or 0.0,
        overall.low or 0.0,
        overall.high or 0.0,
        _state(overall, metric),
    )
    rows = [_row(everything, metric, overall, x, bold=True)]
    shown = slices.rows[:MOST_ROWS]
    for group, members in groupby(shown, key=lambda row: row.group):
        rows.append(_group(group, metric, overall, x))
        rows.extend(_row(member, metric, overall, x) for member in members)
    return tag("table", _head(metric, x, level), tag("tbody", *rows), class_="forest")


def _state(look: Look, metric: Metric) -> Literal["better", "worse", "not separated"]:
    if look.low is None or look.high is None or look.low <= 0 <= look.high:
        return "not separated"
    better = look.high < 0 if metric.direction == "lower" else look.low > 0
    return "better" if better else "worse"


def _scale(slices: Slices, metric: Metric, overall: Look) -> Linear:
    """Return the strip's scale in percent, from the slices with enough decisions to say something."""
    known = [row for row in slices.rows if row.used >= FEWEST_USED] or list(slices.rows)
    ends = [end for row in known for end in (row.low, row.high)]
    ends += [end for end in (overall.low, overall.high, metric.limit, 0.0) if end is not None]
    low, high = min(ends), max(ends)
    spare = (high - low) * 0.06 or 1.0
    return Linear(low - spare, high + spare, 0, 100)


def _head(metric: Metric, x: Linear, level: str) -> Markup:
    size = step(x.high - x.low, 6)
    labels = []
    for index, tick in enumerate(x.ticks(6)):
        quiet = "" if tick == 0 or index % 2 == 0 else " hide"
        words = "0" if tick == 0 else n.signed(tick, decimals(size))
        if 4 < x(tick) < 96:  # noqa: PLR2004 -- a label needs room inside the strip
            labels.append(tag("text", words, class_=f"s{quiet}", x=_at(x(tick)), y=26, text_anchor="middle"))
    better_left = metric.direction == "lower"
    sides = (
        ("challenger better", "champion better") if better_left else ("champion better", "challenger better")
    )
    labels.append(tag("text", sides[0], class_="s hide", x=0, y=11))
    labels.append(tag("text", sides[1], class_="s hide", x="100%", y=11, text_anchor="end"))
    strip = tag("svg", *labels, height=30, aria_hidden="true")
    return tag(
        "thead",
        tag(
            "tr",
            tag("th", "Slice", scope="col"),
            tag("th", "Used", scope="col", class_="n hide"),
            tag("th", "Difference", scope="col", class_="n"),
            tag("th", f"{level} confidence", tag("br"), "sequence", scope="col", class_="n hide"),
            tag("th", strip, scope="col", class_="strip"),
            tag("th", "After correction", scope="col", class_="hide"),
        ),
    )


def _group(name: str, metric: Metric, overall: Look, x: Linear) -> Markup:
    strip = tag("svg", *_ground(metric, overall, x, _GROUP), height=_GROUP, aria_hidden="true")
    empty = tag("td", class_="hide")
    return tag(
        "tr",
        tag("th", name, colspan=2, scope="rowgroup"),
        empty,
        empty,
        tag("td", strip, class_="strip"),
        empty,
        class_="grp",
    )


def _row(row: Slice, metric: Metric, overall: Look, x: Linear, *, bold: bool = False) -> Markup:
    name = tag("b", row.name) if bold else row.name
    return tag(
        "tr",
        tag("th", name, " ", tag("span", n.count(row.used), class_="sm only"), scope="row"),
        tag("td", n.count(row.used), class_="n hide"),
        tag("td", n.signed(row.difference, metric.decimals), class_="n"),
        tag("td", n.interval(row.low, row.high, metric.decimals), class_="n q hide"),
        tag("td", _strip(row, metric, overall, x), class_="strip"),
        tag("td", _word(row), class_="hide"),
    )


def _ground(metric: Metric, overall: Look, x: Linear, height: int) -> list[Markup]:
    """Return what runs through every row: the overall interval, zero and the margin."""
    shapes = []
    if overall.low is not None and overall.high is not None:
        left, right = x.clip(overall.low)[0], x.clip(overall.high)[0]
        shapes.append(tag("rect", class_="band", x=_at(left), width=_at(right - left), y=0, height=height))
    shapes.append(tag("line", class_="zero", x1=_at(x(0)), x2=_at(x(0)), y1=0, y2=height))
    if metric.limit is not None:
        at = _at(x(metric.limit))
        shapes.append(tag("line", class_="mar", x1=at, x2=at, y1=0, y2=height))
    return shapes


def _strip(row: Slice, metric: Metric, overall: Look, x: Linear) -> Markup:
    (low, under), (high, over) = x.clip(row.low), x.clip(row.high)
    middle = _ROW // 2
    shapes = _ground(metric, overall, x, _ROW)
    shapes.append(tag("line", class_="ci", x1=_at(low), x2=_at(high), y1=middle, y2=middle))
    for clipped, at, head in ((under, low, "M-2 0l7-4v8z"), (over, high, "M2 0l-7-4v8z")):
        if clipped:
            arrow = tag("path", class_="pt", d=head)
            shapes.append(tag("svg", arrow, x=_at(at), y=middle, width=8, height=8, overflow="visible"))
    open_ = row.state == "not separated"
    shapes.append(
        tag("circle", class_="ptw" if open_ else "pt", cx=_at(x.clip(row.difference)[0]), cy=middle, r="3.6")
    )
    return tag("svg", *shapes, height=_ROW, aria_hidden="true")


def _word(row: Slice) -> Markup:
    if row.state == "worse":
        return tag("span", gate_mark("fails", 10), "worse", class_="no")
    return tag("span", row.state, class_="q" if row.state == "better" else "sm")


def _at(percent: float) -> str:
    return f"{percent:.1f}%"
