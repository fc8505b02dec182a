"""Columns: what goes in comes out, equal columns are equal bytes, and hostile bytes are refused."""

import hashlib
import math
import multiprocessing
import struct
import threading
import uuid

import msgspec
import pyarrow as pa
import pytest

from recorders.columns import (
    KNOWN_BYTES_MAX,
    SCORE_SCHEMA,
    decision_schema,
    decode_batch,
    encode_batch,
    to_batch,
)
from recorders.errors import CorruptBatch
from recorders.frame import Frame
from tests.support.recording import EVERY, NOON, MemoryLink, StillRecorder

VALUES = (math.nan, 2**63 - 1, False, "", "\U0001f6eb", NOON, b"\x00", [-0.0, math.nan])


def frame(count: int = 3) -> Frame:
    link = MemoryLink()
    recorder = StillRecorder("p", EVERY, link, model="m", model_version="1")
    values = dict(zip((field.name for field in EVERY.fields), VALUES, strict=True))
    for number in range(count):
        recorder.record(values, decision_id=f"d{number}", occurred_at=NOON, statuses={"a_0": "stale"})
    recorder.carry_all()
    return link.frames[0]


def encoded(_: object = None) -> bytes:
    return encode_batch(to_batch(frame(), EVERY))


def test_a_decision_batch_has_the_published_schema() -> None:
    batch = to_batch(frame(), EVERY)
    assert batch.schema.equals(decision_schema(EVERY), check_metadata=True)
    assert batch.schema.metadata == {
        b"feature_set": b"every:1",
        b"schema_digest": EVERY.digest.encode(),
    }
    assert batch.schema.names == [
        "decision_id", "occurred_at", "unit", "model", "model_version", "score", "decision", "propensity",
        "inclusion", "latency_us", "trace_id", *(f"f.{field.name}" for field in EVERY.fields), "statuses",
    ]  # fmt: skip


def test_edge_values_survive_to_the_bit() -> None:
    row = decode_batch(encoded()).to_pylist()[0]
    found = [row[f"f.{field.name}"] for field in EVERY.fields]
    assert math.isnan(found[0])
    assert found[1:7] == list(VALUES[1:7])
    assert struct.pack("<d", found[7][0]) == struct.pack("<d", -0.0)
    assert math.isnan(found[7][1])
    assert row["statuses"] == [{"field": "a_0", "status": "stale"}]


def test_equal_frames_are_equal_bytes_in_every_thread_and_process() -> None:
    expected = hashlib.sha256(encoded()).hexdigest()
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.append(hashlib.sha256(encoded()).hexdigest())) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found += [hashlib.sha256(data).hexdigest() for data in pool.map(encoded, range(2))]
    assert set(found) == {expected}


def test_an_instant_that_no_datetime_can_hold_is_refused() -> None:
    array = pa.array([2**62], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    with pytest.raises(CorruptBatch, match="years 1 to 9999"):
        decode_batch(batch_of(array))


@pytest.mark.parametrize(
    "change",
    [
        {"events": 2},
        {"payload": b"\xdd\x00\x00\x00\x01\x91\x01"},
        {"payload": b"\xc1"},
        {"payload": msgspec.msgpack.encode([[None] * 20])},
        {"payload": msgspec.msgpack.encode([["d", "x", *[None] * 18]])},
        {"payload": msgspec.msgpack.encode([["d"] * 20, ["d"] * 19])},
        {"payload": msgspec.msgpack.encode({"a": 1})},
    ],
)
def test_a_frame_that_is_not_what_it_says_is_corrupt(change: dict[str, object]) -> None:
    with pytest.raises(CorruptBatch) as caught:
        to_batch(msgspec.structs.replace(frame(), **change), EVERY)
    assert caught.value.exit_code == 40


def batch_of(array: pa.Array) -> bytes:
    return encode_batch(pa.record_batch([array], names=["x"]))


@pytest.mark.parametrize(
    "array",
    [
        pa.array(["a"]).dictionary_encode(),
        pa.array(["a"], pa.string_view()),
        pa.array([b"a"], pa.binary_view()),
        pa.array(["a"], pa.large_string()),
        pa.nulls(3),
        pa.array([1], pa.int32()),
        pa.array([1], pa.timestamp("us")),
        pa.array([1], pa.timestamp("ns", tz="UTC")),
        pa.array([[[1.0]]]),
        pa.array([{"a": 1}]),
        pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array([1])]),
        pa.RunEndEncodedArray.from_arrays([3], [1.0]),
        pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"a" * 16], pa.binary(16))),
    ],
    ids=lambda array: str(array.type),
)
def test_types_outside_the_list_are_refused(array: pa.Array) -> None:
    with pytest.raises(CorruptBatch, match="does not hold"):
        decode_batch(batch_of(array))


