"""The queues of one writer: events as bytes, until a frame takes them.

Request threads append to `decisions` and `outcomes`, also without a call of ours; one sender does the rest.
"""

from collections import deque
from itertools import accumulate, islice
from typing import Final

from recorders.frame import Kind
from recorders.limits import Limits
from recorders.segment_file import SegmentFile

SLOT_BYTES: Final = 1024  # as in recorders/_hotpath.c


class Queues:
    """What waits of each kind, and since when. A larger event takes several slots: the further ones are b"".

    >>> queues = Queues(Limits(linger_s=0.1))
    >>> queues.keep("outcome", b"late", None), queues.due(5.0, hurried=False), queues.due(5.1, hurried=False)
    (True, None, 'outcome')
    >>> queues.take("outcome")
    [b'late']
    """

    def __init__(self, limits: Limits) -> None:
        self.decisions: deque[bytes] = deque()
        self.outcomes: deque[bytes] = deque()
        self._of: dict[Kind, deque[bytes]] = {"decision": self.decisions, "outcome": self.outcomes}
        self._limits = limits
        self._waiting_since: dict[Kind, float] = {}
        self._turn: Kind = "decision"

    def keep(self, kind: Kind, data: bytes, journal: SegmentFile | None) -> bool:
        """Queue an event of any size, in `journal` too where there is one. False when that has no room."""
        items = [data]
        if len(data) > SLOT_BYTES:
            items += [b""] * ((len(data) - 1) // SLOT_BYTES)
        if journal is not None:
            return journal.keep(kind, items, self._of[kind])
        self._of[kind].extend(items)
        return True

    def due(self, now: float, *, hurried: bool) -> Kind | None:
        """Return the kind of which a frame leaves now, None while all may wait. Kinds take turns."""
        other: Kind = "outcome" if self._turn == "decision" else "decision"
        limits = self._limits
        for kind in (self._turn, other):
            queue = self._of[kind]
            if not queue:
                self._waiting_since.pop(kind, None)
                continue
            since = self._waiting_since.setdefault(kind, now)
            if hurried or len(queue) >= limits.frame_events or now >= since + limits.linger_s:
                self._turn = "outcome" if kind == "decision" else "decision"
                del self._waiting_since[kind]
                return kind
        return None

    def take(self, kind: Kind) -> list[bytes]:
        """Return the next events of a kind, at least one, within the frame's limits.

        In calls of C over all of them: event by event, it was a quarter of the thread's time.
        """
        queue, limits = self._of[kind], self._limits
        items = list(islice(iter(queue.popleft, None), min(len(queue), limits.frame_events)))
        if sum(map(len, items)) > limits.frame_bytes:
            sizes = accumulate(map(len, items))
            fitting = max(1, sum(size <= limits.frame_bytes for size in sizes))
            queue.extendleft(reversed(items[fitting:]))
            del items[fitting:]
        while queue and not queue[0]:
            queue.popleft()  # further slots of the last event: a queue never begins with one
        return list(filter(None, items))

    def empty(self) -> dict[Kind, int]:
        """Give up what waits, and return how many events that were."""
        lost: dict[Kind, int] = {"decision": 0, "outcome": 0}
        for kind, queue in self._of.items():
            while queue:
                lost[kind] += bool(queue.popleft())
        return lost
