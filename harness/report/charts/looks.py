"""The primary metric at every look, with its interval: the verdict drawn."""

from harness.report import numbers as n
from harness.report.charts.frame import (
    NARROW,
    WIDE,
    Frame,
    draw_axes,
    draw_sides,
    frame,
    horizontal,
    labelled,
    projected,
    row_label,
    vertical,
    with_interval,
)
from harness.report.charts.states import draw_states
from harness.report.data import Look, ReportData
from harness.report.markup import Markup
from harness.report.scales import Linear
from harness.report.svg import Drawing

_ROWS = 74


def looks_chart(data: ReportData, width: int) -> Markup:
    """Return the drawing for one width (912 or 354 px)."""
    assert width in {WIDE, NARROW}, "the plot has a wide and a narrow drawing"
    box = frame(width)
    drawing = Drawing(box.width, box.bottom + _ROWS - (0 if data.looks else 20))
    x, y = horizontal(data, box), vertical(data, box)
    draw_axes(drawing, box, y, data.metric)
    if data.looks:
        _band(drawing, data.looks, x, y)
        _intervals(drawing, data.looks, x, y)
        levels = _crossings(drawing, data, box, x, y)
        _projection(drawing, data, box, x, levels)
        if box.wide:
            _last_values(drawing, data, box, y)
    else:
        for look in data.plan.expected:
            drawing.down("ghost", x(look.used), (box.top, box.bottom))
    _rows(drawing, data, box, x)
    draw_sides(drawing, box, data.metric, _edges(data, x, y))
    return drawing.render(
        f"looks-{box.view}",
        title=f"{data.metric.difference} at each look with its confidence sequence",
        description=describe(data),
        view=box.view,
    )


def describe(data: ReportData) -> str:
    """Return the values of the plot as a sentence, for readers who hear it."""
    places = data.metric.decimals
    said = []
    for look in data.looks:
        if look.difference is None:
            said.append(f"look {look.number}: no value")
        elif look.low is None or look.high is None:
            said.append(f"look {look.number}: {n.signed(look.difference, places)}, no interval")
        else:
            ends = n.interval(look.low, look.high, places)
            said.append(f"look {look.number}: {n.signed(look.difference, places)}, {ends}")
    limit = data.metric.limit
    margin = "" if limit is None else f" Margin {n.signed(limit, places)}."
    values = "; ".join(said) or "no look yet"
    return f"Challenger minus champion, {data.metric.direction} is better. {values}.{margin}"


def _drawn(looks: tuple[Look, ...]) -> list[tuple[Look, float, float]]:
    return [(look, look.low, look.high) for look in looks if look.low is not None and look.high is not None]


def _band(drawing: Drawing, looks: tuple[Look, ...], x: Linear, y: Linear) -> None:
    known = _drawn(looks)
    if len(known) < 2:  # noqa: PLR2004 -- one interval has no band
        return
    upper = [(x(look.used), y.clip(high)[0]) for look, _, high in known]
    lower = [(x(look.used), y.clip(low)[0]) for look, low, _ in reversed(known)]
    drawing.path("band", [*upper, *lower], closed=True)


def _intervals(drawing: Drawing, looks: tuple[Look, ...], x: Linear, y: Linear) -> None:
    shown = with_interval(len(looks))
    for index, look in enumerate(looks):
        if look.difference is None or index not in shown:
            continue
        at = x(look.used)
        last = index == len(looks) - 1
        if look.low is not None and look.high is not None:
            (bottom, under), (top, over) = y.clip(look.low), y.clip(look.high)
            drawing.line("ci", at, bottom, at, top)
            if over:
                drawing.arrow("pt", at, top, "up")
            if under:
                drawing.arrow("pt", at, bottom, "down")
        drawing.dot("pt", at, y.clip(look.difference)[0], 4.2 if last else 3.3)
        if look.low == look.high and look.low is not None:
            drawing.text("s halo", at + 8, y.clip(look.difference)[0] - 7, "no variation")


