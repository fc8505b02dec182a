"""Picks: how the values of a mapping are found in a document, and what makes each one of its kind.

Compiled where the hot path is, Python everywhere else, and the same from both (docs/adr/0074).
"""

from collections.abc import Callable, Sequence
from typing import Any

from recorders import hotpath
from recorders.doors.casts import cast_for
from recorders.doors.mapping import Pick
from recorders.doors.paths import ABSENT, Find, compile_path, steps_of


class Picks:
    """Finds the values of several picks in a document, in their order; ABSENT for what is not there."""

    def __init__(self, picks: Sequence[Pick]) -> None:
        self._finds = [_finder(pick) for pick in picks]
        self.plan = tuple(
            (tuple(steps_of(path) for path in pick.paths), ABSENT if pick.value is None else pick.value)
            for pick in picks
        )

    def find(self, document: Any) -> list[Any]:
        """Return the values of a document."""
        if hotpath.find_values is not None:
            found = hotpath.find_values(self.plan, document, ABSENT)
            if found is not None:
                return found
        return [find(document) for find in self._finds]


def picked(name: str, pick: Pick, kind: str) -> tuple[Find, Callable[[Any], Any]]:
    """Return how a value is found and what makes it one of `kind`. A null gives way to the next path."""
    return _finder(pick), cast_for(name, kind, pick.unit, pick.zone)


def _finder(pick: Pick) -> Find:
    finds = [compile_path(path) for path in pick.paths]
    fallback = ABSENT if pick.value is None else pick.value
    if len(finds) == 1 and fallback is ABSENT:
        return finds[0]
    if len(finds) == 1:
        return _or_else(finds[0], fallback)

    def find(document: Any) -> Any:
        found = ABSENT
        for one in finds:
            value = one(document)
            if value is not ABSENT and value is not None:
                return value
            found = value if found is ABSENT else found
        return found if fallback is ABSENT else fallback

    return find


def _or_else(find_one: Find, fallback: Any) -> Find:
    def find(document: Any) -> Any:
        value = find_one(document)
        return fallback if value is ABSENT or value is None else value

    return find
