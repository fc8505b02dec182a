"""The strip beside a gate: value and interval on a scale of its own, the limit at 70 % of the width."""

from collections.abc import Callable

from harness.report.data import Gate
from harness.report.markup import Markup, tag

LIMIT = 70.0
ROW, TALL = 32, 44


def strip(gate: Gate, height: int = ROW) -> Markup:
    """Return the drawing of one row; it has no text, because the row holds the figures."""
    shapes, middle = [rule(height)], height // 2
    if gate.value is not None and gate.limit is not None:
        place = _placer(gate)
        low, high = gate.low, gate.high
        if low is not None and high is not None:
            ends = sorted((place(low), place(high)))
            shapes.append(tag("line", class_="ci", x1=_at(ends[0]), x2=_at(ends[1]), y1=middle, y2=middle))
        shapes.append(tag("circle", class_="pt", cx=_at(place(gate.value)), cy=middle, r=4))
    return tag("svg", *shapes, height=height, aria_hidden="true")


def rule(height: int) -> Markup:
    """Return the limit's line over the height of a row, so that it runs unbroken through all rows."""
    return tag("line", class_="mar", x1=_at(LIMIT), x2=_at(LIMIT), y1=0, y2=height)


def heading() -> Markup:
    """Return the head of the column: better, limit, worse."""
    return tag(
        "svg",
        tag("text", "better", class_="s hidep", x=0, y=12),
        tag("text", "limit", class_="s", x=_at(LIMIT), y=12, text_anchor="middle"),
        tag("text", "worse", class_="s hidep", x="100%", y=12, text_anchor="end"),
        height=16,
        aria_hidden="true",
    )


def spacer(height: int) -> Markup:
    """Return a row's strip that holds the limit alone."""
    return tag("svg", rule(height), height=height, aria_hidden="true")


def _placer(gate: Gate) -> Callable[[float], float]:
    """Return the place of a value in percent of the width.

    A share has a natural end (0, or 1 for a floor) that stands at the left edge. Other scales reach as far
    as the figure that is farthest on the better side needs. What lies beyond either edge is clipped there:
    the state tells.
    """
    assert gate.limit is not None, "a strip needs a limit"
    limit, toward = gate.limit, 1 if gate.worse == "above" else -1
    known = [end for end in (gate.value, gate.low, gate.high) if end is not None]
    better = max([(limit - end) * toward for end in known] + [0.0])
    natural = 0.0
    if gate.form == "share":
        natural = limit if gate.worse == "above" else 1 - limit
    elif gate.form == "count":
        natural = abs(limit) * 0.1
    span = natural if natural >= better and natural > 0 else better / 0.83
    if span <= 0:
        span = max((abs(limit - end) for end in known), default=0.0) / 0.35 or 1.0

    def place(value: float) -> float:
        return min(100.0, max(0.0, LIMIT - (limit - value) * toward / span * LIMIT))

    return place


def _at(percent: float) -> str:
    return f"{percent:.1f}%"