def _crossings(drawing: Drawing, data: ReportData, box: Frame, x: Linear, y: Linear) -> int:
    """Name the look from which a hypothesis holds at every later one; return how many rows the names took."""
    found: list[tuple[str, Look]] = []
    if data.metric.margin is not None and (look := _holds_from(data.looks, "noninferior")) is not None:
        found.append(("non-inferior", look))
    if (look := _holds_from(data.looks, "superior")) is not None:
        found.append(("superior", look))
    below = data.metric.direction == "lower"
    labels = []
    for level, (word, look) in enumerate(found):
        at = x(look.used)
        high = box.top + 16 + 18 * level if below else box.bottom - 10 - 18 * level
        end = look.high if below else look.low
        start = y.clip(end if end is not None else 0.0)[0]
        drawing.line("lead", at, start + (-5 if below else 5), at, high - 9 if below else high + 3)
        labels.append((at, high, f"{word} from look {look.number}"))
    for (
        at,
        high,
        label,
    ) in labels:  # after all leaders, so that a label's halo covers the leader that it crosses
        room = at + 5 + n.width(label, 12) < box.right
        drawing.text("k halo", at + (5 if room else -5), high, label, None if room else "end")
    return len(labels)


def _holds_from(looks: tuple[Look, ...], what: str) -> Look | None:
    """Return the first look of the unbroken run, up to the last look, in which a hypothesis holds."""
    first = None
    for look in reversed(looks):
        if not getattr(look, what):
            break
        first = look
    return first


def _last_values(drawing: Drawing, data: ReportData, box: Frame, y: Linear) -> None:
    look = data.looks[-1]
    if look.difference is None:
        return
    places = data.metric.decimals
    at = y.clip(look.difference)[0]
    taken = [y(0)] if data.metric.limit is None else [y(0), y(data.metric.limit)]
    for near in sorted(taken, reverse=data.metric.direction == "higher"):
        if near - 30 < at < near + 22:  # the three lines of the label would meet the line's name
            at = near + 24 if data.metric.direction == "lower" else near - 44
    at = min(at, box.bottom - 28)
    drawing.text("ch", box.right + 10, at, f"{n.signed(look.difference, places)} at look {look.number}")
    if look.low is None or look.high is None:
        drawing.text("s", box.right + 10, at + 15, "no interval yet")
        return
    drawing.text("s", box.right + 10, at + 15, n.interval(look.low, look.high, places))
    drawing.text("s", box.right + 10, at + 29, f"{data.plan.level} confidence sequence")


def _edges(data: ReportData, x: Linear, y: Linear) -> list[tuple[float, float]]:
    """Return where each interval ends on the challenger's side, in px."""
    below = data.metric.direction == "lower"
    return [(x(look.used), y.clip(low if below else high)[0]) for look, low, high in _drawn(data.looks)]


def _projection(drawing: Drawing, data: ReportData, box: Frame, x: Linear, levels: int) -> None:
    """Place the dotted line of the registered minimum, its words below the rows that the hypotheses took."""
    aim = projected(data)
    if aim is None:
        return
    at = x(aim.used)
    drawing.down("ghost", at, (box.top, box.bottom))
    room = at + 6 + n.width(aim.words, 12) < box.right
    shift, anchor = (6, None) if room else (-6, "end")
    top = box.top + 16 + 18 * levels
    drawing.text("k halo", at + shift, top, aim.words, anchor)
    if aim.by:
        drawing.text("s halo", at + shift, top + 15, aim.by, anchor)


def _rows(drawing: Drawing, data: ReportData, box: Frame, x: Linear) -> None:
    """Place date, decisions and verdict under each look (or each planned look)."""
    base = box.bottom
    drawing.text("s", 0, base + 17, "look on" if box.wide else "look")
    drawing.text("s", 0, base + 31, "used")
    stops = [(x(look.used), look.time, look.used) for look in data.looks]
    if not stops:
        stops = [(x(look.used), look.time, look.used) for look in data.plan.expected]
    words = labelled([place for place, _, _ in stops], 56)
    for index, (place, time, used) in enumerate(stops):
        drawing.down("tk", place, (base, base + 4))
        if index in words:
            when, many = n.day_short(time), n.compact(used)
            drawing.text("t", row_label(place, when, 12), base + 17, when, "middle")
            drawing.text("s", row_label(place, many, 11), base + 31, many, "middle")
    if data.looks:
        drawing.text("s", 0, base + 53, "verdict")
        states = [look.state for look in data.looks]
        draw_states(drawing, states, [place for place, _, _ in stops], base + 43)
