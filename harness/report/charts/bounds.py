"""Every difference that agrees with a log that blocks outcomes, and what exploration would leave of it."""

from harness.report import numbers as n
from harness.report.charts.frame import NARROW, WIDE
from harness.report.data import Metric
from harness.report.figures import Bounds
from harness.report.findings import NotIdentifiable
from harness.report.markup import Markup
from harness.report.scales import Linear, decimals, step, symmetric
from harness.report.svg import Drawing


def bounds_chart(bounds: Bounds, *, metric: Metric, finding: NotIdentifiable, width: int) -> Markup:
    """Return the drawing for one width (912 or 354 px)."""
    assert width in {WIDE, NARROW}, "the plot has a wide and a narrow drawing"
    wide = width == WIDE
    view = "wide" if wide else "narrow"
    left, right = (178.0, width - 24.0) if wide else (4.0, width - 4.0)
    base = (156 if wide else 202) if bounds.planned is not None else (98 if wide else 102)
    drawing = Drawing(width, base + 36)
    ends = [bounds.low, bounds.high, *(bounds.planned or ())]
    half = symmetric([*ends, metric.limit or 0.0], factor=1.14)
    x = Linear(-half, half, left, right)
    _axis(drawing, x, metric, base)
    _allowed(drawing, bounds, metric, x, wide=wide)
    if bounds.planned is not None:
        _planned(drawing, bounds.planned, metric, finding, x, wide=wide)
    better = f" ({metric.direction} is better)" if wide else ""
    drawing.text("s", left, base + 34, f"{metric.difference}, challenger − champion{better}")
    return drawing.render(
        f"bounds-{view}",
        title=f"Bounds on the {metric.difference}",
        description=f"Without the missing outcomes it lies between "
        f"{n.signed(bounds.low, metric.decimals)} and {n.signed(bounds.high, metric.decimals)}.",
        view=view,
    )


def _axis(drawing: Drawing, x: Linear, metric: Metric, base: int) -> None:
    size = step(x.high - x.low, 8)
    for tick in x.ticks(8):
        drawing.down("zero" if tick == 0 else "gr", x(tick), (8, base))
        words = "0" if tick == 0 else n.signed(tick, decimals(size))
        drawing.text("t", x(tick), base + 17, words, "middle")
    if metric.limit is not None:
        drawing.down("mar", x(metric.limit), (8, base))
        drawing.text("k halo", x(metric.limit) + 5, 18, f"margin {n.signed(metric.limit, metric.decimals)}")


def _allowed(drawing: Drawing, bounds: Bounds, metric: Metric, x: Linear, *, wide: bool) -> None:
    if wide:
        drawing.text("k", 164, 60, "what the log allows", "end")
    else:
        drawing.text("k halo", 4, 44, "what the log allows")
    drawing.box("barx", x(bounds.low), 50, (x(bounds.high) - x(bounds.low), 12))
    drawing.text(
        "s halo", x(bounds.low), 78, f"bounds: {n.interval(bounds.low, bounds.high, metric.decimals)}"
    )


def _planned(
    drawing: Drawing,
    planned: tuple[float, float],
    metric: Metric,
    finding: NotIdentifiable,
    x: Linear,
    *,
    wide: bool,
) -> None:
    share = n.percent_fine(finding.explore or 0.0)
    words = f"planned {n.interval(*planned, metric.decimals)}"
    y = 114 if wide else 132
    if wide:
        drawing.text("k", 164, 118, f"with {share} exploration", "end")
        drawing.text("s", 164, 133, finding.period, "end")
        drawing.text("s halo", x(planned[0]) - 8, 118, words, "end")
    else:
        drawing.text("k halo", 4, 120, f"with {share} exploration, {finding.period}")
        drawing.text("s halo", x(planned[0]), 152, words)
    drawing.across("ghost", y, (x(planned[0]), x(planned[1])))
    for end in planned:
        drawing.down("lead", x(end), (y - 5, y + 5))
