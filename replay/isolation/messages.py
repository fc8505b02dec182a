"""What parent and child tell each other, and the bytes of it."""

import struct

import msgspec
import numpy as np
import pyarrow as pa

from recorders.columns import decode_batch
from replay.adapters.answers import Answer
from replay.isolation.wire import REPLY_BYTES_MAX

_SIZE = struct.Struct("<I")
_ANSWER = pa.schema([pa.field("score", pa.float64()), pa.field("decision", pa.string())])


class Opening(msgspec.Struct, frozen=True, array_like=True):
    """The model to load, with its bytes."""

    uri: str
    version: str
    inputs: tuple[str, ...] | None
    digest: str
    path: str
    content: bytes
    token: str | None


class Opened(msgspec.Struct, frozen=True, array_like=True):
    """It is loaded: the inputs that it names itself, and what the sandbox holds."""

    inputs: tuple[str, ...] | None
    sandbox: dict[str, str]


class Refused(msgspec.Struct, frozen=True, array_like=True):
    """It is not a model: the error's name in `replay.errors` and its three parts."""

    error: str
    happened: str
    expected: str
    remedy: str


class Measured(msgspec.Struct, frozen=True, array_like=True):
    """What one call cost, what the process has used so far, and what it tried since the last reply.

    `failure` is why there is no answer; `whole` says that no other cut of the rows would have one.
    """

    call_us: int
    cpu_us: int
    resident_mb_max: int
    attempts: dict[str, int]
    attempted: list[str]
    failure: str | None = None
    whole: bool = False


def block_bytes(block: pa.RecordBatch) -> pa.Buffer:
    """Return a block as an uncompressed Arrow stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, block.schema) as writer:
        writer.write_batch(block)
    return sink.getvalue()


def block_of(data: bytes | bytearray) -> pa.RecordBatch:
    """Return the block of `block_bytes`; it comes from us and is not checked again."""
    return pa.ipc.open_stream(pa.py_buffer(data)).read_next_batch()


def answer_bytes(measured: Measured, answer: Answer | None) -> bytes:
    """Return a reply: what was measured, and scores and decisions when there are any."""
    head = msgspec.msgpack.encode(measured)
    if answer is None:
        return _SIZE.pack(len(head)) + head
    scores, decisions = answer
    batch = pa.RecordBatch.from_arrays(
        [pa.array(scores, pa.float64()), pa.array(decisions, pa.string())], schema=_ANSWER
    )
    return b"".join([_SIZE.pack(len(head)), head, block_bytes(batch)])


def measured_of(data: bytes) -> Measured:
    """Return what a reply says of its call.

    Raises:
        msgspec.DecodeError, struct.error: it is none of ours.
    """
    size = _SIZE.unpack_from(data)[0]
    return msgspec.msgpack.decode(data[_SIZE.size : _SIZE.size + size], type=Measured)


def answer_of(data: bytes, rows: int) -> Answer:
    """Return the scores and decisions of a reply, validated in full: a challenger wrote these bytes.

    Raises:
        CorruptBatch, ValueError: they are not `rows` rows of an answer.
    """
    size = _SIZE.unpack_from(data)[0]
    batch = decode_batch(data[_SIZE.size + size :], max_bytes=REPLY_BYTES_MAX)
    if batch.schema != _ANSWER or batch.num_rows != rows:
        raise ValueError(f"{batch.num_rows} rows of {batch.schema.names}, expected {rows} of {_ANSWER.names}")
    scores = np.array(batch.column("score").to_numpy(zero_copy_only=False), dtype=np.float64)
    texts = batch.column("decision")
    if texts.null_count == rows:
        return scores, np.full(rows, None, dtype=object)
    return scores, np.array(texts.to_pylist(), dtype=object)
