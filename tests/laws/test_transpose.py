"""Law: columns that are read all at once are those that are read value by value, to the byte."""

import struct
from datetime import datetime
from random import Random
from unittest.mock import patch
from uuid import UUID

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorders.columns import OUTCOME_SCHEMA, decision_schema, encode_batch, to_batch
from recorders.errors import CorruptBatch
from recorders.fields import FeatureSet, Field
from recorders.frame import Frame, frame_of, payload_of
from recorders.transpose import transpose
from tests.support.recording import MemoryLink, StillRecorder
from tests.support.snapshots import FLOATS, TEXT, feature_sets, snapshots

Drawn = tuple[FeatureSet, Frame]


@st.composite
def frames(draw: st.DrawFn) -> Drawn:
    """A frame as a recorder makes it."""
    feature_set = draw(feature_sets())
    link = MemoryLink()
    recorder = StillRecorder("p", feature_set, link, model="m", model_version="1")
    for snapshot in draw(st.lists(snapshots(feature_set), min_size=1, max_size=5)):
        assert recorder.record(snapshot, score=draw(FLOATS | st.none()), unit=draw(TEXT | st.none()))
    recorder.carry_all()
    return feature_set, link.frames[0]


def read(frame: Frame, feature_set: FeatureSet | None, *, at_once: bool) -> bytes | None:
    """Return what the log would keep of a frame; None when it cannot be taken."""
    with patch("recorders.columns.TRANSPOSED_MIN", 1 if at_once else 2**16):
        try:
            return encode_batch(to_batch(frame, feature_set))
        except CorruptBatch:
            return None


@settings(max_examples=200, deadline=None)
@given(frames())
def test_what_recorders_send_is_read_at_once_and_gives_the_same_bytes(drawn: Drawn) -> None:
    feature_set, frame = drawn
    assert transpose(frame.payload, frame.events, decision_schema(feature_set)) is not None
    assert read(frame, feature_set, at_once=True) == read(frame, feature_set, at_once=False) is not None


@settings(max_examples=200, deadline=None)
@given(frames(), st.randoms(use_true_random=False))
def test_other_encodings_of_the_same_values_give_the_same_bytes(drawn: Drawn, chance: Random) -> None:
    feature_set, frame = drawn
    rows = msgspec.msgpack.decode(frame.payload)
    width = len(rows[0])
    head = bytes([0x90 + width]) if width < 16 else b"\xdc" + width.to_bytes(2, "big")
    payload = payload_of([head + b"".join(loosely(value, chance) for value in row) for row in rows])
    other = msgspec.structs.replace(frame, payload=payload)
    expected = read(frame, feature_set, at_once=False)
    assert read(other, feature_set, at_once=True) == read(other, feature_set, at_once=False) == expected


def loosely(value: object, chance: Random) -> bytes:
    """Return a value in msgpack, not always in its shortest form."""
    if value is None or isinstance(value, bool | float | datetime) or chance.random() < 0.3:
        return msgspec.msgpack.encode(value)
    if isinstance(value, int):
        return b"\xd3" + value.to_bytes(8, "big", signed=True)
    if isinstance(value, str | bytes):
        data, (tag, size) = value, chance.choice([(0xC5, 2), (0xC6, 4)])
        if isinstance(value, str):
            data, tag = value.encode(), tag + 0x15
        return bytes([tag]) + len(data).to_bytes(size, "big") + data
    assert isinstance(value, list)
    return b"\xdd" + len(value).to_bytes(4, "big") + b"".join(loosely(one, chance) for one in value)


@settings(max_examples=400, deadline=None)
@given(frames(), st.data())
def test_what_is_damaged_is_read_as_it_is_value_by_value(drawn: Drawn, data: st.DataObject) -> None:
    feature_set, frame = drawn
    damaged = bytearray(frame.payload)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, len(damaged) - 1)))
        damaged[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    other = msgspec.structs.replace(frame, payload=bytes(damaged))
    assert read(other, feature_set, at_once=True) == read(other, feature_set, at_once=False)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT, FLOATS | st.none(), st.integers(0, 2**50)), min_size=1, max_size=20))
def test_outcomes_are_read_alike(rows: list[tuple[str, str, float | None, int]]) -> None:
    payload = payload_of([msgspec.msgpack.encode(row) for row in rows])
    frame = frame_of(UUID(int=1), 1, "outcome", "p", "", len(rows), payload)
    assert transpose(payload, len(rows), OUTCOME_SCHEMA) is not None
    assert read(frame, None, at_once=True) == read(frame, None, at_once=False) is not None


def test_a_row_header_inside_a_float_does_not_mislead() -> None:
    feature_set = FeatureSet("wide", 1, tuple(Field(f"x{place}", "float64") for place in range(20)))
    (inside,) = struct.unpack(">d", b"\x40\xdc\x00" + bytes([12 + 20]) + bytes(4))
    link = MemoryLink()
    recorder = StillRecorder("p", feature_set, link, model="m", model_version="1")
    for _ in range(3):
        recorder.record(dict.fromkeys((field.name for field in feature_set.fields), inside))
    recorder.carry_all()
    frame = link.frames[0]
    assert transpose(frame.payload, 3, decision_schema(feature_set)) is not None
    assert read(frame, feature_set, at_once=True) == read(frame, feature_set, at_once=False)


@pytest.mark.parametrize("last", [b"\x05", b"\x91" * 100_000, b"\x91\x05", b"\x91\x91\xa1x"])
def test_hostile_statuses_are_refused_either_way(last: bytes) -> None:
    feature_set = FeatureSet("one", 1, (Field("x", "bool"),))
    event = msgspec.msgpack.encode(["d", 1, None, "m", "1", None, None, None, 1.0, None, None, True, None])
    payload = payload_of([event[:-1] + last])
    frame = frame_of(UUID(int=1), 1, "decision", "p", feature_set.digest, 1, payload)
    assert read(frame, feature_set, at_once=True) is read(frame, feature_set, at_once=False) is None
