"""When outcomes arrive: the share of mature decisions whose outcome was known, by age."""

from harness.report import numbers as n
from harness.report.figures import Maturity
from harness.report.markup import Markup, px, tag
from harness.report.scales import Linear
from harness.report.svg import Drawing

_WIDTH, _HEIGHT = 434, 290
_LEFT, _RIGHT = 46.0, 388.0
_TOP, _BASE = 26.0, 244.0
_DAYS_FROM = 72
_HOUR_STEPS = (1, 2, 4, 6, 12, 24)


def maturity_chart(maturity: Maturity) -> Markup:
    """Return the step curve up to the window, with the part that never arrives in a bracket."""
    drawing = Drawing(_WIDTH, _HEIGHT)
    days = maturity.window_hours >= _DAYS_FROM
    x = Linear(0, maturity.window_hours * 1.08, _LEFT, _RIGHT)
    y = Linear(0, 1, _BASE, _TOP)
    for tick in (0, 0.25, 0.5, 0.75, 1):
        drawing.across("gr", y(tick), (_LEFT, _RIGHT))
        drawing.text("t", _LEFT - 7, y(tick) + 4, n.percent(tick, 0), "end")
    if maturity.curve:
        drawing.add(tag("path", class_="lch", d=_steps(maturity, x, y)))
    drawing.down("mar", x(maturity.window_hours), (_TOP - 4, _BASE))
    window = f"window {n.duration(maturity.window_hours)}"
    drawing.text("k halo", x(maturity.window_hours) - 5, _BASE - 8, window, "end")
    _points(drawing, maturity, x, y)
    if maturity.curve and maturity.never > 0:
        _bracket(drawing, maturity, y)
    _ticks(drawing, maturity, x, days=days)
    drawing.across("ax", _BASE, (_LEFT, _RIGHT))
    drawing.text("s", 0, 11, "outcome known, share of mature decisions")
    drawing.text("s", _LEFT, _HEIGHT - 4, f"{'days' if days else 'hours'} since the decision")
    return drawing.render(
        "maturity", title="Arrival of outcomes by age of the decision", description=describe(maturity)
    )


def describe(maturity: Maturity) -> str:
    """Return the plot's finding as a sentence."""
    said = [f"The window is {n.duration(maturity.window_hours)}."]
    if maturity.half_hours is not None:
        said.append(f"Half of the outcomes are known after {n.duration(maturity.half_hours)}.")
    if maturity.most_hours is not None:
        said.append(f"95{n.THIN}% are known after {n.duration(maturity.most_hours)}.")
    said.append(f"{n.percent_fine(maturity.never)} {missing_word(maturity)}.")
    return " ".join(said)


def missing_word(maturity: Maturity) -> str:
    """Return what became of the outcomes above the curve."""
    return "not in time" if maturity.late else "never"


def _steps(maturity: Maturity, x: Linear, y: Linear) -> str:
    parts = [f"M{px(x(0))} {px(y(0))}"]
    for hours, share in maturity.curve:
        parts.append(f"H{px(x(hours))}V{px(y(share))}")
    parts.append(f"H{px(x.stop)}")
    return "".join(parts)


def _points(drawing: Drawing, maturity: Maturity, x: Linear, y: Linear) -> None:
    for hours, share, drop in ((maturity.half_hours, 0.5, 5), (maturity.most_hours, 0.95, 15)):
        if hours is None:
            continue
        drawing.dot("pt", x(hours), y(share), 3.4)
        words = f"{n.percent(share, 0)} known after {n.duration(hours)}"
        edge = x(maturity.window_hours)
        if x(hours) + 9 + n.width(words, 12) < edge:
            drawing.text("k halo", x(hours) + 9, y(share) + drop, words)
        else:
            drawing.text("k halo", edge - 6, y(share) + drop + 8, words, "end")


def _bracket(drawing: Drawing, maturity: Maturity, y: Linear) -> None:
    top, bottom = y(1), y(1 - maturity.never)
    edge = _RIGHT + 6
    drawing.down("zero", edge, (top, bottom))
    drawing.across("zero", top, (edge - 3, edge))
    drawing.across("zero", bottom, (edge - 3, edge))
    drawing.text(
        "k halo", _WIDTH, _TOP - 7, f"{n.percent_fine(maturity.never)} {missing_word(maturity)}", "end"
    )


def _ticks(drawing: Drawing, maturity: Maturity, x: Linear, *, days: bool) -> None:
    scale = 24 if days else 1
    span = maturity.window_hours / scale
    size = next((step for step in _HOUR_STEPS if span / step <= 8), max(1, round(span / 6)))  # noqa: PLR2004
    tick = 0
    while tick <= span + 1e-9:
        at = x(tick * scale)
        drawing.down("tk", at, (_BASE, _BASE + 4))
        drawing.text("t", at, _BASE + 17, tick, "middle")
        tick += size
