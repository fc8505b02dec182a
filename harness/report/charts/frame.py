"""The frame of the difference over looks: its two scales, its limits, and the labels under it."""

from dataclasses import dataclass

from harness.report import numbers as n
from harness.report.data import Metric, ReportData
from harness.report.findings import TooFew
from harness.report.scales import Linear, decimals, step, symmetric
from harness.report.svg import Drawing

WIDE = 912
NARROW = 354
MOST_INTERVALS = 40
ROW_NAMES = 56  # px that "would say" needs


@dataclass(frozen=True, slots=True)
class Frame:
    """Pixel measures of one drawing: the plot's box and whether labels stand right of it."""

    width: int
    left: float
    right: float
    top: float
    bottom: float

    @property
    def wide(self) -> bool:
        """True where labels have a column of their own at the right."""
        return self.width == WIDE

    @property
    def view(self) -> str:
        """The class that shows this drawing on one kind of screen."""
        return "wide" if self.wide else "narrow"

    @property
    def across(self) -> tuple[float, float]:
        """The plot's extent in x."""
        return self.left, self.right


def frame(width: int) -> Frame:
    """Return the measures of the wide or the narrow drawing."""
    if width == WIDE:
        return Frame(WIDE, left=62, right=736, top=26, bottom=292)
    return Frame(NARROW, left=52, right=342, top=26, bottom=268)


def horizontal(data: ReportData, box: Frame) -> Linear:
    """Return the scale of matured decisions: from 0 to the most planned or seen."""
    seen = [look.used for look in data.looks]
    planned = [look.used for look in data.plan.expected]
    aim = projected(data)
    most = max([*seen, *planned, 0 if aim is None else aim.used, 1])
    return Linear(0, float(most), box.left, box.right - 10)


@dataclass(frozen=True, slots=True)
class Projection:
    """Where the registered minimum will be reached: in decisions used, in words, and about when."""

    used: int
    words: str
    by: str


def projected(data: ReportData) -> Projection | None:
    """Return the projection while too few have matured; days are projected at the decisions a day so far."""
    finding = data.verdict.finding
    if not isinstance(finding, TooFew) or data.last is None:
        return None
    used = finding.required
    if finding.noun != "decisions":
        used = round(data.last.used * finding.required / max(finding.matured, 1))
    by = "" if finding.by is None else f"about {n.day(finding.by)}"
    return Projection(used, f"{n.count(finding.required)} {finding.noun} matured", by)


def row_label(place: float, words: str, size: float) -> float:
    """Return where a centred label under the plot stands: never on the names of the rows at the left."""
    return max(place, ROW_NAMES + n.width(words, size) / 2)


def vertical(data: ReportData, box: Frame) -> Linear:
    """Return the scale of the difference: symmetric about 0, wide enough for look 2 on and the margin."""
    looks = data.looks[1:] if len(data.looks) > 1 else data.looks
    values = [end for look in looks for end in (look.low, look.high, look.difference) if end is not None]
    if data.metric.limit is not None:
        values.append(data.metric.limit * (1.0 if values else 3.0))
    half = symmetric(values, empty=50 * 10.0**-data.metric.decimals)
    return Linear(-half, half, box.bottom, box.top)


def draw_axes(drawing: Drawing, box: Frame, y: Linear, metric: Metric) -> None:
    """Place grid, zero, margin, the shaded worse side and the words that say which side is better."""
    limit = metric.limit
    better_below = metric.direction == "lower"
    if limit is not None:
        edge = box.top if better_below else box.bottom
        drawing.box("worse", box.left, min(edge, y(limit)), (box.right - box.left, abs(edge - y(limit))))
    size = step(y.high - y.low, 7)
    for tick in y.ticks(7):
        if tick == 0 or y(tick) > box.bottom - 9 or y(tick) < box.top + 5:
            continue  # zero has its own line; at the edges labels would meet the rows
        drawing.across("gr", y(tick), box.across)
        drawing.text("t", box.left - 7, y(tick) + 4, n.signed(tick, decimals(size)), "end")
    drawing.text("k", box.left - 7, y(0) + 4, "0", "end")
    drawing.across("zero", y(0), box.across)
    drawing.text("s", 0, 12, f"{metric.difference}, challenger − champion ({metric.direction} is better)")
    if limit is not None:
        drawing.across("mar", y(limit), box.across)
        _name_limit(drawing, box, y, metric)
    if box.wide:
        drawing.text("k", box.right + 10, y(0) + 4, "0 no difference")


def _name_limit(drawing: Drawing, box: Frame, y: Linear, metric: Metric) -> None:
    assert metric.limit is not None, "only a registered margin is named"
    margin = n.signed(metric.limit, metric.decimals)
    if box.wide:
        near = abs(y(metric.limit) - y(0)) < 14  # noqa: PLR2004 -- a label's height
        shift = (-10 if metric.limit > 0 else 18) if near else 4
        drawing.text("k", box.right + 10, y(metric.limit) + shift, f"{margin} margin")
    else:
        up = -5 if metric.limit > 0 else 14
        drawing.text("k halo", box.right - 2, y(metric.limit) + up, f"margin {margin}", "end")


def draw_sides(drawing: Drawing, box: Frame, metric: Metric, taken: list[tuple[float, float]]) -> None:
    """Place the words that say on which side the challenger predicts better, in a corner that is free.

    `taken` are the marks' ends nearest to that edge, (x, y). The narrow drawing has no room for the words.
    """
    if not box.wide:
        return
    below = metric.direction == "lower"
    words = f"{'below' if below else 'above'} 0 the challenger predicts better"
    y = box.bottom - 8 if below else box.top + 14
    size = n.width(words, 11)
    for left, anchor in ((box.left + 6, None), (box.right - 6 - size, "end")):
        clear = all(
            not (left - 8 < at < left + size + 8 and (end > y - 16 if below else end < y + 8))
            for at, end in taken
        )
        if clear:
            drawing.text("s halo", left if anchor is None else left + size, y, words, anchor)
            return


def labelled(places: list[float], spacing: float) -> set[int]:
    """Return the looks whose labels fit: the last one, then backwards whatever stays `spacing` px apart.

    >>> sorted(labelled([0.0, 30.0, 60.0, 90.0], 50))
    [1, 3]
    """
    chosen: set[int] = set()
    edge = float("inf")
    for index in range(len(places) - 1, -1, -1):
        if edge - places[index] >= spacing:
            chosen.add(index)
            edge = places[index]
    return chosen


def with_interval(count: int) -> set[int]:
    """Return the looks that carry an interval: all up to 40, else every k-th and the last."""
    if count <= MOST_INTERVALS:
        return set(range(count))
    size = -(-count // MOST_INTERVALS)
    return {index for index in range(count) if (count - 1 - index) % size == 0}
