"""Batches of a range as Arrow, in order of position, each checked against its digest."""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from harness.errors import DigestMismatch, UsageError
from harness.log.connection import Connection
from harness.log.queries import query
from recorders.columns import decode_batch
from recorders.errors import CorruptBatch

# Chunks: each is one statement, so one short snapshot. A long one would stop the pruning of the head row.
ROWS_MAX = 2_000
BYTES_MAX = 32 * 2**20
DECODED_BYTES_MAX = 2**30
POSITION = pa.field("position", pa.int64(), nullable=False)
RECORDED_AT = pa.field("recorded_at", pa.timestamp("us", tz="UTC"), nullable=False)


def read(
    connection: Connection,
    start: int,
    stop: int,
    *,
    kind: str,
    decision_point: str | None = None,
    columns: Sequence[str] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yield the events of [start, stop) of one kind, a stored batch at a time, cut to the range.

    The first columns are `position` and `recorded_at`; then those of the batch, or the named ones it has.
    Batches of different schemas follow each other as they were appended.

    Raises:
        UsageError: the range or the kind cannot be.
        DigestMismatch: a payload is not what its digest names.
        CorruptBatch: a payload is not the events that its header counts; the error names the position.
    """
    if kind not in {"decision", "outcome", "score"}:
        raise UsageError(
            f'Events of kind "{kind}" are no columns.',
            "Expected decision, outcome or score.",
            "See log.controls().",
        )
    if start < 1 or stop < start:
        raise UsageError(
            f"The range [{start}, {stop}) is none.", "Expected 1 <= start <= stop.", "Positions begin at 1."
        )
    for chunk in chunks(connection, start, stop, kind, decision_point):
        for position, events, recorded_at, digest, payload in chunk:
            batch = decoded(position, events, digest, payload)
            yield _placed(batch, position, recorded_at, start, stop, columns)


def chunks(
    connection: Connection, start: int, stop: int, kind: str, decision_point: str | None
) -> Iterator[list[tuple[Any, ...]]]:
    """Yield rows (position, events, recorded_at, digest, payload) of a range's batches, in chunks."""
    values: dict[str, Any] = {"kind": kind}
    if decision_point is not None:
        values["decision_point"] = decision_point
    suffix = "kind" if decision_point is None else "point"
    before = connection.rows(query(f"start_of_{suffix}"), start=start, **values)
    at = before[0][0] if before else start
    while at < stop:
        found = connection.rows(
            query(f"next_of_{suffix}"), start=at, stop=stop, rows=ROWS_MAX, bytes=BYTES_MAX, **values
        )
        if not found:
            return
        # The batch that begins before the range need not reach into it.
        yield [row for row in found if row[0] + row[1] > start]
        at = found[-1][0] + found[-1][1]


def check(position: int, digest: bytes, payload: bytes) -> None:
    """Raise DigestMismatch unless the payload is what its digest names."""
    found = hashlib.sha256(payload).digest()
    if found != digest:
        raise DigestMismatch(position, digest.hex(), found.hex())


def decoded(position: int, events: int, digest: bytes, payload: bytes) -> pa.RecordBatch:
    """Return the events of a stored batch, as many as its header counts.

    The database cannot count what is inside a payload: a writer that miscounts would give two events one
    position, or a position none.

    Raises:
        DigestMismatch: the bytes are not those that were appended.
        CorruptBatch: they are, and cannot be read, or hold another number of events.
    """
    check(position, digest, payload)
    try:
        batch = decode_batch(payload, max_bytes=DECODED_BYTES_MAX)
    except CorruptBatch as error:
        raise CorruptBatch(error.what, position=position) from error
    if batch.num_rows != events:
        what = f"its payload holds {batch.num_rows} events, its header counts {events}"
        raise CorruptBatch(what, position=position)
    return batch


def _placed(
    batch: pa.RecordBatch,
    position: int,
    recorded_at: Any,
    start: int,
    stop: int,
    columns: Sequence[str] | None,
) -> pa.RecordBatch:
    first, last = max(start, position), min(stop, position + batch.num_rows)
    if columns is not None:
        batch = batch.select([name for name in columns if name in batch.schema.names])
    if (first, last) != (position, position + batch.num_rows):
        batch = batch.slice(first - position, last - first)
    rows = last - first
    places = pa.array(np.arange(first, last, dtype=np.int64))
    times = pa.repeat(pa.scalar(recorded_at, RECORDED_AT.type), rows)
    schema = pa.schema([POSITION, RECORDED_AT, *batch.schema], metadata=batch.schema.metadata)
    return pa.RecordBatch.from_arrays([places, times, *batch.columns], schema=schema)
