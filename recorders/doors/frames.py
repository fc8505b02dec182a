"""Frames of the doors: events gathered into frames within the limits of the wire."""

from collections.abc import Iterable, Iterator
from typing import Final
from uuid import UUID

from recorders.canonical import digest
from recorders.doors.router import Routed
from recorders.frame import Frame, Kind

EVENTS: Final = 4_000
PAYLOAD_BYTES: Final = 4 * 2**20
_ARRAY32: Final = b"\xdd"  # msgpack: an array whose length follows in four bytes
Stream = tuple[str, str, str]


class Packing:
    """Gathers events by kind, decision point and schema, and cuts the next frame of `writer` from them.

    The same events in the same order make the same frames.
    """

    def __init__(self, writer: UUID, *, sequence: int = 0, events: int = EVENTS) -> None:
        self.writer = writer
        self.sequence = sequence
        self._events = events
        self._open: dict[Stream, list[bytes]] = {}
        self._sizes: dict[Stream, int] = {}

    def add(self, routed: Iterable[Routed]) -> Iterator[Frame]:
        """Take events in, and yield the frames that they fill."""
        for one in routed:
            stream = (one.event.kind, one.decision_point, one.schema)
            held = self._open.setdefault(stream, [])
            size = self._sizes.get(stream, 0) + len(one.event.data)
            if held and (len(held) >= self._events or size > PAYLOAD_BYTES):
                yield self._cut(stream)
                held, size = self._open.setdefault(stream, []), len(one.event.data)
            held.append(one.event.data)
            self._sizes[stream] = size

    def rest(self) -> Iterator[Frame]:
        """Yield the frames of what is left, in the order of their first events."""
        for stream in list(self._open):
            yield self._cut(stream)

    def _cut(self, stream: Stream) -> Frame:
        events = self._open.pop(stream)
        del self._sizes[stream]
        self.sequence += 1
        kind, decision_point, schema = stream
        return frame_of(self.writer, self.sequence, kind, decision_point, schema, events)


def frame_of(
    writer: UUID, sequence: int, kind: str, decision_point: str, schema: str, events: list[bytes]
) -> Frame:
    """Return one frame of encoded events."""
    payload = b"".join((_ARRAY32, len(events).to_bytes(4, "big"), *events))
    known: Kind = "decision" if kind == "decision" else "outcome" if kind == "outcome" else "loss"
    return Frame(writer, sequence, known, decision_point, schema, len(events), payload, digest(payload))
