"""Law: columns that compiled code reads are those of numpy and those of value by value, to the byte."""

import gc
import struct
import tracemalloc
from collections.abc import Sequence
from random import Random
from unittest.mock import patch
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorders import hotpath
from recorders.buffers import _CODES, read_rows
from recorders.columns import OUTCOME_SCHEMA, decision_schema, encode_batch, to_batch
from recorders.errors import CorruptBatch
from recorders.fields import FIELD_TYPES, FeatureSet, Field
from recorders.frame import Frame, frame_of, payload_of
from tests.laws.test_transpose import Drawn, frames, loosely

pytestmark = pytest.mark.skipif(not hotpath.COMPILED, reason=hotpath.which())

PERSON = (Field("who", "string", subject=True), Field("age", "int64", sensitive=True))
EVERY = FeatureSet("every", 1, (*(Field(f"a{n}", kind) for n, kind in enumerate(FIELD_TYPES)), *PERSON))
KINDS = b"".join(_CODES.get(field.type, b"u") for field in decision_schema(EVERY))
WAYS = ("compiled", "walked", "patient")

NAN = struct.unpack(">d", b"\x7f\xf0\x00\x00\x00\x00\x00\x01")[0]
TEXTS = (
    st.none() | st.text(max_size=40) | st.sampled_from(["é" * 9, "x" * 15, "x" * 16, "x" * 17, "\U0001f600"])
)
WHOLE = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(-130, 130)
    | st.sampled_from([2**31, 2**32, -(2**31)])
)
FLOATS = st.none() | st.floats() | st.sampled_from([NAN, -0.0])
INSTANTS = st.none() | st.integers(0, 2**50)
PAIRS = st.none() | st.lists(st.tuples(st.text(max_size=40), st.text(max_size=3)), max_size=17).map(
    lambda pairs: [list(pair) for pair in pairs]
)
ROWS = st.tuples(
    st.text(max_size=40),
    st.integers(0, 2**50),
    TEXTS,
    st.text(max_size=3),
    st.text(max_size=3),
    FLOATS,
    TEXTS,
    FLOATS,
    st.floats(0, 1),
    WHOLE,
    TEXTS,
    FLOATS,
    WHOLE,
    st.none() | st.booleans(),
    TEXTS,
    TEXTS,
    INSTANTS,
    st.none() | st.binary(max_size=300),
    st.none() | st.lists(st.floats(), max_size=20),
    st.binary(max_size=40),
    PAIRS,
)


def frame_with(events: Sequence[bytes], kind: str = "decision") -> Frame:
    schema = EVERY.digest if kind == "decision" else ""
    return frame_of(UUID(int=1), 1, kind, "p", schema, len(events), payload_of(events))  # type: ignore[arg-type]


def kept(frame: Frame, feature_set: FeatureSet | None, way: str) -> bytes | str:
    """Return what the log would keep of a frame, or the error."""
    compiled = hotpath.transpose if way == "compiled" else None
    least = 2**16 if way == "patient" else 1
    with patch("recorders.hotpath.transpose", compiled), patch("recorders.columns.TRANSPOSED_MIN", least):
        try:
            return encode_batch(to_batch(frame, feature_set))
        except CorruptBatch as error:
            return str(error)


def alike(frame: Frame, feature_set: FeatureSet | None = EVERY) -> bytes | str:
    found = {way: kept(frame, feature_set, way) for way in WAYS}
    assert found["compiled"] == found["walked"]
    assert found["compiled"] == found["patient"] or {type(one) for one in found.values()} == {str}
    return found["compiled"]


@settings(max_examples=80, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=4))
def test_all_kinds_of_values_give_the_same_bytes(rows: list[tuple[object, ...]]) -> None:
    frame = frame_with([msgspec.msgpack.encode(row) for row in rows])
    assert read_rows(frame.payload, len(rows), decision_schema(EVERY)) is not None
    assert isinstance(alike(frame), bytes)


@settings(max_examples=60, deadline=None)
@given(frames())
def test_what_recorders_send_is_not_declined(drawn: Drawn) -> None:
    feature_set, frame = drawn
    assert read_rows(frame.payload, frame.events, decision_schema(feature_set)) is not None
    assert isinstance(alike(frame, feature_set), bytes)


