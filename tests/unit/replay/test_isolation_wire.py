"""Frames and blocks between parent and child: whole whatever the pieces, and no schema taken for another."""

import os
import threading

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.isolation import wire
from replay.isolation.messages import Packer, Unpacker

PIECES = st.lists(st.binary(max_size=70_000), max_size=4)
SCHEMAS = st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=3, unique=True)
BLOCKS = st.lists(st.tuples(SCHEMAS, st.sampled_from([pa.float64(), pa.int64(), pa.string()])), max_size=6)


@pytest.fixture
def pipes():
    """The line of a parent and the two ends of its child, closed when they are done with."""
    (inner, to_child), (from_child, outer), (noise, told) = os.pipe(), os.pipe(), os.pipe()
    line = wire.Line(to_child, from_child, noise, lambda: None)
    yield line, inner, outer
    line.close()
    for end in (inner, outer, told):
        os.close(end)


def echo(inner, outer, times):
    for _turn in range(times):
        kind, body = wire.read_all(inner)
        wire.write_all(outer, kind + 10, bytes(body))


def test_a_frame_arrives_whole_whatever_its_pieces(pipes):
    line, inner, outer = pipes

    @given(PIECES)
    def whole(pieces):
        child = threading.Thread(target=echo, args=(inner, outer, 2))
        child.start()
        for kind in (wire.OPEN, wire.SCORE):  # the second finds nothing left of the first
            assert line.ask(kind, pieces, 60) == (kind + 10, b"".join(pieces))
        child.join()

    whole()


def test_a_reply_that_comes_in_drops_is_read_to_its_end_and_no_further(pipes):
    line, _inner, outer = pipes
    reply = wire.HEADER.pack(3, wire.ANSWER) + b"abc" + wire.HEADER.pack(1, wire.STATE) + b"d"

    def drip():
        for byte in reply:
            os.write(outer, bytes([byte]))

    child = threading.Thread(target=drip)
    child.start()
    assert line.ask(wire.SCORE, [b""], 60) == (wire.ANSWER, b"abc")
    assert line.ask(wire.SCORE, [b""], 60) == (wire.STATE, b"d")
    child.join()


def test_a_reply_that_claims_too_much_is_refused_unread(pipes):
    line, _inner, outer = pipes
    os.write(outer, wire.HEADER.pack(wire.REPLY_BYTES_MAX + 1, wire.ANSWER))
    with pytest.raises(wire.Broken, match="more than the"):
        line.ask(wire.SCORE, [b""], 60)


@given(BLOCKS)
def test_each_block_comes_back_under_its_own_schema(blocks):
    packer, unpacker = Packer(), Unpacker()
    for names, kind in blocks:
        values = pa.array([1, None, 3]).cast(kind)
        block = pa.RecordBatch.from_arrays([values] * len(names), names=names)
        assert unpacker.block(bytearray(b"".join(packer.pieces(block)))).equals(block)
