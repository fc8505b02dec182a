"""What `make fuzz` sends: its targets hold for right input, and for what once broke them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.strangers import TARGETS, seeds

# An id that is an extension of msgpack, whose text names where the object lies.
NO_TEXT = (
    b"\xdd\x00\x00\x00\x02\xdc\x00\x12\xd5d-0@\x00\xc0@\x04\x00\x00\x00\x00\x00\x00\x00\xa2ad\x00\x00\x00e"
    b"\xdc\x00\x12\x0ad-+\x00\xc0\x00\x00\x00\x00\x00\x00\x07\xc0tale"
)
# Found by the fuzzer: that, and a text that is no UTF-8, where the decoder has an error of its own.
BROKE = [
    ("frames", b"\x02\x00\x91\x95\xd9\x0266\xa4\x01\xff\xff\x00full\x87\x00\xce\x00\x0fB@"),
    ("bodies", b"\x94\xa1\xff\x01\xa0\x90"),
    ("persons", NO_TEXT),
]
# What a request to the port of operations is made of.
WORDS = (
    b"GET /metrics|POST /drain|/healthz| HTTP/1.1|\r\n|\r\n\r\n|:|authorization: Bearer |a token that|\xff|\0"
)


@pytest.mark.parametrize("target", TARGETS)
def test_right_input_is_borne(target: str) -> None:
    with TARGETS[target]() as strangers:
        for data in seeds(target):
            strangers(data)
            strangers(data[: len(data) // 2])


@pytest.mark.parametrize(("target", "data"), BROKE)
def test_what_broke_a_door_once_is_borne(target: str, data: bytes) -> None:
    with TARGETS[target]() as strangers:
        strangers(data)


@given(
    data=st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.sampled_from([*WORDS.split(b"|"), b"x" * 9_000]),
            max_size=12,
        ).map(b"".join),
    )
)
def test_the_port_of_operations_bears_what_anybody_sends(data: bytes) -> None:
    with TARGETS["ops"]() as strangers:
        strangers(data)
