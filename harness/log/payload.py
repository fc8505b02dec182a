"""The payload of one stored batch: what its digest names, as columns with their place."""

import hashlib
from typing import Any

import numpy as np
import pyarrow as pa

from harness.errors import DigestMismatch
from recorders.columns import decode_batch
from recorders.errors import CorruptBatch

DECODED_BYTES_MAX = 2**30
POSITION = pa.field("position", pa.int64(), nullable=False)
RECORDED_AT = pa.field("recorded_at", pa.timestamp("us", tz="UTC"), nullable=False)


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


def placed(batch: pa.RecordBatch, position: int, recorded_at: Any) -> pa.RecordBatch:
    """Return the events of a batch that begins at `position`, with `position` and `recorded_at` in front."""
    rows = batch.num_rows
    places = pa.array(np.arange(position, position + rows, dtype=np.int64))
    times = pa.repeat(pa.scalar(recorded_at, RECORDED_AT.type), rows)
    schema = batch.schema.insert(0, RECORDED_AT).insert(0, POSITION)
    return pa.RecordBatch.from_arrays([places, times, *batch.columns], schema=schema)
