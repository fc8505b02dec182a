"""The alpha-wealth of candidates on one log, as control events: a level is drawn before its experiment.

A turn of a ledger is one event under one key. Of two experiments that register at once both compute the same
turn; the log stores one, and the other draws the next. A turn that was drawn is spent, whatever comes of it.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from harness.experiment_errors import WealthAltered, WealthDiffers, WealthRaced
from harness.experiment_file import WealthPlan
from harness.log.events import ControlEvent
from harness.log.log import Log
from policies.figures import tidy
from policies.wealth import Candidate, Control, Wealth
from recorders.errors import WriterForked

DRAWN, REACHED = "wealth.drawn", "verdict.reached"
_SHOWN = frozenset({"PROMOTE", "RETRAIN"})
_TRIES = 100


class Draw(msgspec.Struct, frozen=True):
    """One turn of a ledger: who drew it, at which level, and which candidates had been shown by then.

    `alpha` and `control` are the ledger's. `as_of` is the position up to which verdicts were known.
    """

    ledger: str
    alpha: float
    control: Control
    turn: int
    experiment: str
    declaration_digest: str
    level: float
    shown: tuple[str, ...]
    as_of: int


class Line(msgspec.Struct, frozen=True):
    """A turn with its place in the log and what became of its experiment: None while it is open."""

    draw: Draw
    position: int
    state: str | None


def preview(log: Log, plan: WealthPlan, alpha: float, *, experiment: str, digest: str) -> Draw:
    """Return the draw that this experiment has, or would be given now; nothing is stored.

    Raises:
        WealthDiffers: the ledger was opened with another alpha or control.
    """
    as_of = log.head().position
    events = log.controls(DRAWN, plan.ledger, up_to=as_of)
    draws = [_draw(event) for event in events]
    for draw in draws:
        if (draw.experiment, draw.declaration_digest) == (experiment, digest):
            return draw
    if draws and (draws[0].alpha, draws[0].control) != (alpha, plan.control):
        opened = (draws[0].alpha, draws[0].control)
        raise WealthDiffers(plan.ledger, events[0].position, opened, (alpha, plan.control))
    return _next(log, draws, plan, alpha, as_of, names=(experiment, digest))


def draw_level(log: Log, plan: WealthPlan, alpha: float, *, experiment: str, digest: str) -> Draw:
    """Return the draw of this experiment, stored; asking again gives the same one.

    Raises:
        WealthDiffers: the ledger was opened with another alpha or control.
        WealthRaced: others took every turn that was tried.
    """
    for _ in range(_TRIES):
        draw = preview(log, plan, alpha, experiment=experiment, digest=digest)
        body = msgspec.to_builtins(draw)
        try:
            log.control(DRAWN, plan.ledger, body, key=f"wealth:{plan.ledger}:{draw.turn}")
        except WriterForked:
            continue  # somebody took this turn since: look again
        return draw
    raise WealthRaced(plan.ledger, _TRIES)


def _next(
    log: Log, draws: Sequence[Draw], plan: WealthPlan, alpha: float, as_of: int, *, names: tuple[str, str]
) -> Draw:
    shown = _shown(log, draws, as_of)
    return Draw(
        ledger=plan.ledger,
        alpha=alpha,
        control=plan.control,
        turn=len(draws) + 1,
        experiment=names[0],
        declaration_digest=names[1],
        level=_level(draws, shown, alpha, plan.control),
        shown=shown,
        as_of=as_of,
    )


def _level(draws: Sequence[Draw], shown: tuple[str, ...], alpha: float, control: Control) -> float:
    candidates = tuple(
        Candidate(f"{draw.turn}", draw.level, shown=draw.experiment in shown or None) for draw in draws
    )
    return tidy(Wealth(alpha, control, candidates).next_alpha)


def _shown(log: Log, draws: Sequence[Draw], as_of: int) -> tuple[str, ...]:
    """Return the experiments of these draws with a recorded verdict that shows something, in their order."""
    states = _states(log, as_of)
    return tuple(dict.fromkeys(d.experiment for d in draws if states.get(d.experiment) in _SHOWN))


def _states(log: Log, up_to: int | None) -> dict[str, str]:
    """Return the verdict that concluded each experiment, as known at a position."""
    found: dict[str, str] = {}
    for event in log.controls(REACHED, up_to=up_to):
        if event.body["state"] not in ("HOLD", "NOT_IDENTIFIABLE"):
            found.setdefault(event.subject, event.body["state"])
    return found


def _draw(event: ControlEvent) -> Draw:
    return msgspec.convert(event.body, Draw)


def ledger(log: Log, name: str | None = None) -> list[Line]:
    """Return every turn of a ledger, or of all, in the order of the log.

    Raises:
        WealthAltered: a level is not what the log gives; it is named.
    """
    states, before = _states(log, None), dict[str, list[Draw]]()
    lines = []
    for event in log.controls(DRAWN, name):
        draw = _draw(event)
        earlier = before.setdefault(draw.ledger, [])
        _check(log, draw, earlier, event.position)
        earlier.append(draw)
        lines.append(Line(draw, event.position, states.get(draw.experiment)))
    return lines


def _check(log: Log, draw: Draw, earlier: Sequence[Draw], position: int) -> None:
    shown = _shown(log, earlier, draw.as_of)
    level = _level(earlier, shown, draw.alpha, draw.control)
    found: tuple[Any, ...] = (draw.turn, draw.level, draw.shown, draw.as_of < position)
    expected = (len(earlier) + 1, level, shown, True)
    if found != expected:
        raise WealthAltered(draw.ledger, position, str(found), str(expected))


def ledger_text(lines: Sequence[Line]) -> str:
    """Return one line for each turn."""
    if not lines:
        return "No level was drawn. An experiment draws one with a table [wealth] in its file."
    head = f"{'ledger':<20}{'turn':>5}  {'experiment':<28}{'level':>12}{'e needed':>10}  state"
    rows = [
        f"{each.draw.ledger:<20}{each.draw.turn:>5}  {each.draw.experiment:<28}{each.draw.level:>12.6f}"
        f"{1.0 / each.draw.level:>10.1f}  {each.state or 'open'}"
        for each in lines
    ]
    return "\n".join([head, *rows])
