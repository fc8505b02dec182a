"""Absent: what a mapping names and no decision of a file has: its path may be misspelled."""

from collections.abc import Sequence
from typing import Final

import msgspec

from recorders.doors.mapping import Mapping
from recorders.doors.router import Routed
from recorders.events import ENVELOPE

_MISSING: Final = "missing"


class Absent:
    """What is still to be seen of a mapping's names; nearly always the first decision has all of it."""

    def __init__(self, mapping: Mapping) -> None:
        envelope = [name for name, _, _ in ENVELOPE]
        fields = {field.name for field in mapping.feature_set.fields}
        self._places = {name: envelope.index(name) for name in mapping.asked if name not in fields}
        self._fields = {name for name in mapping.asked if name in fields}
        self._paths = mapping.asked
        self._decisions = 0

    def look(self, routed: Sequence[Routed]) -> None:
        """Take the events of one row into account."""
        for one in routed:
            if one.event.kind == "decision":
                self._decisions += 1
                if self._places or self._fields:
                    self._cross_off(msgspec.msgpack.decode(one.event.data))

    def found(self) -> tuple[str, ...]:
        """Return what no decision had, with the paths where it was looked for; nothing if there was none."""
        names = [*self._places, *sorted(self._fields)] if self._decisions else []
        return tuple(f"{name} ({', '.join(self._paths[name])})" for name in names)

    def _cross_off(self, values: list[object]) -> None:
        self._places = {name: place for name, place in self._places.items() if values[place] is None}
        statuses = values[-1]
        missing = (
            {name for name, status in statuses if status == _MISSING} if isinstance(statuses, list) else set()
        )
        self._fields &= missing
