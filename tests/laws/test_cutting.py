"""Law: the compiled cut and the Python one make the same of every payload, or the compiled one declines."""

import gc
import struct
import tracemalloc
from random import Random
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorders import hotpath
from recorders.cutting import Cut, cut
from recorders.errors import CorruptBatch
from recorders.events import ENVELOPE
from recorders.fields import FeatureSet, Field
from recorders.frame import payload_of
from tests.laws.test_transpose import loosely
from tests.support.recording import MemoryLink, StillRecorder
from tests.support.snapshots import VALUES, snapshots

compiled = pytest.mark.skipif(not hotpath.COMPILED, reason=hotpath.which())
NAMED = Field("who", "string", subject=True)
Drawn = tuple[FeatureSet, bytes]


@st.composite
def payloads(draw: st.DrawFn) -> Drawn:
    """A payload as a recorder makes it, of a feature set with a person somewhere in it."""
    kinds = draw(st.lists(st.tuples(st.sampled_from(sorted(VALUES)), st.booleans()), max_size=8))
    fields = [Field(f"x.{n}", kind, sensitive=sensitive) for n, (kind, sensitive) in enumerate(kinds)]
    fields.insert(draw(st.integers(0, len(fields))), NAMED)
    feature_set = FeatureSet("drawn", 1, tuple(fields))
    link = MemoryLink()
    recorder = StillRecorder("p", feature_set, link, model="m", model_version="1")
    for snapshot in draw(st.lists(snapshots(feature_set), min_size=1, max_size=5)):
        assert recorder.record(snapshot, score=draw(st.none() | st.floats()))
    recorder.carry_all()
    return feature_set, link.frames[0].payload


def patiently(payload: bytes, feature_set: FeatureSet) -> Cut | None:
    with patch("recorders.hotpath.cut", None):
        try:
            return cut(payload, feature_set)
        except CorruptBatch:
            return None


def at_once(payload: bytes, feature_set: FeatureSet) -> Cut | None:
    """What the compiled cut makes of it; None when it declines, however it is asked."""
    assert hotpath.cut is not None
    with patch("recorders.cutting._patiently", lambda *_: None):
        return cut(payload, feature_set)


def agree(payload: bytes, feature_set: FeatureSet) -> None:
    assert at_once(payload, feature_set) in (None, patiently(payload, feature_set))


@compiled
@settings(max_examples=100, deadline=None)
@given(payloads())
def test_what_recorders_send_is_cut_at_once(drawn: Drawn) -> None:
    feature_set, payload = drawn
    assert at_once(payload, feature_set) == patiently(payload, feature_set) is not None


@settings(max_examples=50, deadline=None)
@given(payloads())
def test_what_is_cut_is_all_there(drawn: Drawn) -> None:
    feature_set, payload = drawn
    found, rows = cut(payload, feature_set), msgspec.msgpack.decode(payload, type=list[msgspec.Raw])
    marks = [False] * len(ENVELOPE) + [field.sealed for field in feature_set.fields] + [False]
    for row, name, about, values, before, after in zip(rows, *found, strict=True):
        each = [bytes(one) for one in msgspec.msgpack.decode(row, type=list[msgspec.Raw])]
        left = msgspec.msgpack.decode(before + b"\xc4\x00" + after, type=list[msgspec.Raw])
        kept = [one for one, sealed in zip(each, marks, strict=True) if not sealed]
        assert [bytes(one) for one in left] == [*kept[:-1], b"\xc4\x00", kept[-1]]
        assert [bytes(one) for one in msgspec.msgpack.decode(values, type=list[msgspec.Raw])] == [
            one for one, sealed in zip(each, marks, strict=True) if sealed
        ]
        assert about == msgspec.msgpack.decode(each[0]).encode() + bytes.fromhex(feature_set.digest)
        assert name == msgspec.msgpack.decode(each[len(ENVELOPE) + feature_set.fields.index(NAMED)])


@compiled
@settings(max_examples=100, deadline=None)
@given(payloads(), st.randoms(use_true_random=False))
def test_other_encodings_of_the_same_values_are_left_to_python(drawn: Drawn, chance: Random) -> None:
    feature_set, payload = drawn
    rows = msgspec.msgpack.decode(payload)
    width = len(rows[0])
    head = bytes([0x90 + width]) if width < 16 else b"\xdc" + width.to_bytes(2, "big")
    other = payload_of([head + b"".join(loosely(value, chance) for value in row) for row in rows])
    assert patiently(other, feature_set) == patiently(payload, feature_set)
    agree(other, feature_set)


@compiled
@settings(max_examples=200, deadline=None)
@given(payloads(), st.data())
def test_of_what_is_damaged_both_make_the_same(drawn: Drawn, data: st.DataObject) -> None:
    feature_set, payload = drawn
    damaged = bytearray(payload)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, max(0, len(damaged) - 1)))
        damaged[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=3))
    agree(bytes(damaged), feature_set)


