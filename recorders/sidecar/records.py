"""Records: the rows of the outbox as values."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import NoneType
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID

import msgspec

from recorders.canonical import digest
from recorders.sidecar.drafts import Draft

if TYPE_CHECKING:
    from recorders.append import Batch

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
WRITER_BYTES: Final = 16


class Ready(NamedTuple):
    """A composed batch: its place in the order of shipping, and what is appended.

    The payload is what its digest names.
    """

    ordinal: int
    batch: "Batch"


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


class RowDamaged(LookupError):  # noqa: N818  # the name is the design's word
    """A row that no batch has. `payload` is what it holds, None where its digest does not prove it."""

    def __init__(self, row: tuple[Any, ...], what: str) -> None:
        ordinal, named, payload = row[0], row[9], row[12]
        super().__init__(f"{what} of batch {ordinal} is damaged")
        proven = isinstance(payload, bytes) and digest(payload) == named
        self.payload = payload if proven else None


# What a row of `outbox.sql` holds, and of which type: SQLite gives whatever the bytes of a damaged one say.
_COLUMNS: Final[Mapping[str, tuple[type, ...]]] = {
    "the ordinal": (int,),
    "the writer": (bytes,),
    "the sequence": (int,),
    "the kind": (str,),
    "the decision point": (str,),
    "the schema": (str,),
    "the count of events": (int,),
    "the first time": (int, NoneType),
    "the last time": (int, NoneType),
    "the digest": (str,),
    "the time of composing": (float, int),  # neither this nor the next is needed to ship a batch
    "the composition": (bytes, str),
    "the payload": (bytes,),
}


def ready_of(row: tuple[Any, ...]) -> Ready:
    """Return the batch of a row as `outbox.sql` selects it.

    A batch is sent only after the one before it, so that one is always known acknowledged.

    Raises:
        RowDamaged: no batch has such a row.
    """
    from recorders.append import Batch  # with psycopg: not before there is something to ship

    for value, (name, types) in zip(row, _COLUMNS.items(), strict=True):
        if type(value) not in types:
            raise RowDamaged(row, name)
    ordinal, writer, sequence, kind, decision_point, schema, events, first, last, named, _, _, payload = row
    if digest(payload) != named:
        raise RowDamaged(row, "the payload")
    if len(writer) != WRITER_BYTES:
        raise RowDamaged(row, "the writer")
    if sequence < 1:
        raise RowDamaged(row, "the sequence")
    try:
        occurred_min, occurred_max = _time(first), _time(last)
    except OverflowError as error:
        raise RowDamaged(row, "a time") from error
    batch = Batch(
        kind=kind,
        decision_point=decision_point,
        schema_digest=schema,
        writer=UUID(bytes=writer),
        sequence=sequence,
        events=events,
        occurred_min=occurred_min,
        occurred_max=occurred_max,
        payload=payload,
        digest=named,
        acked=sequence - 1,
    )
    return Ready(ordinal, batch)


def _microseconds(time: datetime | None) -> int | None:
    return None if time is None else (time - _EPOCH) // _MICROSECOND


def _time(microseconds: int | None) -> datetime | None:
    return None if microseconds is None else _EPOCH + timedelta(microseconds=microseconds)
