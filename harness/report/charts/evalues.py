"""The e-value at every look against its threshold, and what a paired z over single decisions would say."""

import math
from typing import Literal

from harness.report import numbers as n
from harness.report.charts.frame import NARROW, WIDE, frame, horizontal, labelled, row_label
from harness.report.charts.states import draw_states
from harness.report.data import Look, ReportData
from harness.report.markup import Markup
from harness.report.scales import Linear
from harness.report.svg import Drawing

NAIVE_Z = 1.96
NULLS = {
    "superiority": "the challenger is not better",
    "non-inferiority": "the challenger is worse by the margin",
    "equivalence": "the challenger is better or worse by the margin",
    "harm": "the challenger is not worse",
}
_TOP, _BOTTOM = 26.0, 138.0


def evalue_chart(data: ReportData, width: int) -> Markup:
    """Return the drawing for one width (912 or 354 px); the looks stand as in the plot above."""
    assert width in {WIDE, NARROW}, "the plot has a wide and a narrow drawing"
    box = frame(width)
    naive = any(look.naive_z is not None for look in data.looks)
    drawing = Drawing(box.width, _BOTTOM + (62 if naive else 26))
    x = horizontal(data, box)
    y = _powers(data)
    _axis(drawing, data, (box.left, box.right), y)
    places = [x(look.used) for look in data.looks]
    _line(drawing, data.looks, places, y)
    drawing.text("s", 0, _BOTTOM + 17, "e-value")
    shown = labelled(places, _spacing(data.looks))
    for index, look in enumerate(data.looks):
        drawing.down("tk", places[index], (_BOTTOM, _BOTTOM + 4))
        if look.log_e is not None and index in shown:
            words = n.e_value(look.log_e)
            drawing.text("t", row_label(places[index], words, 12), _BOTTOM + 17, words, "middle")
    if naive:
        _naive_row(drawing, data, places, shown)
    return drawing.render(
        f"evalues-{box.view}",
        title=f"E-value for {data.claim} at each look",
        description=describe(data),
        view=box.view,
    )


def describe(data: ReportData) -> str:
    """Return the values of the plot as a sentence, for readers who hear it."""
    said = []
    for look in data.looks:
        e = "none" if look.log_e is None else n.e_value(look.log_e)
        z = "" if look.naive_z is None else f", naive z {n.signed(look.naive_z, 1)}"
        said.append(f"look {look.number}: {e}{z}")
    return f"{n.plain(data.plan.needed_e, 0)} is needed. {'; '.join(said)}."


def naive_state(z: float) -> Literal["PROMOTE", "HOLD", "REJECT"]:
    """Return what a harness that reads the paired z of this look as a fixed test would do.

    `z` is positive where the challenger is better.
    """
    if abs(z) < NAIVE_Z:
        return "HOLD"
    return "PROMOTE" if z > 0 else "REJECT"


def _powers(data: ReportData) -> Linear:
    """Return a scale of log10(e) that holds 1, the threshold and every look, in whole powers of ten."""
    known = [look.log_e / math.log(10) for look in data.looks if look.log_e is not None]
    low = math.floor(min([0.0, *known]) - 1e-9) if min([0.0, *known]) < 0 else -1
    high = math.ceil(max([math.log10(data.plan.needed_e) + 0.3, *known]))
    return Linear(float(max(low, -12)), float(high), _BOTTOM, _TOP)


def _axis(drawing: Drawing, data: ReportData, across: tuple[float, float], y: Linear) -> None:
    left, right = across
    wide = drawing.width == WIDE
    needed = n.plain(data.plan.needed_e, 0)
    drawing.text("s", 0, 12, f"e-value against “{NULLS[data.claim]}”, log scale")
    edge = y(math.log10(data.plan.needed_e))
    for tick in y.ticks(5):
        if tick != round(tick):
            continue
        drawing.across("zero" if tick == 0 else "gr", y(tick), across)
        if y(tick) < _BOTTOM - 9:
            drawing.text("k" if tick == 0 else "t", left - 7, y(tick) + 4, _power(round(tick)), "end")
    drawing.across("mar", edge, across)
    if wide:
        apart = 0 if abs(y(0) - edge) >= 16 else -8  # noqa: PLR2004 -- a label's height
        drawing.text("k", right + 10, edge + 4 + apart, f"{needed} needed (1/α)")
        drawing.text("k", right + 10, y(0) + 4, "1 no evidence")
    else:
        drawing.text("k halo", left + 5, edge - 5, f"{needed} needed")


def _power(tens: int) -> str:
    return {-2: "0.01", -1: "0.1", 0: "1", 1: "10", 2: "100", 3: "1,000"}.get(tens) or n.power_of_ten(tens)


def _line(drawing: Drawing, looks: tuple[Look, ...], places: list[float], y: Linear) -> None:
    known = [
        (place, *y.clip(look.log_e / math.log(10)))
        for place, look in zip(places, looks, strict=True)
        if look.log_e is not None
    ]
    if len(known) > 1:
        drawing.path("lch", [(place, at) for place, at, _ in known])
    for index, (place, at, side) in enumerate(known):
        if side:
            drawing.arrow("pt", place, at, "up" if side > 0 else "down")
        else:
            drawing.dot("pt", place, at, 4.2 if index == len(known) - 1 else 3.3)


def _spacing(looks: tuple[Look, ...]) -> float:
    """Return the px that the widest label of the rows needs."""
    labels = [n.e_value(look.log_e) for look in looks if look.log_e is not None]
    labels += [n.signed(look.naive_z, 1) for look in looks if look.naive_z is not None]
    return max((n.width(label, 12) for label in labels), default=0.0) + 8


def _naive_row(drawing: Drawing, data: ReportData, places: list[float], shown: set[int]) -> None:
    drawing.text("s", 0, _BOTTOM + 38, "naive z")
    drawing.text("s", 0, _BOTTOM + 56, "would say" if drawing.width == WIDE else "says")
    known = [
        (place, look.naive_z)
        for place, look in zip(places, data.looks, strict=True)
        if look.naive_z is not None
    ]
    for index, look in enumerate(data.looks):
        if look.naive_z is not None and index in shown:
            words = n.signed(look.naive_z, 1)
            drawing.text("t", row_label(places[index], words, 12), _BOTTOM + 38, words, "middle")
    draw_states(drawing, [naive_state(z) for _, z in known], [place for place, _ in known], _BOTTOM + 46.5)