@settings(max_examples=60, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_other_encodings_give_the_same_bytes(rows: list[tuple[object, ...]], chance: Random) -> None:
    width = len(rows[0]).to_bytes(2, "big")
    events = [b"\xdc" + width + b"".join(loosely(value, chance) for value in row) for row in rows]
    assert isinstance(alike(frame_with(events)), bytes)


@settings(max_examples=200, deadline=None)
@given(st.lists(ROWS, min_size=1, max_size=2), st.data())
def test_what_is_damaged_gives_the_same_or_nothing(
    rows: list[tuple[object, ...]], data: st.DataObject
) -> None:
    frame = frame_with([msgspec.msgpack.encode(row) for row in rows])
    damaged = bytearray(frame.payload)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, len(damaged) - 1)))
        damaged[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    alike(msgspec.structs.replace(frame, payload=bytes(damaged)))


@settings(max_examples=5, deadline=None)
@given(ROWS)
def test_every_beginning_of_a_payload_is_refused_alike(row: tuple[object, ...]) -> None:
    frame = frame_with([msgspec.msgpack.encode(row)])
    for size in range(len(frame.payload)):
        cut = frame.payload[:size]
        assert hotpath.transpose is not None
        assert hotpath.transpose(cut, 1, KINDS) is None


ROW: list[object] = ["d", 1, None, "m", "1", None, None, None, 1.0, *[None] * 10, b"", None]


def with_value(place: int, value: bytes) -> bytes:
    encoded = [msgspec.msgpack.encode(one) for one in ROW]
    encoded[place] = value
    return b"\xdc" + len(ROW).to_bytes(2, "big") + b"".join(encoded)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (12, b"\xcf" + b"\xff" * 8),
        (12, b"\xca\x00\x00\x00\x00"),
        (11, b"\xca\x3f\x80\x00\x00"),
        (11, b"\x07"),
        (13, b"\x01"),
        (14, b"\xa2\xc3\x28"),
        (14, b"\xa3\xed\xa0\x80"),
        (14, b"\xc4\x01x"),
        (17, b"\xa1x"),
        (18, b"\x92\xcb" + bytes(8) + b"\xc0"),
        (18, b"\xdd\xff\xff\xff\xff"),
        (14, b"\xdb\xff\xff\xff\xff"),
        (16, b"\xd6\xfe\x00\x00\x00\x00"),
        (16, b"\xd7\xff" + b"\xff" * 8),
        (16, b"\xd7\xff" + (1 << 34).to_bytes(8, "big")),
        (16, b"\xc7\x0b\xff" + bytes(12)),
        (16, b"\xc7\x0c\xff" + bytes(4) + b"\x80" + bytes(7)),
        (16, b"\xc7\x0c\xff" + bytes(4) + (2**40 + 1).to_bytes(8, "big")),
        (20, b"\x91\x93\xa1x\xa1y\xa1z"),
        (20, b"\xdd\xff\xff\xff\xff\x92\xa1x\xa1y"),
        (20, b"\x91\x92\xa1x\xa1\xff"),
        (20, b"\x05"),
    ],
)
def test_hostile_values_are_taken_or_refused_alike(place: int, value: bytes) -> None:
    alike(frame_with([with_value(place, b"\xc0"), with_value(place, value)]))


def test_the_earliest_second_there_is_is_no_instant_of_1970() -> None:
    row = with_value(16, b"\xc7\x0c\xff" + bytes(4) + b"\x80" + bytes(7))
    for way in WAYS:
        assert isinstance(kept(frame_with([row]), EVERY, way), str)


def test_whole_numbers_and_timestamps_of_one_column_are_left_to_python() -> None:
    events = [with_value(16, b"\x05"), with_value(16, b"\xd6\xff\x00\x00\x00\x01")]
    assert read_rows(payload_of(events), 2, decision_schema(EVERY)) is None
    alike(frame_with(events))


@pytest.mark.parametrize("count", [1, 7, 8, 9, 63, 64, 65, 1_000])
def test_nulls_at_every_place_give_the_same_bytes(count: int) -> None:
    chance = Random(count)
    rows = [[*ROW[:11], *[None] * 8, b"s" * chance.randrange(4), None] for _ in range(count)]
    for row in rows:
        row[5], row[13], row[14] = (chance.choice([None, value]) for value in (0.5, True, "é"))
    assert isinstance(alike(frame_with([msgspec.msgpack.encode(row) for row in rows])), bytes)


def test_texts_that_are_not_all_ascii_stand_where_they_stood() -> None:
    texts = ["", "a" * 15, "ü", "a" * 16, "b" * 17, "€" * 20, "c" * 300, ""]
    events = [msgspec.msgpack.encode([text, "1", None, 5]) for text in texts]
    columns = read_rows(payload_of(events), len(events), OUTCOME_SCHEMA)
    assert columns is not None
    assert columns[0].to_pylist() == texts
    alike(frame_with(events, "outcome"), None)


@pytest.mark.parametrize(
    "arguments", [(), (b"", 1), (b"", 1, b"x"), (b"", 1, b""), (b"", "1", b"f"), ("", 1, b"f")]
)
def test_what_are_no_arguments_is_refused(arguments: tuple[object, ...]) -> None:
    assert hotpath.transpose is not None
    with pytest.raises((TypeError, ValueError)):
        hotpath.transpose(*arguments)  # type: ignore[call-arg, arg-type]


def test_more_events_than_bytes_are_declined_before_room_is_made() -> None:
    assert hotpath.transpose is not None
    assert hotpath.transpose(b"\xdd\x7f\xff\xff\xff" + bytes(100), 2**31 - 1, b"f") is None
    assert hotpath.transpose(b"\xdd\x00\x00\x00\x00", 0, b"f") is None
    assert hotpath.transpose(b"\xdd\x00\x00\x00\x01\x91\x01", -1, b"i") is None


def test_nothing_is_left_behind() -> None:
    assert hotpath.transpose is not None
    sound = frame_with([msgspec.msgpack.encode([*ROW[:-1], [["a", "b"]]])] * 9).payload
    tracemalloc.start()
    for times in (50, 3_000):
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(times):
            for payload in (sound, sound[:-1], sound + b"x"):
                hotpath.transpose(payload, 9, KINDS)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 30_000, "one buffer kept by each call would be more"
