"""Recent: the last frames that a spool has kept, in memory as well: composing need not read them again."""

import threading
from collections import deque
from collections.abc import Sequence
from typing import Final

from recorders.sidecar.place import Place
from recorders.sidecar.salvage import Stored

BYTES_MAX: Final = 32 * 2**20


class Recent:
    """What was kept after a place and is not composed yet, as far as it is not too much. For two threads.

    It holds nothing that the disk does not have: who dies loses nothing with it.
    """

    def __init__(self, since: Place) -> None:
        self._since: Place = since
        self._frames: deque[Stored] = deque()
        self._bytes = 0
        self._lock = threading.Lock()

    def add(self, kept: Sequence[Stored]) -> None:
        """Take in what the disk has now; beyond the limit the oldest are left to the disk."""
        with self._lock:
            self._frames.extend(kept)
            self._bytes += sum(len(stored.frame.payload) for stored in kept)
            while self._bytes > BYTES_MAX:
                self._drop()

    def after(self, place: Place, *, events: int, payload_bytes: int) -> list[Stored] | None:
        """Return the frames after a place until one of the limits is passed; None when some are not here."""
        found: list[Stored] = []
        with self._lock:
            if place < self._since:
                return None
            while self._frames and self._frames[0][:2] <= place:
                self._drop()
            for stored in self._frames:
                found.append(stored)
                events -= stored.frame.events
                payload_bytes -= len(stored.frame.payload)
                if events <= 0 or payload_bytes <= 0:
                    break
        return found

    def _drop(self) -> None:
        dropped = self._frames.popleft()
        self._since = Place(*dropped[:2])
        self._bytes -= len(dropped.frame.payload)
