"""Law: compiled and in Python, a plain request is the same half, or is left to be read piece by piece."""

import gc
import tracemalloc
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorders import hotpath
from recorders.doors import cloudevents
from recorders.doors.heads import Form
from recorders.doors.pairing import PLAN, Half, half_of

NOW = 1_790_000_000.25
KSERVE = {
    b"ce-id": b"a-1",
    b"Ce-Source": b"http://localhost:9081/",
    b"CE-Specversion": b"1.0",
    b"ce-type": b"org.kubeflow.serving.inference.request",
    b"ce-namespace": b"models",
}
SELDON = KSERVE | {
    b"ce-type": b"io.seldon.serving.inference.response",
    b"Ce-Requestid": b"r-1",
    b"ce-modelid": b"m",
    b"ce-endpoint": b"e",
    b"ce-inferenceservicename": b"s",
}
TYPES = st.sampled_from([kind.encode() for kind in cloudevents.FAMILIES] + [b"a.b", b"a"])
VALUES = st.one_of(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=9).map(str.encode),
    st.sampled_from([b"", b" ", b"%41", b"a%", b"a b", b"\xe9", b"x" * 4_095, b"x" * 4_096, b"x" * 4_097]),
)


def form_of(attributes: dict[bytes, bytes], *, binary: bool = True) -> Form:
    return Form(b"POST", b"/", [*attributes.items(), (b"Content-Length", b"2")], binary=binary)


def request(attributes: dict[bytes, bytes], body: bytes, length: int | None = None) -> bytes:
    lines = [b"POST / HTTP/1.1", *(b"%s: %s" % one for one in attributes.items())]
    lines.append(b"Content-Length: %d" % (len(body) if length is None else length))
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def half_in(form: Form, data: bytes) -> Half | None:
    """Return the half that a form finds, by the compiled way and by Python's; fail if they differ."""
    found = form.read(data, 0, NOW)
    with patch("recorders.hotpath.read_request", None):
        assert form.read(data, 0, NOW) == found
    if found is None or found[4] is None:
        return None
    half: Half = found[4]
    assert [type(value) for value in (half.key, half.data, half.size)] == [str, bytes, int]
    assert list(half.attributes.items()) == list(found[2].items())
    return half


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([KSERVE, SELDON]), st.data())
def test_both_make_the_same_half_or_none(usual: dict[bytes, bytes], data: st.DataObject) -> None:
    some = st.lists(st.sampled_from(sorted(usual)), min_size=4, unique=True)
    names = data.draw(some | st.permutations(list(usual)))
    learnt = {name: usual[name] for name in names}
    changed = data.draw(st.dictionaries(st.sampled_from(names), VALUES, max_size=2))
    sent = learnt | changed
    if b"ce-type" in sent:
        sent[b"ce-type"] = data.draw(st.just(usual[b"ce-type"]) | TYPES)
    body = data.draw(st.binary(max_size=6))
    length = data.draw(st.just(len(body)) | st.integers(0, 9))
    half_in(form_of(learnt), request(sent, body, length))


@pytest.mark.parametrize("usual", [KSERVE, SELDON])
def test_a_plain_request_is_the_half_that_its_event_is(usual: dict[bytes, bytes]) -> None:
    attributes, _ = cloudevents.split(usual.items())
    (event,) = cloudevents.read(b"", attributes, b'{"a":1}')
    form = form_of(usual)
    assert half_in(form, request(usual, b'{"a":1}')) == half_of(event, NOW)
    assert half_in(form, request(usual, b'{"a":1}')[:-1]) is None
    assert half_in(form_of(usual, binary=False), request(usual, b"{}")) is None
    followed = form.read(request(usual, b"{}") + b"POST", 0, NOW)
    assert followed is not None
    assert followed[4] is not None
    assert followed[4].data == b"{}"


@pytest.mark.parametrize(
    "unusual",
    [
        {b"ce-type": b"io.seldon.serving.feedback"},
        {b"ce-type": b"com.example.order"},
        {b"ce-id": b"a%20b"},
        {b"Ce-Source": b"s" * 4_097},
        {b"CE-Specversion": b"1" * 4_097},
        {b"ce-id": b"x" * 4_097},
    ],
    ids=lambda one: str(one)[:40],
)
def test_what_is_unusual_is_left_to_be_read_piece_by_piece(unusual: dict[bytes, bytes]) -> None:
    for usual in (KSERVE, SELDON):
        assert half_in(form_of(usual), request(usual | unusual, b"{}")) is None


@pytest.mark.parametrize("name", [b"ce-id", b"Ce-Source", b"CE-Specversion", b"ce-type", b"Ce-Requestid"])
def test_an_attribute_that_is_missing_makes_no_half(name: bytes) -> None:
    less = {key: value for key, value in SELDON.items() if key != name}
    assert half_in(form_of(SELDON), request(SELDON, b"{}")) is not None
    assert half_in(form_of(less), request(less, b"{}")) is None


@pytest.mark.skipif(not hotpath.COMPILED, reason=hotpath.which())
def test_nothing_is_left_behind() -> None:
    form = form_of(SELDON)
    short = {key: value for key, value in SELDON.items() if key != b"Ce-Requestid"}
    given = [(form, request(SELDON, b"{}")), (form, request(SELDON | {b"ce-id": b"%"}, b"{}"))]
    given += [(form_of(short), request(short, b"{}")), (form, request(SELDON | {b"ce-type": b"a"}, b"{}"))]
    tracemalloc.start()
    for times in (50, 2_000):
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(times):
            for one, data in given:
                one.read(data, 0, NOW)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 30_000, "one object kept by each call would be more"


KINDS, NEEDED, LONGEST, MAKE = PLAN
REQUEST = KSERVE[b"ce-type"].decode()


@pytest.mark.skipif(not hotpath.COMPILED, reason=hotpath.which())
@pytest.mark.parametrize(
    "plan",
    [
        (),
        [KINDS, NEEDED, LONGEST, MAKE],
        (KINDS, NEEDED, LONGEST),
        ([], NEEDED, LONGEST, MAKE),
        (KINDS, (), LONGEST, MAKE),
        (KINDS, ("type", 1), LONGEST, MAKE),
        (KINDS, ("type",) * 9, LONGEST, MAKE),
        (KINDS, NEEDED, 1.0, MAKE),
        (KINDS, NEEDED, 2**70, MAKE),
        (KINDS, NEEDED, LONGEST, None),
        (KINDS, NEEDED, LONGEST, int),
        ({REQUEST: ()}, NEEDED, LONGEST, MAKE),
        ({REQUEST: ("é", "request", ("id",))}, NEEDED, LONGEST, MAKE),
        ({REQUEST: ("kserve", None, ("id",))}, NEEDED, LONGEST, MAKE),
        ({REQUEST: ("kserve", "request", ())}, NEEDED, LONGEST, MAKE),
        ({REQUEST: ("kserve", "request", ("id",) * 9)}, NEEDED, LONGEST, MAKE),
        ({REQUEST: ("kserve", "request", (b"id",))}, NEEDED, LONGEST, MAKE),
    ],
)
def test_what_is_no_plan_is_refused(plan: Any) -> None:
    assert hotpath.read_request is not None
    form = form_of(KSERVE)
    with pytest.raises((TypeError, OverflowError)):
        hotpath.read_request(form._literals, form._names, request(KSERVE, b"{}"), 0, 2**15, plan, NOW)
