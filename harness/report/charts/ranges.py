"""Where in the log each model was trained and both were evaluated; an overlap ends every verdict."""

from harness.report import numbers as n
from harness.report.charts.frame import NARROW, WIDE
from harness.report.data import ReportData
from harness.report.findings import Range
from harness.report.markup import Markup
from harness.report.scales import Linear, round_up
from harness.report.svg import Drawing

_THICK = 11


def ranges_chart(data: ReportData, width: int) -> Markup:
    """Return the drawing for one width (912 or 354 px)."""
    assert width in {WIDE, NARROW}, "the plot has a wide and a narrow drawing"
    wide = width == WIDE
    rows = _rows(data)
    last = max(
        [stop for _, span, _ in rows if span is not None for stop in span]
        + [look.position for look in data.looks]
    )
    left, right = (168.0, width - 10.0) if wide else (2.0, width - 2.0)
    x = Linear(0, _end(float(last)), left, right)
    pitch = 28 if wide else 38
    drawing = Drawing(width, pitch * 3 + (34 if wide else 40))
    for index, (label, span, class_) in enumerate(rows):
        place = 10 + pitch * index if wide else 20 + pitch * index
        _row(drawing, label, span, class_, (x, place))
    overlap = overlapping(data)
    if overlap is not None:
        _overlap(drawing, overlap, x, pitch)
    else:
        _looks(drawing, data, x, 66 if wide else 96)
    _axis(drawing, x, pitch * 3 + (10 if wide else 16))
    view = "wide" if wide else "narrow"
    return drawing.render(f"ranges-{view}", title="Ranges of the log", description=describe(data), view=view)


def overlapping(data: ReportData) -> Range | None:
    """Return the positions on which the challenger was trained and is evaluated, None if there are none."""
    if data.challenger.trained is None:
        return None
    start = max(data.challenger.trained[0], data.evaluated[0])
    stop = min(data.challenger.trained[1], data.evaluated[1])
    return (start, stop) if stop > start else None


def inclusive(span: Range) -> str:
    """Return a half-open range as prose writes it, with its last position.

    >>> inclusive((216377, 383214))
    '216,377 to 383,213'
    """
    if span[1] <= span[0]:
        return "nothing in this log"
    return f"{n.count(span[0])} to {n.count(span[1] - 1)}"


def describe(data: ReportData) -> str:
    """Return the values of the plot as a sentence."""
    said = [f"{label} {_words(label, span)}" for label, span, _ in _rows(data)]
    return "; ".join(said) + "."


def _rows(data: ReportData) -> list[tuple[str, Range | None, str]]:
    return [
        ("champion trained", data.champion.trained, "rng"),
        ("challenger trained", data.challenger.trained, "rngc"),
        ("evaluated", data.evaluated, "rng"),
    ]


def _words(label: str, span: Range | None) -> str:
    if span is None:
        return "not declared"
    return "nothing yet" if label == "evaluated" and span[1] <= span[0] else inclusive(span)


def _end(last: float) -> float:
    """Return the axis' end: the next tenth of the round number above the last position."""
    unit = round_up(last) / 10
    return unit * -(-last // unit)


def _row(drawing: Drawing, label: str, span: Range | None, class_: str, at: tuple[Linear, float]) -> None:
    x, y = at
    wide = drawing.width == WIDE
    words = _words(label, span)
    if wide:
        drawing.text("k", 156, y + 9, label, "end")
    else:
        drawing.text("k", 2, y - 5, f"{label} · {words}")
    if span is None or span[1] <= span[0]:
        if wide:
            drawing.text("s", x.start, y + 10, words)
        return
    start, stop = x(span[0]), x(span[1])
    drawing.box(class_, start, y, (max(stop - start, 1.5), _THICK))
    if wide:
        inside = stop + 8 + n.width(words, 11) < drawing.width
        drawing.text("s", stop + 8 if inside else start - 8, y + 10, words, None if inside else "end")


def _overlap(drawing: Drawing, overlap: Range, x: Linear, pitch: int) -> None:
    wide = drawing.width == WIDE
    y = 10 + pitch if wide else 20 + pitch
    drawing.box("rngb", x(overlap[0]), y, (max(x(overlap[1]) - x(overlap[0]), 1.5), _THICK))
    for edge in overlap:
        drawing.down("hat", x(edge), (2, pitch * 3 + (4 if wide else 0)))


def _looks(drawing: Drawing, data: ReportData, x: Linear, y: float) -> None:
    for look in data.looks[-40:]:
        drawing.down("zero", x(look.position), (y - 3, y + 14))


def _axis(drawing: Drawing, x: Linear, y: float) -> None:
    drawing.across("ax", y, (x.start, x.stop))
    wide = drawing.width == WIDE
    places = x.ticks(5 if wide else 2)
    for index, tick in enumerate(places):
        drawing.down("tk", x(tick), (y, y + 4))
        at_end = x(tick) > x.stop - 20
        anchor = None if index == 0 else "end" if at_end else "middle"
        drawing.text("t", x(tick), y + 17, n.count(round(tick)), anchor)
    if wide:
        drawing.text("s", 156, y + 17, "log position", "end")