ONE = FeatureSet("one", 1, (Field("x", "timestamp", sensitive=True), NAMED))
EDGES = [
    *(number + step for number in (0, 32, 2**7, 2**8, 2**15, 2**16, 2**31, 2**32, 2**63) for step in (-1, 0)),
    *(-(number + step) for number in (32, 2**7, 2**15, 2**31, 2**63) for step in (-1, 0)),
]
INSTANTS = [
    b"\xd6\xff" + struct.pack(">I", 2**32 - 1),
    *(
        b"\xd7\xff" + struct.pack(">Q", nanos << 34 | seconds)
        for nanos in (0, 1, 1000, 999_999_000, 10**9)
        for seconds in (0, 2**32 - 1, 2**32, 2**34 - 1)
    ),
    *(
        b"\xc7\x0c\xff" + struct.pack(">Iq", nanos, seconds)
        for nanos in (0, 1, 1000, 10**9)
        for seconds in (-62_135_596_801, -62_135_596_800, -1, 0, 2**34 - 1, 2**34, 253_402_300_799, 2**38)
    ),
    b"\xc7\x0d\xff" + bytes(13), b"\xc7\x0c\x01" + bytes(12), b"\xd6\x00" + bytes(4), b"\xd4\xff\x00",
]  # fmt: skip
TEXTS = [b"\xa2\xc3\xa9", b"\xa2\xc3\x28", b"\xa3\xed\xa0\x80", b"\xa1\x80", b"\xa4\xf4\x90\x80\x80"]
NESTED = [b"\x91" * depth + b"\xc0" for depth in range(1, 9)] + [b"\x91" * 100_000 + b"\xc0", b"\x81\x01\x02"]


@compiled
def test_at_the_edges_of_every_form_both_make_the_same() -> None:
    floats = [
        b"\xcb\x7f\xf0\x00\x00\x00\x00\x00\x01",
        b"\xcb\xff\xf8\x12\x34\x56\x78\x9a\xbc",
        b"\xca" + bytes(4),
    ]
    sized = [
        tag + length.to_bytes(size, "big") + letter * length
        for tag, size, letter in ((b"\xc4", 1, b"\xff"), (b"\xc5", 2, b"\xff"), (b"\xc6", 4, b"\xff"),
                                  (b"\xd9", 1, b"x"), (b"\xda", 2, b"x"), (b"\xdb", 4, b"x"),
                                  (b"\xdc", 2, b"\x01"), (b"\xdd", 4, b"\x01"))
        for length in (0, 15, 16, 31, 32, 255, 256, 65_535, 65_536)
        if length < 256**size
    ]  # fmt: skip
    whole_numbers = [
        bytes([0xCC + 4 * signed + power]) + number.to_bytes(2**power, "big", signed=bool(signed))
        for signed in (0, 1)
        for power in range(4)
        for number in EDGES
        if -(signed << (8 * 2**power - 1)) <= number < 1 << (8 * 2**power - signed)
    ]
    plain = [*map(msgspec.msgpack.encode, EDGES), *whole_numbers, *INSTANTS, *TEXTS, *NESTED, *floats, *sized]
    whole = msgspec.msgpack.encode(
        ["d", 1, None, "m", "1", None, None, None, 1.0, None, None, 0, "ada", None]
    )
    taken = 0
    for value in plain:
        payload = payload_of([whole.replace(b"\x00\xa3ada", value + b"\xa3ada")] * 2)
        agree(payload, ONE)
        taken += at_once(payload, ONE) is not None
        agree(payload[:-1], ONE)
        agree(payload + b"\xc0", ONE)
    assert taken >= 60, "most of them are encoded as msgspec does it"


@compiled
def test_a_count_that_lies_takes_no_memory() -> None:
    tracemalloc.start()
    assert at_once(b"\xdd\xff\xff\xff\xff" + bytes(1000), ONE) is None
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2**20


@compiled
def test_nothing_is_left_behind() -> None:
    whole = msgspec.msgpack.encode(
        ["d", 1, None, "m", "1", None, None, None, 1.0, None, None, 0, "ada", None]
    )
    given = [payload_of([whole] * 9), payload_of([*[whole] * 9, whole[:-1]]), payload_of([whole])[:-3]]
    tracemalloc.start()
    for times in (50, 2_000):
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(times):
            for payload in given:
                at_once_quietly(payload)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 30_000, "one byte string kept by each call would be 60,000"


def at_once_quietly(payload: bytes) -> None:
    assert hotpath.cut is not None
    hotpath.cut(payload, bytes([0] * 11 + [1, 2, 0]), b"bound")


@compiled
@pytest.mark.parametrize(
    "marks",
    [
        b"",
        b"\x02",
        b"\x00\x02",
        b"\x02\x00",
        b"\x00\x00\x00",
        bytes([0, 2, 2, 0]),
        bytes([0, 2]) + bytes(600),
    ],
)
def test_marks_that_cannot_be_are_refused(marks: bytes) -> None:
    assert hotpath.cut is not None
    with pytest.raises(TypeError, match="mark"):
        hotpath.cut(b"", marks, b"")
