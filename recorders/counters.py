"""Counters that stay exact under threads without a lock on the path that counts."""

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Final

import msgspec

# Why an event was not accepted, or was accepted and did not reach the log.
DROPS: Final = ("full", "off", "stopped", "refused", "ahead", "exit", "fork")
# Why an event was refused at the door: what its sender can mend.
REJECTIONS: Final = (
    "undeclared",
    "type",
    "range",
    "naive",
    "size",
    "text",
    "status",
    "cut_off",
    "exception",
)


class Counters(msgspec.Struct, frozen=True):
    """What a recorder did since it was made, or since its process was forked. All count events.

    `accepted` were promised delivery. `sent` were handed to the link (`resent` again, after no answer),
    `acked` are in the log. `rejected` and `dropped` count by reason (recorders/counters.py lists them);
    of the dropped, "refused", "ahead", "exit" and "fork" had been accepted, "full", "off" and "stopped" not.
    `sampled_out` are no losses: the inclusion probability of those that were kept stands for them.
    """

    accepted: int
    sent: int
    acked: int
    resent: int
    rejected: Mapping[str, int]
    dropped: Mapping[str, int]
    sampled_out: int = 0


class Tally:
    """A count that any thread may raise, in one C call that no other thread can split.

    `x += 1` is two steps, and threads lose counts between them; a lock would wait. Reading takes one
    from the same iterator and subtracts the readings.

    >>> tally = Tally()
    >>> _ = tally.add()
    >>> tally.value, tally.value
    (1, 1)
    """

    __slots__ = ("_lock", "_reads", "add", "counting")

    def __init__(self) -> None:
        self.counting: Iterator[int] = itertools.count()
        self.add: Callable[[], int] = self.counting.__next__  # what it returns means nothing to callers
        self._reads = 0
        self._lock = threading.RLock()  # re-entrant: a signal handler may read while a reading is interrupted

    @property
    def value(self) -> int:
        """The count so far."""
        with self._lock:
            count = self.add() - self._reads
            self._reads += 1
            return count
