"""Silence: how long nothing was heard of each writer, by a clock that nobody can set."""

from collections.abc import Iterable, Mapping
from typing import Final

from recorders.sidecar.marks import Mark

# A writer that was silent for this long is forgotten; if it comes back it takes a new writer.
SILENT_S: Final = 30 * 86_400.0
# What a start leaves each of them to say something, whatever the clock makes of when it last did.
GRACE_S: Final = 3_600.0


class Silence:
    """When each writer was last heard of. A frame counts, and to ask how far it is does.

    >>> silence = Silence()
    >>> silence.learn({b"old": Mark(1, 0.0), b"new": Mark(1, 9e6)}, wall=9e6, now=0.0)
    >>> silence.gone(GRACE_S - 1), silence.gone(GRACE_S), silence.gone(SILENT_S) == {b"old", b"new"}
    (set(), {b'old'}, True)
    """

    def __init__(self) -> None:
        self._heard: dict[bytes, float] = {}

    def learn(self, marks: Mapping[bytes, Mark], wall: float, now: float) -> None:
        """Take in what an earlier process wrote down; the clock may have been wrong then, or be so now."""
        for writer, mark in marks.items():
            self._heard[writer] = now - min(max(0.0, wall - mark.seen_at), SILENT_S - GRACE_S)

    def heard(self, writers: Iterable[bytes], now: float) -> None:
        """Take note that writers are there."""
        self._heard |= dict.fromkeys(writers, now)

    def gone(self, now: float) -> set[bytes]:
        """Return the writers that were silent too long."""
        return {writer for writer, heard in self._heard.items() if now - heard >= SILENT_S}

    def forget(self, writers: Iterable[bytes]) -> None:
        """Forget writers."""
        for writer in writers:
            self._heard.pop(writer, None)
