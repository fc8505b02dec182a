"""Levels of a category counted in little memory: those of an exploded one go to a temporary file."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from harness.log.queries import statements
from policies.drift.levels import LevelsInMemory

_STATEMENTS = statements(Path(__file__).with_suffix(".sql"))
CHARACTERS_MAX = 2**21  # of distinct levels in memory, each taken as some more for its object
_OBJECT = 32


class LevelsOnDisk:
    """Counts levels; what is too much for memory is in a file without a name, gone with this object.

    The order of its text is that of its characters' code points, as in memory.

    >>> levels = LevelsOnDisk(characters=1)
    >>> levels.add([("b", 1), ("a", 1), ("c", 2)]), levels.add([("c", 1)])
    (None, None)
    >>> levels.largest(2)
    [('c', 3), ('a', 1)]
    """

    def __init__(self, characters: int = CHARACTERS_MAX) -> None:
        self._most, self._held = characters, 0
        self._memory = LevelsInMemory()
        self._file: sqlite3.Connection | None = None

    def add(self, found: Iterable[tuple[str, int]]) -> None:
        """Count each level so many times more."""
        counts = self._memory.counts
        for level, times in found:
            if level not in counts:
                self._held += len(level) + _OBJECT
            counts[level] += times
            if self._held > self._most:
                self._spill()

    def largest(self, most: int) -> list[tuple[str, int]]:
        """Return the `most` levels that occur most, those of one count by name."""
        if self._file is None:
            return self._memory.largest(most)
        self._spill()
        return [(name, times) for name, times in self._file.execute(_STATEMENTS["largest"], (most,))]

    def _spill(self) -> None:
        """Add what is in memory to the file, in the file's own order."""
        if self._file is None:
            self._file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            self._file.execute("pragma journal_mode = off")
            self._file.execute(_STATEMENTS["table"])
        self._file.execute("begin")
        self._file.executemany(_STATEMENTS["add"], sorted(self._memory.counts.items()))
        self._file.execute("commit")
        self._memory.counts.clear()
        self._held = 0
