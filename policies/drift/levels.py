"""The levels of a category as a reference shows them: how often each occurs, and which occur most."""

from collections import Counter
from collections.abc import Iterable
from typing import Protocol


class Levels(Protocol):
    """Counts levels. Which it gives does not depend on the order in which they came."""

    def add(self, found: Iterable[tuple[str, int]]) -> None:
        """Count each level so many times more."""

    def largest(self, most: int) -> list[tuple[str, int]]:
        """Return the `most` levels that occur most, those of one count by name."""


class LevelsInMemory:
    """Counts levels in memory, however many there are.

    >>> levels = LevelsInMemory()
    >>> levels.add([("b", 1), ("a", 1), ("c", 2)])
    >>> levels.largest(2)
    [('c', 2), ('a', 1)]
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, found: Iterable[tuple[str, int]]) -> None:
        """Count each level so many times more."""
        for level, times in found:
            self.counts[level] += times

    def largest(self, most: int) -> list[tuple[str, int]]:
        """Return the `most` levels that occur most, those of one count by name."""
        return sorted(self.counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most]