def test_a_small_batch_that_would_become_a_large_one_is_refused_before_it_does() -> None:
    bomb = batch_of(pa.array([bytes(50_000_000)]))
    assert len(bomb) < 10_000
    before = pa.total_allocated_bytes()
    with pytest.raises(CorruptBatch, match="decompresses to"):
        decode_batch(bomb, max_bytes=10_000_000)
    assert pa.total_allocated_bytes() - before < 1_000_000
    assert decode_batch(bomb, max_bytes=60_000_000).num_rows == 1


@pytest.mark.parametrize("rows", [1, 2**17 - 1, 2**17])
def test_a_batch_comes_back_whether_other_threads_help_or_not(rows: int) -> None:
    """One of a megabyte is decompressed by several."""
    values = pa.array([number / 3 for number in range(rows)])
    batch = pa.record_batch([values], schema=pa.schema([("f.x", pa.float64())], metadata={"k": "v"}))
    found = decode_batch(encode_batch(batch))
    assert found.equals(batch, check_metadata=True)
    with pytest.raises(CorruptBatch, match="after the record batch"):
        decode_batch(encode_batch(batch) + b"x")


def test_rows_without_bytes_cannot_claim_memory() -> None:
    batch = pa.RecordBatch.from_arrays([], schema=pa.schema([]))
    assert decode_batch(encode_batch(batch)).num_rows == 0


@pytest.mark.parametrize("extra", [b"x", b"\x00" * 8, encoded()])
def test_nothing_may_follow_the_batch(extra: bytes) -> None:
    with pytest.raises(CorruptBatch, match="after the record batch"):
        decode_batch(encoded() + extra)


def test_two_batches_in_one_stream_are_refused() -> None:
    batch = to_batch(frame(), EVERY)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
        writer.write_batch(batch)
    with pytest.raises(CorruptBatch, match="after the record batch"):
        decode_batch(sink.getvalue().to_pybytes())


def test_nulls_where_none_may_be_are_refused() -> None:
    arrays = [pa.array([None], field.type) for field in SCORE_SCHEMA]
    with pytest.raises(CorruptBatch, match="holds nulls"):
        decode_batch(encode_batch(pa.RecordBatch.from_arrays(arrays, schema=SCORE_SCHEMA)))


def test_a_schema_that_was_read_before_is_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def with_one_column(size: int) -> bytes:
        batch = pa.record_batch({"f." + "x" * size: pa.array([1.0])})
        return encode_batch(batch)

    read, original = [], pa.ipc.read_schema
    monkeypatch.setattr(pa.ipc, "read_schema", lambda data: read.append(data) or original(data))
    for size, times in ((7, 1), (8, 1), (KNOWN_BYTES_MAX, 2)):
        read.clear()
        assert decode_batch(with_one_column(size)).equals(decode_batch(with_one_column(size)))
        assert len(read) == times


def test_a_schema_that_is_refused_is_refused_again() -> None:
    for _time in range(2):
        with pytest.raises(CorruptBatch, match="does not hold"):
            decode_batch(batch_of(pa.array([1], pa.int8())))


def test_two_columns_of_one_name_are_refused() -> None:
    with pytest.raises(CorruptBatch, match="one name"):
        decode_batch(encode_batch(pa.record_batch([pa.array([1]), pa.array([2])], names=["x", "x"])))


def test_offsets_that_point_outside_are_refused_before_anything_reads_them() -> None:
    batch = pa.record_batch([pa.array(["abcd"])], names=["x"])
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    data = sink.getvalue().to_pybytes()
    honest, lying = struct.pack("<ii", 0, 4), struct.pack("<ii", 0, 1_000_000)
    place = data.rindex(honest)  # the body comes last
    assert decode_batch(data).num_rows == 1
    with pytest.raises(CorruptBatch):
        decode_batch(data[:place] + lying + data[place + 8 :])


def test_text_that_is_no_utf8_is_refused() -> None:
    offsets = pa.py_buffer(struct.pack("<ii", 0, 2))
    array = pa.Array.from_buffers(pa.string(), 1, [None, offsets, pa.py_buffer(b"\xff\xfe")])
    with pytest.raises(CorruptBatch):
        decode_batch(batch_of(array))


def test_every_cut_and_every_flipped_byte_is_refused_or_harmless() -> None:
    """No flip may crash the process or end in another error. (The log checks the digest before this.)"""
    data = bytearray(encode_batch(to_batch(frame(1), EVERY)))
    refused = 0
    for place in range(0, len(data), 3):
        data[place] ^= 0xFF
        try:
            decode_batch(bytes(data)).to_pylist()
        except CorruptBatch:
            refused += 1
        data[place] ^= 0xFF
    for stop in range(0, len(data), 37):
        with pytest.raises(CorruptBatch):
            decode_batch(bytes(data[:stop]))
    assert refused > len(data) // 12


def test_an_empty_frame_is_corrupt() -> None:
    payload = b"\xdd\x00\x00\x00\x00"
    empty = Frame(uuid.uuid4(), 1, "outcome", "p", "", 0, payload, hashlib.sha256(payload).hexdigest())
    with pytest.raises(CorruptBatch):
        to_batch(empty)
