"""Scores of which one never varies: a strip for each model, instead of a plot with an empty direction."""

from collections import Counter

from harness.report import numbers as n
from harness.report.charts.hexbin import ramp_cell
from harness.report.figures import Scores
from harness.report.markup import Markup
from harness.report.scales import Linear, decimals, step
from harness.report.svg import Drawing

_WIDTH, _HEIGHT = 434, 150
_LEFT, _RIGHT = 12.0, 422.0
_ROWS = (40.0, 88.0)


def strip_chart(scores: Scores, *, champion: str, challenger: str) -> Markup:
    """Return both models' scores on one axis, in the ink ramp of the density."""
    drawing = Drawing(_WIDTH, _HEIGHT)
    x = Linear(scores.low, scores.high, _LEFT, _RIGHT)
    size = step(x.high - x.low, 5)
    for tick in x.ticks(5):
        drawing.down("gr", x(tick), (28, 108))
        drawing.text("t", x(tick), 126, n.plain(tick, max(1, decimals(size))), "middle")
    drawing.text("cp", _LEFT, _ROWS[0] - 16, f"champion {champion}")
    drawing.text("ch halo", _LEFT, _ROWS[1] - 16, f"challenger {challenger}")
    for axis, y in enumerate(_ROWS):
        for value, count in sorted(_marginal(scores, axis).items()):
            drawing.add(ramp_cell(x(value), y, count))
    drawing.across("ax", 108, (_LEFT, _RIGHT))
    drawing.text("s", _LEFT, _HEIGHT - 4, "score")
    return drawing.render(
        "scores",
        title="Scores of both models",
        description=f"Over {n.count(scores.total)} decisions the scores of {scores.constant} never vary.",
    )


def _marginal(scores: Scores, axis: int) -> Counter[float]:
    found: Counter[float] = Counter()
    for cell in scores.cells:
        found[cell[axis]] += cell[2]
    for point in scores.points:
        found[point[axis]] += 1
    return found
