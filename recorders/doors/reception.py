"""Reception: all connections of the doors, and what each of them may take."""

from collections import Counter
from typing import NamedTuple, Protocol

from recorders.doors.heads import Forms
from recorders.doors.http import Doors


class Limits(NamedTuple):
    """What one connection may take: bytes of a body, seconds until a request is whole."""

    connections: int = 1_024
    body_bytes: int = 4 * 2**20
    request_s: float = 10.0


class Sender(Protocol):
    """One connection, as the reception knows it."""

    def late(self, now: float) -> bool:
        """Whether a request is not whole in time, or none came for long."""
        ...

    def cut_off(self) -> None:
        """End a connection that is late."""
        ...

    def finish(self) -> None:
        """Read no more, and close after the last answer."""
        ...

    def abort(self) -> None:
        """End it now."""
        ...


class Reception:
    """All connections of the doors."""

    def __init__(self, doors: Doors, limits: Limits, counts: Counter[str]) -> None:
        self.doors = doors
        self.limits = limits
        self.counts = counts
        self.forms = Forms(doors.bring_one)
        self.open: set[Sender] = set()

    def sweep(self, now: float) -> None:
        """Cut off who takes too long over a request, or sends none."""
        for connection in list(self.open):
            if connection.late(now):
                self.counts["timeouts"] += 1
                connection.cut_off()

    def close(self) -> None:
        """End each connection once what it waits for is answered."""
        for connection in list(self.open):
            connection.finish()
