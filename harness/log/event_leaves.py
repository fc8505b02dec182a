"""Event leaves: one hash for each event of a batch, over its values and not over their layout. Pure.

    row   = sha256(schema || cells of fixed width || cells of other widths)
    event = leaf(position || length of id || id || row)

`schema` is the SHA-256 of every column's name and type, each after its length. A cell of fixed width is 1 and
its value, big-endian (float64 as its bits, instants as microseconds since 1970), or zeros for null; another
cell is its length in four bytes and its bytes, or ff ff ff ff for null; both in order of columns. All NaNs
are one. The root over a batch's event leaves is the same wherever its rows come from: the database or a
sealed segment.
"""

import json
import struct
from hashlib import sha256
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.log.merkle import leaf_hash
from recorders.canonical import canonical_json

# Where an event lies, and when it came: the leaf names the place itself, the header has the time.
PLACES = ("position", "recorded_at")
# Our own words for the types: the library's differ by version, and after a way through Parquet.
_WORDS = (
    (pa.types.is_float64, "float64"),
    (pa.types.is_int64, "int64"),
    (pa.types.is_boolean, "bool"),
    (pa.types.is_timestamp, "timestamp"),
    (pa.types.is_string, "string"),
    (pa.types.is_binary, "bytes"),
    (pa.types.is_list, "list"),
)


def event_leaves(batch: pa.RecordBatch, position: int) -> list[bytes]:
    """Return the leaf hashes of a batch of columns whose first event is at `position`.

    Columns named `position` and `recorded_at` are left out: they are not the writer's.
    """
    return [
        event_leaf(position + row, identifier, digest)
        for row, (identifier, digest) in enumerate(zip(identifiers(batch), row_digests(batch), strict=True))
    ]


def batch_leaf(chain: bytes, events: int, event_root: bytes) -> bytes:
    """Return a batch's leaf in the log's tree: the chain after it, its count of events, the root over them.

    The chain commits to the header and to the payload's bytes, and to everything before.
    """
    return leaf_hash(chain + events.to_bytes(4, "big") + event_root)


def control_leaf(payload: bytes, position: int) -> bytes:
    """Return the leaf hash of a control event; it is known by its type, its row is its JSON."""
    return event_leaf(position, control_identifier(payload), sha256(payload).digest())


def control_identifier(payload: bytes) -> str:
    """Return the type that a control event is known by."""
    return str(json.loads(payload)["type"])


def event_leaf(position: int, identifier: str, row: bytes) -> bytes:
    """Return the leaf hash of one event: where it is, whose it is, and the digest of its row."""
    name = identifier.encode()
    return leaf_hash(struct.pack(">qI", position, len(name)) + name + row)


def identifiers(batch: pa.RecordBatch) -> list[str]:
    """Return what the events of a batch are known by: their decision ids."""
    found: list[str] = batch.column("decision_id").to_pylist()
    return found


def row_digests(batch: pa.RecordBatch) -> list[bytes]:
    """Return the digest of each row of a batch."""
    fields = [(field, batch.column(field.name)) for field in batch.schema if field.name not in PLACES]
    schema = sha256()
    for field, _ in fields:
        for text in (field.name, _word(field.type)):
            schema.update(struct.pack(">I", len(text.encode())) + text.encode())
    fixed = [_fixed(column) for field, column in fields if _width(field.type)]
    other = [part for field, column in fields if not _width(field.type) for part in _sized(column)]
    matrix = np.concatenate(fixed, axis=1) if fixed else np.empty((batch.num_rows, 0), np.uint8)
    width, data = matrix.shape[1], matrix.tobytes()
    rest = pc.binary_join_element_wise(*other, b"").to_pylist() if other else [b""] * batch.num_rows
    begun = schema.digest()
    starts = range(0, batch.num_rows * width, width) if width else [0] * batch.num_rows
    return [
        sha256(begun + data[start : start + width] + tail).digest()
        for start, tail in zip(starts, rest, strict=True)
    ]


def _word(type_: pa.DataType) -> str:
    """Return our word for a type that the log holds.

    >>> _word(pa.list_(pa.float64()))
    'list'
    """
    return next(word for of_it, word in _WORDS if of_it(type_))


def _width(type_: pa.DataType) -> int:
    if pa.types.is_boolean(type_):
        return 1
    known = pa.types.is_float64(type_) or pa.types.is_int64(type_) or pa.types.is_timestamp(type_)
    return 8 if known else 0


def _fixed(column: pa.Array) -> Any:
    """Return a column's cells as bytes, a row for each: whether there is a value, and the value."""
    valid = np.asarray(column.is_valid().to_numpy(zero_copy_only=False))
    if pa.types.is_boolean(column.type):
        values = column.fill_null(False).to_numpy(zero_copy_only=False).astype(np.uint8)[:, None]  # noqa: FBT003
    elif pa.types.is_floating(column.type):
        floats = column.fill_null(0.0).to_numpy(zero_copy_only=False)
        floats = np.where(np.isnan(floats), np.nan, floats)
        values = floats.astype(">f8").view(np.uint8).reshape(-1, 8)
    else:
        numbers = column.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)
        values = numbers.astype(">i8").view(np.uint8).reshape(-1, 8)
    return np.concatenate([valid.astype(np.uint8)[:, None], values], axis=1)


def _sized(column: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Return a column's cells as their lengths and their bytes, no nulls left."""
    cells = _bytes(column)
    lengths = pc.binary_length(cells).fill_null(0).to_numpy(zero_copy_only=False).astype(">u4")
    prefixes = np.where(np.asarray(cells.is_valid().to_numpy(zero_copy_only=False)), lengths, 2**32 - 1)
    offsets = np.arange(0, 4 * len(cells) + 4, 4, dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(prefixes.astype(">u4").tobytes())]
    return pa.Array.from_buffers(pa.binary(), len(cells), buffers), cells.fill_null(b"")


def _bytes(column: pa.Array) -> pa.Array:
    if pa.types.is_string(column.type) or pa.types.is_binary(column.type):
        return column.cast(pa.binary())
    return pa.array([None if value is None else _nested(value) for value in column.to_pylist()], pa.binary())


def _nested(value: list[Any]) -> bytes:
    """Return a list of numbers as null flags and bits, and one of statuses as canonical JSON."""
    if value and isinstance(value[0], dict):
        return canonical_json(value)
    return b"".join(
        b"\x00" if one is None else b"\x01" + struct.pack(">d", float("nan") if one != one else one)  # noqa: PLR0124 - NaN
        for one in value
    )
