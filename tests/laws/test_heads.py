"""Law: the compiled reading of a head and the regular expression find the same in every head, or neither."""

import gc
import tracemalloc
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorders import hotpath
from recorders.doors.heads import HEAD_BYTES, Form, Found, Head

pytestmark = pytest.mark.skipif(not hotpath.COMPILED, reason=hotpath.which())
Headers = list[tuple[bytes, bytes]]

NAMES = st.sampled_from(
    [
        *(b"Host", b"X-A.b*(c", b"ce-id", b"Ce-Type", b"CE-Odd\xe9", b"ce-", b"Authorization"),
        *(b"Content-Type", b"Content-Encoding", b"ce-content-length", b"$^[", b"CE-Authorization"),
    ]
)
PLAIN = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12).map(str.encode)
ODD = st.sampled_from(
    [b"", b" ", b" a", b"a ", b"a\tb", b"a\x7f", b"\xe9", b"a\r\nx: y", b"a\n", b"~", b"a b"]
)
LENGTHS = st.sampled_from(
    [b"0", b"2", b"007", b"9" * 15, b"9" * 16, b"1" * 400, b"", b"+1", b"2 ", b" 2", b"1_0"]
)
VALUES = PLAIN | ODD | st.binary(max_size=6)
LEARNT = PLAIN | st.sampled_from([b"", b"a\tb", b"\xe9"])  # httptools gives no line's end in a value
LINES = st.lists(st.tuples(NAMES, LEARNT), max_size=6, unique_by=lambda one: one[0].lower())


def both(form: Form, data: bytes, start: int = 0) -> Found | None:
    """Return what a form reads; fail if the two ways differ."""
    found = form.read(data, start)
    with patch("recorders.hotpath.read_request", None):
        patiently = form.read(data, start)
    assert found == patiently
    if found is not None and patiently is not None:
        assert list(found[2].items()) == list(patiently[2].items())
        assert type(found[1]) is bytes
    return found


def head(headers: Headers, first: bytes = b"POST /?a=b HTTP/1.1") -> bytes:
    return b"\r\n".join([first, *(b"%s: %s" % one for one in headers)]) + b"\r\n\r\n"


@st.composite
def spelled(draw: st.DrawFn) -> tuple[Form, Headers]:
    """A form of a few headers, one of them the length, in any order."""
    headers = draw(LINES)
    headers.insert(draw(st.integers(0, len(headers))), (b"Content-Length", b"2"))
    return Form(b"POST", b"/?a=b", headers), headers


@settings(max_examples=200, deadline=None)
@given(spelled(), st.data())
def test_both_read_the_same_in_heads_of_a_form(drawn: tuple[Form, Headers], data: st.DataObject) -> None:
    form, headers = drawn
    changed = [
        (name, data.draw(LENGTHS if name == b"Content-Length" else st.just(value) | VALUES))
        for name, value in headers
    ]
    before = data.draw(st.binary(max_size=4))
    both(form, before + head(changed) + data.draw(st.binary(max_size=4)), len(before))


@settings(max_examples=200, deadline=None)
@given(spelled(), st.data())
def test_both_read_the_same_in_what_is_damaged(drawn: tuple[Form, Headers], data: st.DataObject) -> None:
    form, headers = drawn
    damaged = bytearray(head(headers))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(damaged)))
        damaged[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.binary(max_size=2) | st.sampled_from([b"\r\n", b"\r\n\r\n", b"\n", b" ", b": "])
        )
    start = data.draw(st.integers(0, 3))
    both(form, bytes(damaged), min(start, len(damaged)))


HEADERS: Headers = [
    (b"Host", b"h"),
    (b"Content-Length", b"2"),
    (b"ce-id", b"1"),
    (b"Authorization", b"Bearer x"),
]
FORM = Form(b"POST", b"/?a=b", HEADERS)


def test_what_a_form_is_for_is_read() -> None:
    found = both(FORM, b"xx" + head(HEADERS) + b"{}", 2)
    assert found is not None
    assert FORM.head(found) == Head(b"POST", b"/", b"", b"", 2, b"Bearer x", False, {"id": "1"})


def test_every_beginning_of_a_head_and_every_byte_in_every_place_of_one() -> None:
    whole = head(HEADERS)
    for place in range(len(whole)):
        assert both(FORM, whole[:place]) is None
    taken = 0
    for place in range(len(whole)):
        for byte in (0, 9, 10, 13, 31, 32, 33, 47, 48, 57, 58, 65, 126, 127, 128, 255):
            taken += both(FORM, whole[:place] + bytes([byte]) + whole[place + 1 :]) is not None
    assert taken > 50, "values may be others"


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_a_head_is_as_long_as_it_may_be_and_no_longer(more: int) -> None:
    spare = HEAD_BYTES - len(head(HEADERS)) + 1 + more
    found = both(FORM, b"y" + head([(b"Host", b"h" * spare), *HEADERS[1:]]) + b"{}", 1)
    assert (found is None) == (more > 0)


def test_nothing_is_left_behind() -> None:
    whole = head(HEADERS)
    given = [whole, whole[:-1], whole.replace(b": 2", b": x"), whole.replace(b"Bearer x", b"Bearer x ")]
    tracemalloc.start()
    for times in (50, 2_000):
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(times):
            for data in given:
                FORM.read(data, 0)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 30_000, "one object kept by each call would be more"


@pytest.mark.parametrize(
    "wrong",
    [
        (),
        ((b"a",), (), b"a", 0, 9, None),
        ((b"a",), (None,), b"a", 0, 9, None, 0.0),
        ((b"a", "b"), (None,), b"a", 0, 9, None, 0.0),
        ((b"a", b"b"), (1.0,), b"a", 0, 9, None, 0.0),
        ([b"a"], (), b"a", 0, 9, None, 0.0),
        ((b"a",), [], b"a", 0, 9, None, 0.0),
        ((b"a",), (), bytearray(b"a"), 0, 9, None, 0.0),
        ((b"a",), (), b"a", "0", 9, None, 0.0),
        ((b"a",), (), b"a", 2, 9, None, 0.0),
        ((b"a",), (), b"a", -1, 9, None, 0.0),
        ((b"a",), (), b"a", 0, -1, None, 0.0),
        ((b"a",), (), b"a", 2**70, 9, None, 0.0),
    ],
)
def test_what_is_no_spelling_is_refused(wrong: tuple[Any, ...]) -> None:
    assert hotpath.read_request is not None
    with pytest.raises((TypeError, ValueError, OverflowError)):
        hotpath.read_request(*wrong)
