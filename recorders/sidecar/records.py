"""Records: the rows of the outbox as values."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

import msgspec

from recorders.canonical import digest
from recorders.sidecar.drafts import Draft

if TYPE_CHECKING:
    from recorders.append import Batch

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class Ready(NamedTuple):
    """A composed batch: its place in the order of shipping, and what is appended."""

    ordinal: int
    batch: "Batch"

    def proven(self) -> bool:
        """Whether the payload is what its digest names."""
        return digest(self.batch.payload) == self.batch.digest


class Identity(msgspec.Struct):
    """A writer of batches. `sequence` is the last one composed under it; `reason` says why it began."""

    number: int
    writer: bytes
    sequence: int
    reason: str
    since: float

    @property
    def uuid(self) -> UUID:
        """The writer as the log knows it."""
        return UUID(bytes=self.writer)


class Witness(NamedTuple):
    """The log's word for a batch. `at` is in seconds since 1970."""

    ordinal: int
    writer: bytes
    sequence: int
    epoch: int
    position: int
    chain: str
    covered: int
    at: float


class State(msgspec.Struct):
    """Where composing and shipping stand.

    Frames in inbox segments before `inherited_before` are batched under identity `inherited_number`: the
    folder is a copy, and its original may ship the same frames.
    """

    composed_segment: int = 0
    composed_id: int = 0
    last_ordinal: int = 0
    shipped_ordinal: int = 0
    inherited_before: int = 0
    inherited_number: int = 0
    log_id: str = ""
    place: str = ""


class File(msgspec.Struct):
    """A segment of the outbox. It is empty when `first_ordinal` lies behind `last_ordinal`.

    `end_position` is where the log holds the last event of it, 0 until then.
    """

    number: int
    first_ordinal: int
    last_ordinal: int
    end_position: int = 0
    shipped_at: float = 0.0


def row_of(
    ordinal: int, writer: bytes, sequence: int, draft: Draft, now: float, *, composed: bytes = b""
) -> tuple[Any, ...]:
    """Return the row of a new batch.

    Its composition is `[segment, id, writer, sequence]` of each frame, or that of the batch it replaces.
    """
    frames = [
        [stored.segment, stored.id, stored.frame.writer, stored.frame.sequence] for stored in draft.frames
    ]
    return (
        ordinal,
        writer,
        sequence,
        draft.kind,
        draft.decision_point,
        draft.schema_digest,
        draft.events,
        _microseconds(draft.occurred_min),
        _microseconds(draft.occurred_max),
        draft.digest,
        now,
        composed or msgspec.msgpack.encode(frames),
        draft.payload,
    )


def ready_of(row: tuple[Any, ...]) -> Ready:
    """Return the batch of a row as `outbox.sql` selects it.

    A batch is sent only after the one before it, so that one is always known acknowledged.
    """
    from recorders.append import Batch  # with psycopg: not before there is something to ship

    ordinal, writer, sequence, kind, decision_point, schema, events, first, last, named, _, _, payload = row
    batch = Batch(
        kind=kind,
        decision_point=decision_point,
        schema_digest=schema,
        writer=UUID(bytes=writer),
        sequence=sequence,
        events=events,
        occurred_min=_time(first),
        occurred_max=_time(last),
        payload=payload,
        digest=named,
        acked=sequence - 1,
    )
    return Ready(ordinal, batch)


def _microseconds(time: datetime | None) -> int | None:
    return None if time is None else (time - _EPOCH) // _MICROSECOND


def _time(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)
