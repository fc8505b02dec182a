"""The outermost values of a stream: what a quantile near its end needs, and no more."""

import numpy as np

from policies.columns import Floats

_ROOM = 2**13  # values that may wait before they are sorted out


class Outermost:
    """The smallest values of a stream, `kept` of them; which is the smallest but n is exact for n < kept.

    In any order and any number of parts the same.

    >>> tail = Outermost(2)
    >>> for part in ([5.0, 1.0], [3.0], [2.0]): tail.add(np.array(part))
    >>> tail.at(1)
    2.0
    """

    def __init__(self, kept: int) -> None:
        assert kept > 0
        self._kept, self._waiting = kept, 0
        self._parts: list[Floats] = []
        self._limit = np.inf

    def add(self, values: Floats) -> None:
        """Take finite values in."""
        near = values[values < self._limit] if self._limit < np.inf else values.copy()
        self._parts.append(near)
        self._waiting += near.size
        if self._waiting > 2 * self._kept + _ROOM:
            self._sort_out()

    def at(self, place: int) -> float:
        """Return the value that `place` values come before; zeros have no sign."""
        assert 0 <= place < self._kept
        self._sort_out()
        return float(np.partition(self._parts[0], place)[place]) + 0.0

    def _sort_out(self) -> None:
        values = np.concatenate(self._parts)
        if values.size > self._kept:
            values = np.partition(values, self._kept - 1)[: self._kept]
            self._limit = float(values.max())
        self._parts, self._waiting = [values], values.size
