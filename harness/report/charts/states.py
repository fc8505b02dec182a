"""A row of verdicts under a plot: a mark at each look, and the word wherever it changes and fits."""

from collections.abc import Sequence

from harness.report.charts.frame import ROW_NAMES, WIDE, labelled
from harness.report.findings import State
from harness.report.marks import WORDS, mark
from harness.report.markup import tag
from harness.report.svg import Drawing

_SIZE = 10
_GAP = 7
_LEAD = 14
_CAPITAL = 8.8  # px of a semibold capital at 10.5 px, in the widest fallback font


def draw_states(drawing: Drawing, states: Sequence[State], places: Sequence[float], top: float) -> None:
    """Place one mark per state at its x; words only in the wide drawing."""
    worded = _worded(states, places) if drawing.width == WIDE else set()
    taken = [_extent(places[index], states[index]) for index in worded]
    for index in sorted(labelled(list(places), _SIZE + 3) | worded):
        place, state = places[index], states[index]
        if index in worded:
            left = _extent(place, state)[0]
            label = tag("text", WORDS[state], class_="w", x=left + _LEAD, y=top + 9.5)
            drawing.add(tag("g", mark(state, _SIZE, at=(left, top)), label, class_=state))
        elif all(place + _SIZE / 2 < start or place - _SIZE / 2 > stop for start, stop in taken):
            drawing.add(tag("g", mark(state, _SIZE, at=(place - _SIZE / 2, top)), class_=state))


def _extent(place: float, state: State) -> tuple[float, float]:
    left = max(place - _width(state) / 2, ROW_NAMES)
    return left, left + _width(state)


def _width(state: State) -> float:
    return _LEAD + _CAPITAL * len(WORDS[state])


def _worded(states: Sequence[State], places: Sequence[float]) -> set[int]:
    """Return the looks that carry a word: all that fit, else the last and the first that fits of each run."""
    everyone = range(len(states))
    if all(_apart(states, places, index, index + 1) for index in everyone[:-1]):
        return set(everyone)
    chosen = [len(states) - 1]
    said: State | None = None
    for index in everyone[:-1]:
        if states[index] != said and all(_apart(states, places, index, other) for other in chosen):
            chosen.append(index)
            said = states[index]
    return set(chosen)


def _apart(states: Sequence[State], places: Sequence[float], first: int, second: int) -> bool:
    a, b = _extent(places[first], states[first]), _extent(places[second], states[second])
    return max(a[0], b[0]) - min(a[1], b[1]) >= _GAP
