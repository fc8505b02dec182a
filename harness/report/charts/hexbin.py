"""Both models' scores against each other: hexagons in an ink ramp, dots below 500 decisions."""

from itertools import pairwise

from harness.report import numbers as n
from harness.report.figures import Flips, Scores
from harness.report.markup import Markup, px, tag
from harness.report.scales import Linear, decimals, step
from harness.report.svg import Drawing

WIDTH, HEIGHT = 434, 412
LEFT, TOP, SIDE = 46.0, 12.0, 356.0
RADIUS = 6.4
STEPS = (1, 4, 16, 64, 256)


def hexbin_chart(scores: Scores, *, champion: str, challenger: str, what: str, flips: Flips | None) -> Markup:
    """Return the drawing; `what` is the axis title after the model's name ("probability of late")."""
    drawing = Drawing(WIDTH, HEIGHT)
    x = Linear(scores.low, scores.high, LEFT, LEFT + SIDE)
    y = Linear(scores.low, scores.high, TOP + SIDE, TOP)
    _grid(drawing, x, y)
    if scores.points:
        for first, second in scores.points:
            drawing.dot("hx dotted", x.clip(first)[0], y.clip(second)[0], 2.2)
    else:
        for level in range(len(STEPS)):
            _cells(drawing, scores, level, (x, y))
    drawing.line("ghost", x(scores.low), y(scores.low), x(scores.high), y(scores.high))
    drawing.text("s halo", LEFT + SIDE - 6, TOP + 40, "equal scores", "end")
    _thresholds(drawing, scores, x, y)
    if flips is not None:
        _corners(drawing, flips)
    drawing.text("cp", LEFT, HEIGHT - 4, f"champion {champion}, {what}")
    drawing.upright("ch", 12, TOP + SIDE, f"challenger {challenger}, {what}")
    return drawing.render(
        "scores",
        title="Agreement of scores",
        description=f"Champion score against challenger score for {n.count(scores.total)} decisions.",
    )


def key_chart() -> Markup:
    """Return the key of the density: the one figure that needs one."""
    drawing = Drawing(WIDTH, 18)
    place = 6.0
    for level, least in enumerate(STEPS):
        last = level == len(STEPS) - 1
        label = f"{least}+" if last else f"{least}–{STEPS[level + 1] - 1}"
        drawing.add(tag("path", class_=f"hx hx{level + 1}", d=_hexagon(place, 9)))
        drawing.text("s", place + 9, 13, label)
        place += 24 + n.width(label, 11)
    drawing.text("s", place - 6, 13, "decisions")
    ranges = [f"{least}–{more - 1}" for least, more in pairwise(STEPS)]
    return drawing.render(
        "key", title="Key: decisions per cell", description=", ".join([*ranges, f"{STEPS[-1]}+"])
    )


def _grid(drawing: Drawing, x: Linear, y: Linear) -> None:
    size = step(x.high - x.low, 5)
    places = max(1, decimals(size))
    for tick in x.ticks(5):
        drawing.down("gr", x(tick), (TOP, TOP + SIDE))
        drawing.across("gr", y(tick), (LEFT, LEFT + SIDE))
        drawing.text("t", LEFT - 7, y(tick) + 4, n.plain(tick, places), "end")
        drawing.text("t", x(tick), TOP + SIDE + 17, n.plain(tick, places), "middle")


def ramp_cell(x: float, y: float, decisions: int) -> Markup:
    """Return one hexagon in the step of the ramp that its count asks for."""
    return tag("path", class_=f"hx hx{_level(decisions) + 1}", d=_hexagon(x, y))


def _level(decisions: int) -> int:
    """Return the step of the ramp, 0 to 4, for a cell's count."""
    return max(level for level, least in enumerate(STEPS) if decisions >= least)


def _cells(drawing: Drawing, scores: Scores, level: int, axes: tuple[Linear, Linear]) -> None:
    x, y = axes
    shapes = [_hexagon(x(a), y(b)) for a, b, decisions in scores.cells if _level(decisions) == level]
    if shapes:
        drawing.add(tag("path", class_=f"hx hx{level + 1}", d="".join(shapes)))


def _hexagon(x: float, y: float) -> str:
    """Return a pointy hexagon of the cell's radius around (x, y), as path steps."""
    half, quarter = RADIUS * 0.866, RADIUS / 2
    return (
        f"M{px(x)} {px(y - RADIUS)}l{px(half)} {px(quarter)}v{px(RADIUS)}l{px(-half)} {px(quarter)}"
        f"l{px(-half)} {px(-quarter)}v{px(-RADIUS)}z"
    )


def _thresholds(drawing: Drawing, scores: Scores, x: Linear, y: Linear) -> None:
    first, second = scores.champion_threshold, scores.challenger_threshold
    if first is not None:
        drawing.down("mar", x(first), (TOP, TOP + SIDE))
        room = x(first) + 110 < LEFT + SIDE
        shift = 5 if room else -5
        drawing.text(
            "s halo",
            x(first) + shift,
            TOP + SIDE - 8,
            f"threshold {n.plain(first, 2)}",
            None if room else "end",
        )
    if second is not None:
        drawing.across("mar", y(second), (LEFT, LEFT + SIDE))
        if second != first:
            drawing.text("s halo", LEFT + SIDE - 4, y(second) - 5, f"threshold {n.plain(second, 2)}", "end")


def _corners(drawing: Drawing, flips: Flips) -> None:
    """Place both kinds of flip in the corners where they lie: above the diagonal, and below it."""
    if len(flips.decisions) != 2 or flips.positive_decision is None:  # noqa: PLR2004 -- a 2 x 2 matrix has corners
        return
    up = flips.decisions.index(flips.positive_decision)
    down = 1 - up
    said, unsaid = (flips.decisions[place].replace("_", " ") for place in (up, down))
    drawing.text("k halo", LEFT + 6, TOP + 15, f"{n.count(flips.cells[down][up].scored)} flip to {said}")
    words = f"{n.count(flips.cells[up][down].scored)} flip to {unsaid}"
    drawing.text("k halo", LEFT + SIDE - 4, TOP + SIDE - 26, words, "end")
