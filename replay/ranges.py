"""Places and ranges in the log, as `replay` sees them."""

from collections.abc import Iterable
from datetime import datetime

import msgspec


class AsOf(msgspec.Struct, frozen=True):
    """A place in the log up to which things are known: positions above `position` do not exist.

    `time` (UTC) is the log's own time there, the only clock that `replay` and `policies` know.
    `digest` is the head of the chain at that batch, 64 hex digits;
    (epoch, position, digest) names the history.
    """

    epoch: int
    position: int
    time: datetime
    digest: str


def gaps(start: int, stop: int, done: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the half-open ranges of [start, stop) that none of `done` covers, in order.

    >>> gaps(1, 10, [(3, 5), (4, 7), (9, 99)])
    [(1, 3), (7, 9)]
    """
    open_ranges, at = [], start
    for first, after in sorted(done):
        if first > at:
            open_ranges.append((at, min(first, stop)))
        at = max(at, after)
        if at >= stop:
            break
    if at < stop:
        open_ranges.append((at, stop))
    return [(a, b) for a, b in open_ranges if a < b]
