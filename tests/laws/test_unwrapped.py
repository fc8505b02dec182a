"""Law: a batch whose buffers are taken out of their frames is read, or refused, as Arrow alone does it."""

from unittest.mock import patch

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorders.columns import decode_batch, encode_batch, to_batch
from recorders.errors import CorruptBatch
from recorders.flatbuffer import unwrapped
from tests.laws.test_transpose import Drawn, frames

Harm = tuple[int, int]
HARM = st.lists(st.tuples(st.integers(0, 2**16), st.integers(0, 255)), min_size=1, max_size=3)
FRAME = (0xFD2FB528).to_bytes(4, "little")
ONE = encode_batch(
    pa.record_batch(
        {
            "decision_id": ["d1"],
            "number": [1.5],
            "count": pa.array([None], pa.int64()),
            "list": [[1.0, None]],
            "flag": [True],
        }
    )
)


def read(data: bytes, *, plainly: bool) -> bytes | str:
    """Return what the bytes hold, written again, or that they are refused; `plainly` by Arrow alone."""
    with patch("recorders.columns.unwrapped", (lambda message: message) if plainly else unwrapped):
        try:
            batch = decode_batch(data)
        except CorruptBatch:
            return "refused"
    return encode_batch(batch)


def batch_message(data: bytes) -> bytes:
    source = pa.BufferReader(data)
    pa.ipc.read_message(source)
    return data[source.tell() :]


@settings(max_examples=200, deadline=None)
@given(frames(), st.integers(1, 40))
def test_batches_are_read_as_they_were_written(drawn: Drawn, times: int) -> None:
    feature_set, frame = drawn
    batch = to_batch(frame, feature_set)
    data = encode_batch(pa.Table.from_batches([batch] * times).combine_chunks().to_batches()[0])
    assert read(data, plainly=False) == read(data, plainly=True) == data


@settings(max_examples=100, deadline=None)
@given(frames(), st.lists(HARM, min_size=20, max_size=20))
def test_harmed_batches_are_read_alike_or_refused_alike(drawn: Drawn, harms: list[list[Harm]]) -> None:
    feature_set, frame = drawn
    whole = encode_batch(to_batch(frame, feature_set))
    begins = len(whole) - len(batch_message(whole))
    for harm in harms:
        harmed = bytearray(whole)
        for place, value in harm:
            harmed[begins + place % (len(whole) - begins)] = value
        assert read(bytes(harmed), plainly=False) == read(bytes(harmed), plainly=True)


def test_every_flipped_byte_of_a_batch_of_one_event_is_read_alike() -> None:
    begins = len(ONE) - len(batch_message(ONE))
    for at in range(begins, len(ONE)):
        for bit in range(8):
            harmed = bytearray(ONE)
            harmed[at] ^= 1 << bit
            assert read(bytes(harmed), plainly=False) == read(bytes(harmed), plainly=True), (at, bit)


def test_of_one_event_no_frame_is_left() -> None:
    message = batch_message(ONE)
    assert message.count(FRAME) > 5
    assert unwrapped(message).count(FRAME) == 0
    assert pa.ipc.read_message(unwrapped(message)).type == "record batch"


def test_a_count_that_needs_what_was_left_of_a_frame_is_refused() -> None:
    """Nine bytes of a frame lie behind its content: no event may be made of them."""
    batch = pa.record_batch({"number": pa.array([7])})
    data = encode_batch(batch)
    one, two = (1).to_bytes(8, "little"), (2).to_bytes(8, "little")
    begins = len(data) - len(batch_message(data))
    harmed = data[:begins] + data[begins:].replace(one, two)
    assert harmed != data
    assert read(harmed, plainly=True) == "refused"
    assert read(harmed, plainly=False) == "refused"


@pytest.mark.parametrize("rows", [1, 31, 32, 5_000])
def test_more_rows_than_a_frame_of_one_byte_counts(rows: int) -> None:
    data = encode_batch(pa.record_batch({"number": [float(row % 7) for row in range(rows)]}))
    assert read(data, plainly=False) == read(data, plainly=True) == data
