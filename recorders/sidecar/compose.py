"""Compose: many small frames become few batches for the log, in columns.

Pure; persisted by the outbox before it is sent.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import msgspec
import pyarrow as pa

from recorders.canonical import canonical_json, digest
from recorders.columns import BATCH_BYTES_MAX, encode_batch, occurred_range, to_batch
from recorders.errors import CorruptBatch, FeatureSetError
from recorders.fields import FeatureSet
from recorders.losses import Loss
from recorders.sidecar.ahead import LeftOut, cut
from recorders.sidecar.drafts import Draft, control_of
from recorders.sidecar.report import OWN, recorder_loss
from recorders.sidecar.salvage import Stored
from recorders.sidecar.sealed_frames import rows_of
from recorders.sidecar.wire import KINDS, Arrived

OUTCOME_SCHEMA_DIGEST: Final = digest(b"outcome/1")
BATCH_BYTES: Final = 16 * 2**20
# What the columns of a batch may take: readers add up their buffers, each a few bytes longer for its padding.
COLUMNS_BYTES: Final = BATCH_BYTES_MAX - 2**20
LOSS: Final = KINDS.index("loss")
# A zero character is no JSON to PostgreSQL: the log refused the batch, and everything behind it waited.
_REASON_MAX: Final = 256
# How msgpack begins an array: its length follows in 4 or 2 bytes, or lies in the low four bits.
_ARRAY32, _ARRAY16, _FIXARRAY = 0xDD, 0xDC, 0x90


class Unusable(NamedTuple):
    """A frame that no batch can be made of, and why; or of which `ahead` had to be left out."""

    stored: Stored
    reason: str
    ahead: LeftOut | None = None


def compose(
    frames: Sequence[Stored],
    feature_set: Callable[[bytes], bytes | None],
    *,
    target_events: int,
    latest: datetime | None = None,
) -> tuple[list[Draft], list[Unusable]]:
    """Return batches of about `target_events` events that hold all frames, and what cannot be used.

    The order of arrival is kept within a kind and decision point. Batches are in the order of their first
    frames. Events after `latest` are left out.
    """
    drafts: list[Draft] = []
    unusable: list[Unusable] = []
    for group in groups(frames, target_events):
        if group[0].frame.kind in (LOSS, OWN):
            made, refused = _controls(group)
        else:
            made, refused = _columns(group, feature_set, latest)
        drafts += made
        unusable += refused
    return drafts, unusable


def groups(frames: Iterable[Stored], target_events: int) -> list[list[Stored]]:
    """Return the frames cut into runs of one kind, decision point and schema, by their first frames.

    A stream that changes its schema begins a new group, so that its order is kept.
    """
    open_groups: dict[tuple[int, str], list[Stored]] = {}
    sizes: dict[tuple[int, str], tuple[int, int]] = {}
    found: list[list[Stored]] = []
    for stored in frames:
        frame = stored.frame
        stream = (frame.kind, frame.decision_point)
        group = open_groups.get(stream)
        events, size = sizes.get(stream, (0, 0))
        fits = events + frame.events <= target_events and size + len(frame.payload) <= BATCH_BYTES
        if group is None or not fits or group[0].frame.schema != frame.schema:
            group = open_groups[stream] = []
            found.append(group)
            events = size = 0
        group.append(stored)
        sizes[stream] = (events + frame.events, size + len(frame.payload))
    return found


def _columns(
    group: list[Stored], feature_set: Callable[[bytes], bytes | None], latest: datetime | None
) -> tuple[list[Draft], list[Unusable]]:
    """Return one batch of the group; if that cannot be, batches of each of the frames that can be used."""
    try:
        schema, batch = _batch(group, feature_set)
        if len(group) == 1:
            return _alone(group, schema, batch, latest)
        if batch.nbytes <= COLUMNS_BYTES and (latest is None or occurred_range(batch)[1] <= latest):
            return [_draft(group, schema, batch)], []
    except (CorruptBatch, FeatureSetError) as error:
        if len(group) == 1:
            return [], [Unusable(group[0], error.happened)]
    drafts: list[Draft] = []
    unusable: list[Unusable] = []
    for stored in group:
        made, refused = _columns([stored], feature_set, latest)
        drafts += made
        unusable += refused
    return drafts, unusable


def _alone(
    group: list[Stored], schema: str, batch: pa.RecordBatch, latest: datetime | None
) -> tuple[list[Draft], list[Unusable]]:
    """Return the batches of one frame, and those of its events that are ahead."""
    unusable = []
    if latest is not None and occurred_range(batch)[1] > latest:
        batch, ahead = cut(batch, latest)
        unusable = [Unusable(group[0], "events are ahead of the log's clock", ahead)]
    return [_draft(group, schema, piece) for piece in _pieces(batch)], unusable


def _pieces(batch: pa.RecordBatch) -> list[pa.RecordBatch]:
    """Return the rows of a batch in such pieces as a log's readers take.

    Columns are larger than rows: an absent number is a byte of a frame, and eight of a column. A log takes
    more than it could give back to anybody.
    """
    if batch.nbytes <= COLUMNS_BYTES:
        return [batch] if batch.num_rows else []
    if batch.num_rows == 1:
        raise CorruptBatch(f"an event takes {batch.nbytes} bytes in columns, more than {COLUMNS_BYTES}")
    half = batch.num_rows // 2
    return [*_pieces(batch.slice(0, half)), *_pieces(batch.slice(half))]


def _batch(group: list[Stored], feature_set: Callable[[bytes], bytes | None]) -> tuple[str, pa.RecordBatch]:
    """Return the digest of the schema, and the columns of a group."""
    for stored in group:
        if not stored.proven():
            raise CorruptBatch("a frame's payload is not what its digest names")
    merged = merge([stored.frame for stored in group])
    declared = None
    if merged.kind == 0:
        canonical = feature_set(merged.schema)
        if canonical is None:
            raise CorruptBatch("its feature set was never announced")
        declared = FeatureSet.from_json(canonical)
    schema = OUTCOME_SCHEMA_DIGEST if declared is None else declared.digest
    return schema, to_batch(merged.frame(), declared)


def _draft(group: list[Stored], schema: str, batch: pa.RecordBatch) -> Draft:
    payload = encode_batch(batch)
    first, last = occurred_range(batch)
    frame = group[0].frame
    return Draft(
        KINDS[frame.kind],
        frame.decision_point,
        schema,
        batch.num_rows,
        first,
        last,
        payload,
        digest(payload),
        tuple(group),
    )


def merge(frames: Sequence[Arrived]) -> Arrived:
    """Return one frame with the events of all: msgpack arrays are joined without being decoded.

    Raises:
        CorruptBatch: a payload is no msgpack array of as many events as its header says.
    """
    if len(frames) == 1:
        return frames[0]._replace(payload=rows_of(frames[0].payload))
    events = sum(frame.events for frame in frames)
    bodies = [_body(frame) for frame in frames]
    payload = b"".join((bytes([_ARRAY32]), events.to_bytes(4, "big"), *bodies))
    return frames[0]._replace(events=events, payload=payload)


def _body(frame: Arrived) -> memoryview:
    """Return the payload after its array header."""
    payload = rows_of(frame.payload)
    first = payload[0] if payload else 0
    if first == _ARRAY32:
        size, start = int.from_bytes(payload[1:5], "big"), 5
    elif first == _ARRAY16:
        size, start = int.from_bytes(payload[1:3], "big"), 3
    elif first & 0xF0 == _FIXARRAY:
        size, start = first & 0x0F, 1
    else:
        raise CorruptBatch("a frame's payload is no array")
    if size != frame.events:
        raise CorruptBatch(f"a frame holds {size} events, its header says {frame.events}")
    return memoryview(payload)[start:]


def _controls(group: list[Stored]) -> tuple[list[Draft], list[Unusable]]:
    """Return a control batch for each loss that the frames report."""
    drafts: list[Draft] = []
    unusable: list[Unusable] = []
    for stored in group:
        frame = stored.frame
        if not stored.proven():
            unusable.append(Unusable(stored, "a report that is not what its digest names"))
        elif frame.kind == OWN:
            drafts.append(control_of(frame.payload, frame.decision_point, stored))
        else:
            try:
                losses = msgspec.msgpack.decode(frame.payload, type=list[Loss])
                if not all(
                    0 < len(loss.reason) <= _REASON_MAX and "\0" not in loss.reason for loss in losses
                ):
                    unusable.append(Unusable(stored, "a loss without a reason that the log can hold"))
                    continue
                events = [canonical_json(recorder_loss(loss, frame.decision_point)) for loss in losses]
            except (msgspec.DecodeError, ValueError, OverflowError, RecursionError) as error:
                unusable.append(Unusable(stored, f"a loss that cannot be read ({error})"))
                continue
            drafts += [control_of(event, frame.decision_point, stored) for event in events]
    return drafts, unusable
