"""Columns: frames as Arrow record batches, and the bytes that the log keeps of them."""

import functools
import re
import struct
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from recorders.errors import CorruptBatch
from recorders.fields import FeatureSet
from recorders.flatbuffer import uncompressed_bytes, unwrapped
from recorders.frame import Frame
from recorders.hotpath import COMPILED
from recorders.transpose import transpose

BATCH_BYTES_MAX: Final = 64 * 2**20
# Fewer events are read faster one by one (docs/adr/0066, docs/adr/0087).
TRANSPOSED_MIN: Final = 8 if COMPILED else 500
SEALED: Final = "sealed"
INSTANT: Final = pa.timestamp("us", tz="UTC")
STATUSES: Final = pa.list_(pa.struct([pa.field("field", pa.string()), pa.field("status", pa.string())]))
ARROW_TYPES: Final[Mapping[str, pa.DataType]] = {
    "float64": pa.float64(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
    "string": pa.string(),
    "category": pa.string(),
    "timestamp": INSTANT,
    "bytes": pa.binary(),
    "list[float64]": pa.list_(pa.float64()),
}
_FIRST_US: Final = -62_135_596_800_000_000  # datetime.min and datetime.max in microseconds since 1970
_LAST_US: Final = 253_402_300_799_999_999
_ALLOWED: Final = frozenset(ARROW_TYPES.values()) | {STATUSES}
# To hand the buffers of a smaller batch to other threads costs more than it saves (docs/adr/0083).
_SHARED_MIN: Final = 2**20
# Of a batch that becomes larger, hardly a buffer is left as it was by zstd.
_KEPT_MAX: Final = 2**16
_NOT_GIVEN: Final = re.compile(r"alloc of size (\d+) failed")
# Of columns: their number, whether they may hold nulls, whether they are instants.
Looked = tuple[tuple[int, bool, bool], ...]
# Longer schemas are not kept.
KNOWN_BYTES_MAX: Final = 2**16
_ALONE: Final = pa.ipc.IpcReadOptions(ensure_native_endian=False, use_threads=False)

DECISION_ENVELOPE: Final = (
    pa.field("decision_id", pa.string(), nullable=False),
    pa.field("occurred_at", INSTANT, nullable=False),
    pa.field("unit", pa.string()),
    pa.field("model", pa.string(), nullable=False),
    pa.field("model_version", pa.string(), nullable=False),
    pa.field("score", pa.float64()),
    pa.field("decision", pa.string()),
    pa.field("propensity", pa.float64()),
    pa.field("inclusion", pa.float64(), nullable=False),
    pa.field("latency_us", pa.int64()),
    pa.field("trace_id", pa.string()),
)
OUTCOME_SCHEMA: Final = pa.schema(
    [
        pa.field("decision_id", pa.string(), nullable=False),
        pa.field("label", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("occurred_at", INSTANT, nullable=False),
    ]
)
SCORE_SCHEMA: Final = pa.schema(
    [
        pa.field("decision_position", pa.int64(), nullable=False),
        pa.field("decision_id", pa.string(), nullable=False),
        pa.field("score", pa.float64()),
        pa.field("decision", pa.string()),
        pa.field("error", pa.string()),
    ]
)


@functools.lru_cache(maxsize=64)
def decision_schema(feature_set: FeatureSet) -> pa.Schema:
    """Return the Arrow schema of a decision batch: the envelope, one `f.<name>` per field, `statuses`.

    Fields that are kept encrypted have one column together, `sealed` (recorders/sealing.py).
    """
    features = [
        pa.field(f"f.{field.name}", ARROW_TYPES[field.type])
        for field in feature_set.fields
        if not field.sealed
    ]
    if feature_set.sealed:
        features.append(pa.field(SEALED, pa.binary(), nullable=False))
    metadata = {"feature_set": feature_set.label, "schema_digest": feature_set.digest}
    return pa.schema([*DECISION_ENVELOPE, *features, pa.field("statuses", STATUSES)], metadata=metadata)


def to_batch(frame: Frame, feature_set: FeatureSet | None = None) -> pa.RecordBatch:
    """Return the events of a decision or outcome frame as columns. Decisions need their feature set.

    None, NaN, -0.0, infinities and 2**63 - 1 come out as they went in; instants are UTC microseconds.

    Raises:
        CorruptBatch: the payload is not `frame.events` events of that schema.
    """
    if frame.kind == "decision":
        assert feature_set is not None, "decisions need their feature set"
        schema = decision_schema(feature_set)
    else:
        assert frame.kind == "outcome", frame.kind
        schema = OUTCOME_SCHEMA
    quick = transpose(frame.payload, frame.events, schema) if frame.events >= TRANSPOSED_MIN else None
    batch = pa.RecordBatch.from_arrays(quick or _patiently(frame, schema), schema=schema)
    _check_values(batch, _looked_at(schema))
    return batch


def _patiently(frame: Frame, schema: pa.Schema) -> list[pa.Array]:
    """Return the columns of a frame, a Python object a value: for few, and to say what cannot be taken."""
    try:
        rows = msgspec.msgpack.decode(frame.payload, type=list[tuple[Any, ...]])
        columns = list(zip(*rows, strict=True))
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise CorruptBatch(f"frame {frame.sequence} of writer {frame.writer}: {error}") from error
    if len(rows) != frame.events or len(columns) != len(schema):
        raise CorruptBatch(
            f"frame {frame.sequence} of writer {frame.writer} holds {len(rows)} events of {len(columns)} "
            f"values, its header says {frame.events} of {len(schema)}"
        )
    try:
        if schema.field(-1).type == STATUSES:
            columns[-1] = tuple(
                None if pairs is None else [_status(*pair) for pair in pairs] for pairs in columns[-1]
            )
        return [pa.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)]
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise CorruptBatch(f"frame {frame.sequence} of writer {frame.writer}: {error}") from error


def _status(field: str, status: str) -> dict[str, str]:
    return {"field": field, "status": status}


def occurred_range(batch: pa.RecordBatch) -> tuple[datetime, datetime]:
    """Return the first and last `occurred_at` of a batch that has rows."""
    ends = pc.min_max(batch.column("occurred_at")).as_py()
    return ends["min"], ends["max"]


def encode_batch(batch: pa.RecordBatch) -> bytes:
    """Return the Arrow IPC stream of one batch, zstd-compressed: what the log keeps.

    Equal columns give equal bytes, in any thread and process (one zstd level, one thread, no padding
    that depends on history).
    """
    options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=1), use_threads=False)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=options) as writer:
        writer.write_batch(batch)
    encoded: bytes = sink.getvalue().to_pybytes()
    return encoded


