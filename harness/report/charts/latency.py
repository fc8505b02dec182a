"""Recorded times of both models by quantile, on a log scale."""

from harness.report import numbers as n
from harness.report.figures import LatencyRow
from harness.report.markup import Markup
from harness.report.scales import Log
from harness.report.svg import Drawing

_WIDTH = 434
_LEFT, _RIGHT = 78.0, 418.0
_TOP, _PITCH = 34, 38


def latency_chart(rows: tuple[LatencyRow, ...], *, names: tuple[str, str], slo_ms: float | None) -> Markup:
    """Return a dumbbell a quantile; `names` are champion and challenger."""
    base = _TOP + _PITCH * len(rows) + 6
    drawing = Drawing(_WIDTH, base + 44)
    values = [value for row in rows for value in (row.champion, row.challenger) if value is not None]
    values += [] if slo_ms is None else [slo_ms]
    x = Log(_decade_below(min([1.0, *values])), _decade_above(max(values)), _LEFT, _RIGHT)
    for tick in x.ticks():
        drawing.down("gr", x(tick), (_TOP, base))
        drawing.text("t", x(tick), base + 16, f"{tick:g}", "middle")
    if slo_ms is not None:
        drawing.down("mar", x(slo_ms), (_TOP, base))
        drawing.text("k halo", x(slo_ms) + 6, _TOP + 8, f"SLO {n.unit(f'{slo_ms:g}', 'ms')}")
    for index, row in enumerate(rows):
        _row(drawing, row, x, _TOP + 22 + _PITCH * index)
    _names(drawing, rows[0], x, names)
    drawing.text("s", _LEFT, base + 36, "milliseconds per decision, log scale")
    return drawing.render("latency", title="Latency by quantile", description=describe(rows))


def describe(rows: tuple[LatencyRow, ...]) -> str:
    """Return the values of the plot as a sentence."""
    return "; ".join(
        f"{row.name}: champion {_ms(row.champion)}, challenger {_ms(row.challenger)}" for row in rows
    )


def _ms(value: float | None) -> str:
    return "not recorded" if value is None else n.unit(figure(value), "ms")


def figure(value: float) -> str:
    """Return milliseconds with two or three figures.

    >>> figure(0.0421), figure(3.41), figure(118.2)
    ('0.042', '3.4', '118')
    """
    if value >= 100:  # noqa: PLR2004 -- three figures are enough
        return n.plain(value, 0)
    return n.plain(value, 1) if value >= 1 else n.plain(value, 3)


def _row(drawing: Drawing, row: LatencyRow, x: Log, y: float) -> None:
    drawing.text("t", 0, y + 4, row.name)
    if row.champion is not None and row.challenger is not None:
        drawing.across("ax", y, (x(row.champion), x(row.challenger)))
    for value, class_, other in (
        (row.champion, "pcp", row.challenger),
        (row.challenger, "pt", row.champion),
    ):
        if value is None:
            continue
        drawing.dot(class_, x(value), y, 4)
        left = other is not None and (value < other or (value == other and class_ == "pcp"))
        drawing.text("s halo", x(value) + (-9 if left else 9), y + 4, figure(value), "end" if left else None)


def _names(drawing: Drawing, row: LatencyRow, x: Log, names: tuple[str, str]) -> None:
    """Place the models' names above their first marks, away from each other."""
    first = row.champion if row.champion is not None else row.challenger
    second = row.challenger if row.challenger is not None else row.champion
    assert first is not None, "a latency row has at least one time"
    assert second is not None, "a latency row has at least one time"
    champion_left = first <= second
    if row.champion is not None:
        room = x(first) - n.width(names[0], 12) > 0
        anchor = "end" if champion_left and room else None
        drawing.text("cp halo", x(first) if anchor else max(x(first) - 4, 0), 16, names[0], anchor)
    if row.challenger is not None:
        drawing.text("ch halo", x(second) - 4, 32 if row.champion is not None else 16, names[1])


def _decade_below(value: float) -> float:
    decade = 1.0
    while decade > value:
        decade /= 10
    return decade


def _decade_above(value: float) -> float:
    decade = 10.0
    while decade < value:
        decade *= 10
    return decade
