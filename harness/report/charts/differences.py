"""Score difference of the models above, the champion re-scored below, on one axis: what is noise."""

from harness.report import numbers as n
from harness.report.figures import Absent, NoiseFloor, ScoreDifference
from harness.report.markup import Markup
from harness.report.scales import Linear, decimals, step
from harness.report.svg import Drawing

_WIDTH, _HEIGHT = 434, 308
_LEFT, _RIGHT = 46.0, 424.0
_TOP, _BASE, _FLOOR = 50.0, 222.0, 266.0


def difference_chart(difference: ScoreDifference, *, places: int = 2) -> Markup:
    """Return the histogram with its noise floor."""
    drawing = Drawing(_WIDTH, _HEIGHT)
    stop = difference.start + difference.width * len(difference.counts)
    x = Linear(difference.start, stop, _LEFT, _RIGHT)
    y = Linear(0, float(max(*difference.counts, 1)) * 1.02, _BASE, _TOP)
    for tick in y.ticks(4):
        drawing.across("gr", y(tick), (_LEFT, _RIGHT))
        drawing.text("t", _LEFT - 7, y(tick) + 4, n.compact(round(tick)).replace(".0k", "k"), "end")
    _bars(drawing, difference.counts, x, y, "bar")
    drawing.text("s", 0, 11, f"decisions per {n.plain(difference.width, max(2, decimals(difference.width)))}")
    drawing.text("ch", _RIGHT, 11, "challenger − champion", "end")
    ends = n.interval(difference.q05, difference.q95, places)
    words = f"median {n.signed(difference.median, places + 1)}, 90{n.THIN}% within {ends}"
    drawing.text("s", _RIGHT, 27, words, "end")
    drawing.across("ax", _BASE, (_LEFT, _RIGHT))
    drawing.across("ax", _FLOOR, (_LEFT, _RIGHT))
    _floor(drawing, difference, x)
    _ticks(drawing, x)
    drawing.text("s", _LEFT, _HEIGHT - 2, "difference of scores, one axis for both rows")
    return drawing.render(
        "difference", title="Score differences and noise floor", description=describe(difference, places)
    )


def describe(difference: ScoreDifference, places: int) -> str:
    """Return the plot's finding as a sentence."""
    noise = difference.noise
    if isinstance(noise, Absent):
        floor = noise.sentence
    else:
        counts = f"{n.count(noise.differing)} of {n.count(noise.rows)}"
        floor = f"The champion re-scored differs in {counts} decisions."
    return f"Challenger minus champion: median {n.signed(difference.median, places + 1)}. {floor}"


def _bars(drawing: Drawing, counts: tuple[int, ...], x: Linear, y: Linear, class_: str) -> None:
    size = (x.stop - x.start) / len(counts)
    for index, amount in enumerate(counts):
        if amount:
            height = max(y(0) - y(float(amount)), 0.5)
            drawing.box(class_, x.start + index * size + 0.5, y(0) - height, (size - 1, height))


def _floor(drawing: Drawing, difference: ScoreDifference, x: Linear) -> None:
    noise = difference.noise
    if isinstance(noise, Absent):
        drawing.text("cp", _LEFT + 4, _FLOOR - 12, "champion not re-scored")
        return
    at = x(0)
    if noise.differing == 0:
        drawing.box("barn", at - 1.5, _FLOOR - 24, (3, 24))
        drawing.text("cp halo", at - 9, _FLOOR - 12, "champion re-scored", "end")
        drawing.text("k halo", at + 9, _FLOOR - 12, _all_zero(noise))
        return
    top = float(max(*noise.counts, 1)) if noise.counts else 1.0
    if noise.counts:
        _bars(drawing, noise.counts, x, Linear(0, top, _FLOOR, _FLOOR - 26), "alarm")
    words = f"re-scored: {n.count(noise.differing)} differ, at most {noise.largest:.1g}"
    drawing.text("cp halo", _LEFT + 4, _FLOOR - 12, words)


def _all_zero(noise: NoiseFloor) -> str:
    return f"all {n.count(noise.rows)} exactly 0"


def _ticks(drawing: Drawing, x: Linear) -> None:
    size = step(x.high - x.low, 5)
    for tick in x.ticks(5):
        drawing.down("tk", x(tick), (_FLOOR, _FLOOR + 4))
        words = "0" if tick == 0 else n.signed(tick, decimals(size))
        drawing.text("t", x(tick), _FLOOR + 17, words, "middle")