def decode_batch(data: bytes, *, max_bytes: int = BATCH_BYTES_MAX) -> pa.RecordBatch:
    """Return the one record batch that `data` holds, validated in full before anything touches it.

    `max_bytes` bounds `data` and what it decompresses to. pyarrow accepts hostile streams and crashes
    on access, so: a size cap, types by allow-list (no views, no dictionaries, no extensions), the
    declared sizes of all buffers added up before the first is decompressed, exactly one batch, nothing
    after it, and full validation.

    Raises:
        CorruptBatch: any of it does not hold. MemoryError: this process has no room for it.
    """
    if len(data) > max_bytes:
        raise CorruptBatch(f"{len(data)} bytes, more than the {max_bytes} that are allowed")
    try:
        return _decode(data, max_bytes)
    except (pa.ArrowException, OSError, ValueError, EOFError, struct.error, UnicodeDecodeError) as error:
        if _lacks_memory(str(error), max_bytes):
            raise MemoryError(str(error)) from error
        raise CorruptBatch(f"not an Arrow stream that can be read ({error})") from error


def _lacks_memory(reason: str, max_bytes: int) -> bool:
    """Return whether the bytes may well be right, and the process had no room for what they hold.

    >>> [_lacks_memory(f"malloc of size {size} failed", BATCH_BYTES_MAX) for size in (1_547_520, 2**50)]
    [True, False]
    """
    asked = _NOT_GIVEN.search(reason)
    return "DCtx create failed" in reason or (asked is not None and int(asked[1]) <= max_bytes)


def _decode(data: bytes, max_bytes: int) -> pa.RecordBatch:
    source = pa.BufferReader(data)
    pa.ipc.read_message(source)
    begins = source.tell()
    # Most batches of a log begin with the same few schemas.
    schema, looked_at = (_known if begins <= KNOWN_BYTES_MAX else _schema)(data[:begins])
    message = pa.ipc.read_message(source)
    if message.type != "record batch":
        raise CorruptBatch(f"a {message.type} message where the record batch should be")
    size = uncompressed_bytes(message.metadata, message.body, limit=max_bytes)
    if size > max_bytes:
        raise CorruptBatch(f"it decompresses to {size} bytes, more than the {max_bytes} that are allowed")
    if size < _SHARED_MIN:
        plain = data if size > _KEPT_MAX else data[:begins] + unwrapped(data[begins:])
        batch = pa.ipc.open_stream(plain, options=_ALONE).read_next_batch()
    else:
        batch = pa.ipc.read_record_batch(message, schema)
    if data[source.tell() :] not in _ENDS:
        raise CorruptBatch(f"{len(data) - source.tell()} bytes after the record batch")
    batch.validate(full=True)
    _check_values(batch, looked_at)
    return batch


def _schema(message: bytes) -> tuple[pa.Schema, Looked]:
    """Return the schema that a message is, and where its values are looked at.

    Its columns are such as the log holds, each named once.
    """
    schema = pa.ipc.read_schema(pa.BufferReader(message))
    for field in schema:
        if field.type not in _ALLOWED:
            raise CorruptBatch(f"column {field.name!r} has type {field.type}, which the log does not hold")
    if len(set(schema.names)) != len(schema):
        raise CorruptBatch("two columns have one name")
    return schema, _looked_at(schema)


_known = functools.lru_cache(maxsize=64)(_schema)


def _looked_at(schema: pa.Schema) -> Looked:
    """Return which columns have values that may be refused: nulls of those that need one, and instants."""
    kinds = [(number, field.nullable, field.type == INSTANT) for number, field in enumerate(schema)]
    return tuple(kind for kind in kinds if not kind[1] or kind[2])


def _check_values(batch: pa.RecordBatch, looked_at: Looked) -> None:
    """Refuse what Arrow allows and nobody downstream expects: nulls in required columns, the year 30000."""
    for number, nullable, instant in looked_at:
        column = batch.column(number)
        if column.null_count and not nullable:
            raise CorruptBatch(f"column {batch.schema.names[number]!r} holds nulls")
        if instant and len(column) > column.null_count:
            ends = pc.min_max(column.view(pa.int64())).as_py()
            if ends["min"] < _FIRST_US or ends["max"] > _LAST_US:
                name = batch.schema.names[number]
                raise CorruptBatch(f"column {name!r} holds an instant outside the years 1 to 9999")


_ENDS: Final = (b"\xff\xff\xff\xff\x00\x00\x00\x00",)
