"""What the difference would be if every missing outcome had gone against the challenger, or for it."""

from harness.report import numbers as n
from harness.report.data import Look, Metric
from harness.report.figures import Missing
from harness.report.markup import Markup
from harness.report.scales import Linear, decimals, step
from harness.report.svg import Drawing

_WIDTH, _HEIGHT = 434, 196
_LEFT, _RIGHT = 176.0, 426.0
_TOP, _BASE = 26.0, 152.0


def missing_chart(missing: Missing, *, metric: Metric, observed: Look) -> Markup:
    """Return three rows on the scale of the difference."""
    rows = cases(missing, observed)
    ends = [value for _, value in rows] + [0.0]
    ends += [end for end in (observed.low, observed.high, metric.limit) if end is not None]
    spare = (max(ends) - min(ends)) * 0.1 or 1.0
    x = Linear(min(ends) - spare, max(ends) + spare, _LEFT, _RIGHT)
    drawing = Drawing(_WIDTH, _HEIGHT)
    _axis(drawing, x, metric)
    for index, (label, value) in enumerate(rows):
        y = 46 + 38 * index
        first = index == 0
        drawing.text("k" if first else "t", 0, y + 4, label)
        if first and observed.low is not None and observed.high is not None:
            drawing.across("ci", y, (x(observed.low), x(observed.high)))
        drawing.dot("pt" if first else "ptw", x(value), y, 4 if first else 3.6)
        words = n.signed(value, metric.decimals)
        half = n.width(words, 12) / 2
        at = min(max(x(value), _LEFT + half), _RIGHT - half)
        drawing.text("k halo" if first else "t halo", at, y - 9, words, "middle")
    drawing.text("s", _LEFT, 190, f"challenger − champion ({metric.direction} is better)")
    values = "; ".join(f"{label}: {n.signed(value, metric.decimals)}" for label, value in rows)
    return drawing.render(
        "missing", title=f"{metric.difference} under extreme missing outcomes", description=values
    )


def cases(missing: Missing, observed: Look) -> list[tuple[str, float]]:
    """Return (label, difference) of the three rows."""
    return [
        ("as observed", observed.difference or 0.0),
        ("all against the challenger", missing.against),
        ("all for the challenger", missing.favourable),
    ]


def _axis(drawing: Drawing, x: Linear, metric: Metric) -> None:
    size = step(x.high - x.low, 6)
    for tick in x.ticks(6):
        drawing.down("zero" if tick == 0 else "gr", x(tick), (_TOP, _BASE))
        if round(tick / size) % 2 == 0:  # every second one, counted from 0, so that the labels do not meet
            words = "0" if tick == 0 else n.signed(tick, decimals(size))
            drawing.text("t", x(tick), _BASE + 17, words, "middle")
    if metric.limit is not None:
        at = x(metric.limit)
        drawing.down("mar", at, (_TOP, _BASE))
        drawing.text("k halo", min(at, _WIDTH - 22), _TOP - 10, "margin", "middle")
    drawing.across("ax", _BASE, (_LEFT, _RIGHT))
