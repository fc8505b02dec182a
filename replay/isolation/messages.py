"""What parent and child tell each other, and the bytes of it."""

import struct

import msgspec
import numpy as np
import pyarrow as pa

from recorders.columns import decode_batch
from replay.adapters.answers import Answer
from replay.isolation.wire import REPLY_BYTES_MAX

_SIZE = struct.Struct("<I")
_DECISIONS = pa.schema([pa.field("decision", pa.string())])
_ALIGNED = 64


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
    """It is not a model: the name of its `ModelError` and its three parts."""

    error: str
    happened: str
    expected: str
    remedy: str


class Measured(msgspec.Struct, frozen=True, array_like=True):
    """What one call cost, what the process has used so far, and what it tried since the last reply.

    `failure` is why there is no answer; `whole` says that no other cut of the rows would have one, `spent`
    that this process can answer nothing more.
    """

    call_us: int
    cpu_us: int
    resident_mb_max: int
    attempts: dict[str, int]
    attempted: list[str]
    failure: str | None = None
    whole: bool = False
    spent: bool = False


class Packer:
    """Makes blocks into their schema and their batch, two Arrow messages: a stream's writer costs more.

    A schema that comes again, as it does with each block, is not made into bytes again.
    """

    def __init__(self) -> None:
        self._known: tuple[pa.Schema, bytes] | None = None

    def pieces(self, block: pa.RecordBatch) -> tuple[bytes, memoryview]:
        """Return the bytes of a block, in two pieces so that no copy is needed to join them."""
        if self._known is None or not self._known[0].equals(block.schema, check_metadata=True):
            schema = block.schema.serialize().to_pybytes()
            schema += bytes(-(len(schema) + _SIZE.size) % _ALIGNED)
            self._known = block.schema, _SIZE.pack(len(schema)) + schema
        return self._known[1], memoryview(block.serialize())


class Unpacker:
    """Makes blocks of the bytes of a `Packer`; they come from us and are not checked again."""

    def __init__(self) -> None:
        self._known: tuple[bytes, pa.Schema] | None = None

    def block(self, data: bytes | bytearray) -> pa.RecordBatch:
        """Return a block, whose columns lie in `data`."""
        whole, at = pa.py_buffer(data), _SIZE.size + _SIZE.unpack_from(data)[0]
        schema = bytes(data[_SIZE.size : at])
        if self._known is None or self._known[0] != schema:
            self._known = schema, pa.ipc.read_schema(pa.py_buffer(schema))
        return pa.ipc.read_record_batch(whole.slice(at), self._known[1])


def answer_bytes(measured: Measured, answer: Answer | None) -> bytes:
    """Return a reply: what was measured, the scores as float64, decisions, if any, as Arrow."""
    head = msgspec.msgpack.encode(measured)
    parts = [_SIZE.pack(len(head)), head]
    if answer is not None:
        scores, decisions = answer
        parts.append(np.ascontiguousarray(scores, dtype="<f8").tobytes())
        if decisions.tolist().count(None) < decisions.size:
            texts = pa.RecordBatch.from_arrays([pa.array(decisions, pa.string())], schema=_DECISIONS)
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, _DECISIONS) as writer:
                writer.write_batch(texts)
            parts.append(sink.getvalue().to_pybytes())
    return b"".join(parts)


def measured_of(data: bytes) -> Measured:
    """Return what a reply says of its call.

    Raises:
        msgspec.DecodeError, struct.error: it is none of ours.
    """
    size = _SIZE.unpack_from(data)[0]
    return msgspec.msgpack.decode(data[_SIZE.size : _SIZE.size + size], type=Measured)


def answer_of(data: bytes, rows: int) -> Answer:
    """Return the scores and decisions of a reply, sized and validated: a challenger wrote these bytes.

    Raises:
        CorruptBatch, ValueError: they are not `rows` rows of an answer.
    """
    at = _SIZE.size + _SIZE.unpack_from(data)[0]
    numbers, texts = data[at : at + 8 * rows], data[at + 8 * rows :]
    if len(numbers) != 8 * rows:
        raise ValueError(f"{len(numbers)} bytes of scores, expected {8 * rows}")
    scores = np.frombuffer(numbers, dtype="<f8").astype(np.float64)
    if not texts:
        return scores, np.full(rows, None, dtype=object)
    batch = decode_batch(texts, max_bytes=REPLY_BYTES_MAX)
    if batch.schema != _DECISIONS or batch.num_rows != rows:
        raise ValueError(f"{batch.num_rows} rows of {batch.schema.names}, expected {rows} of decisions")
    return scores, np.array(batch.column("decision").to_pylist(), dtype=object)
