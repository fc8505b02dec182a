"""Losses: what was counted as dropped or rejected, and what of that the log already knows."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from recorders.counters import Tally


class Loss(msgspec.Struct, frozen=True, array_like=True):
    """Some events of `writer` that will not come, for one reason, between two instants (UTC microseconds)."""

    writer: UUID
    reason: str
    count: int
    first_us: int
    last_us: int


class Losses:
    """Compares tallies with what was reported. Used by the background thread alone.

    The instants bound the losses from outside: they are the look before the first and the look that
    found the last, so that the path that drops an event need not read the clock. Where it was set back
    between them, the earlier one comes first all the same.
    """

    def __init__(self, writer: UUID, tallies: Mapping[str, Tally], now_us: int) -> None:
        self._writer = writer
        self._tallies = tallies
        self._reported = dict.fromkeys(tallies, 0)
        self._seen = dict.fromkeys(tallies, 0)
        self._ranges: dict[str, tuple[int, int]] = {}
        self._looked_us = now_us

    def look(self, now_us: int) -> None:
        """Take note of what was counted since the last look."""
        for reason, tally in self._tallies.items():
            count = tally.value
            if count > self._seen[reason]:
                first, last = self._ranges.get(reason, (self._looked_us, self._looked_us))
                self._ranges[reason] = (min(first, now_us), max(last, now_us))
                self._seen[reason] = count
        self._looked_us = now_us

    @property
    def pending(self) -> bool:
        """Whether something was seen that is not reported."""
        return bool(self._ranges)

    def unreported(self) -> list[Loss]:
        """Return what `take` would, one after the other, as things stand."""
        return [
            Loss(self._writer, reason, self._seen[reason] - self._reported[reason], first, last)
            for reason, (first, last) in self._ranges.items()
        ]

    def take(self) -> Loss | None:
        """Return one unreported loss and count it as reported, or None."""
        for reason, (first, last) in self._ranges.items():
            count = self._seen[reason] - self._reported[reason]
            self._reported[reason] = self._seen[reason]
            del self._ranges[reason]
            return Loss(self._writer, reason, count, first, last)
        return None

    def give_back(self, loss: Loss) -> None:
        """Count a loss as unreported again: the frame that carried it was refused."""
        self._reported[loss.reason] -= loss.count
        first, last = self._ranges.get(loss.reason, (loss.first_us, loss.last_us))
        self._ranges[loss.reason] = (min(first, loss.first_us), max(last, loss.last_us))
