"""Observed against predicted, in bins of equal count."""

from harness.report import numbers as n
from harness.report.figures import Calibration, CalibrationBin
from harness.report.markup import Markup
from harness.report.scales import Linear
from harness.report.svg import Drawing

_WIDTH, _HEIGHT = 434, 414
_LEFT, _TOP, _SIDE = 46.0, 12.0, 356.0
FEWEST_BINS = 3


def calibration_chart(calibration: Calibration, *, champion: str, challenger: str) -> Markup:
    """Return the square plot of both models: open dashed champion, filled solid challenger."""
    bins = [*calibration.champion, *calibration.challenger]
    high = min(1.0, max(max(b.predicted, b.observed) for b in bins) + 0.1)
    drawing = Drawing(_WIDTH, _HEIGHT)
    x = Linear(0, high, _LEFT, _LEFT + _SIDE)
    y = Linear(0, high, _TOP + _SIDE, _TOP)
    for tick in x.ticks(5):
        drawing.down("gr", x(tick), (_TOP, _TOP + _SIDE))
        drawing.across("gr", y(tick), (_LEFT, _LEFT + _SIDE))
        drawing.text("t", _LEFT - 7, y(tick) + 4, n.plain(tick, 1 if high > 0.3 else 2), "end")  # noqa: PLR2004
        drawing.text("t", x(tick), _TOP + _SIDE + 17, n.plain(tick, 1 if high > 0.3 else 2), "middle")  # noqa: PLR2004
    drawing.line("ghost", x(0), y(0), x(high), y(high))
    _model(drawing, calibration.champion, (x, y), ("lcp", "ccp", "pcp"))
    _model(drawing, calibration.challenger, (x, y), ("lch", "cch", "pt"))
    _names(drawing, calibration, (x, y), (champion, challenger))
    drawing.text("s halo", _LEFT + 10, _TOP + 24, "above the diagonal: predicts too low")
    drawing.text("s halo", _LEFT + _SIDE - 10, _TOP + _SIDE - 14, "below it: predicts too high", "end")
    bins_ = f"{len(calibration.challenger)} bins of equal count"
    words = f"mean predicted probability of {calibration.positive}, in {bins_}"
    drawing.text("s", _LEFT, _HEIGHT - 6, words)
    drawing.upright("s", 12, _TOP + _SIDE, f"observed share {calibration.positive}")
    return drawing.render(
        "calibration",
        title="Calibration of both models",
        description=f"Observed share {calibration.positive} against the mean predicted probability, in "
        f"{len(calibration.challenger)} bins of equal count.",
    )


def _model(
    drawing: Drawing,
    bins: tuple[CalibrationBin, ...],
    axes: tuple[Linear, Linear],
    classes: tuple[str, str, str],
) -> None:
    x, y = axes
    path, whisker, dot = classes
    drawing.path(path, [(x(b.predicted), y(b.observed)) for b in bins])
    for b in bins:
        drawing.line(whisker, x(b.predicted), y.clip(b.low)[0], x(b.predicted), y.clip(b.high)[0])
    for b in bins:
        drawing.dot(dot, x(b.predicted), y(b.observed), 3.3)


def _names(
    drawing: Drawing, calibration: Calibration, axes: tuple[Linear, Linear], names: tuple[str, str]
) -> None:
    """Place each model's name at an inner point: above the upper line, below the lower one."""
    x, y = axes
    champion = calibration.champion[_inner(calibration.champion)]
    challenger = calibration.challenger[_inner(calibration.challenger)]
    champion_above = champion.observed - champion.predicted >= challenger.observed - challenger.predicted
    for point, name, class_, above in (
        (champion, names[0], "cp halo", champion_above),
        (challenger, names[1], "ch halo", not champion_above),
    ):
        across, up, anchor = (-10, -5, "end") if above else (10, 15, None)
        drawing.text(class_, x(point.predicted) + across, y(point.observed) + up, name, anchor)


def _inner(bins: tuple[CalibrationBin, ...]) -> int:
    return round(0.75 * (len(bins) - 1))
