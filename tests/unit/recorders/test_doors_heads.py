"""Heads that are spelled alike: read in one step they are what httptools makes of them, or are left to it."""

import asyncio
import itertools
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorders.doors import desk, heads
from recorders.doors.connection import Connection
from recorders.doors.heads import FORMS_MAX, LEARNT_AFTER, Form, Forms, Head
from recorders.doors.http import Answer, Doors, Told
from recorders.doors.reception import Limits
from tests.support.doors_house import Answered, House, Wire, kserve, run

NAMES = (b"Host", b"User-Agent", b"Content-Length", b"Content-Type", b"Ce-Id", b"ce-type", b"Authorization")
VALUES = (b"127.0.0.1", b"Go-http-client/1.1", b"2", b"application/json", b"a-1", b"some.type", b"Bearer me")
HEADERS = tuple(zip(NAMES, VALUES, strict=True))


def request(
    *changed: tuple[bytes, bytes], first: bytes = b"POST /?a=b HTTP/1.1", body: bytes = b"{}"
) -> bytes:
    """Return a request of the usual headers, some with other values."""
    other = dict(changed)
    lines = [first, *(name + b": " + other.get(name, value) for name, value in HEADERS)]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


class Taken(NamedTuple):
    """What a connection came to: the requests that it handed over, what it sent, whether it was closed."""

    requests: list[tuple[Head, bytes]]
    sent: bytes
    closed: bool
    late: bool


def taken(house: House, pieces: list[bytes], monkeypatch: pytest.MonkeyPatch, learnt_after: int) -> Taken:
    """Return what becomes of bytes; with `learnt_after` 0 a form is known after the first request."""
    found = []

    def take(_: Doors, head: Head, body: bytes, told: Told) -> Answer:
        del told
        found.append((head, body))
        return Answer(200)

    with monkeypatch.context() as patched:
        patched.setattr(heads, "LEARNT_AFTER", learnt_after)
        patched.setattr(Doors, "take", take)
        house.reception.forms = Forms()
        wire = Wire(house.reception)
        for piece in pieces:
            wire.feed(piece)
        late = wire.connection.late(asyncio.get_running_loop().time() + 11)
    return Taken(found, bytes(wire.sent), wire.closed, late)


ODD = (
    *(b"", b" a", b"a ", b"a b", b"a\tb", b"\ta", b"a\x00", b"a\x7f", b"\xe9", b"a\r\nx: y", b"a\nb"),
    *(b"9" * 17, b"007", b"+2", b"2 ", b"0x2", b"1, 1", b"1" * 2**15),
    *(b"a\r\nContent-Length: 1", b"a\r\nTransfer-Encoding: chunked"),
)
VALUE = st.binary(max_size=8) | st.sampled_from(ODD)
CHANGED = st.lists(st.tuples(st.sampled_from(NAMES), VALUE), max_size=3)
SPELLED = st.builds(
    lambda changed, body: request(*changed, body=body), CHANGED, st.just(b"{}") | st.binary(max_size=4)
)
OTHER = st.sampled_from(
    [
        b"\r\n" + request(),
        request(first=b"POST /?a=b HTTP/1.0"),
        request(first=b"POST / HTTP/1.1"),
        request(first=b"GET /?a=b HTTP/1.1"),
        request().replace(b": ", b":"),
        request().replace(b": ", b":  "),
        request().replace(b": ", b" : "),
        request().replace(b"\r\n", b"\n"),
        request().replace(b"Host", b"host"),
        request().replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"),
        request().replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        request()
        .replace(b"Content-Length: 2", b"Transfer-Encoding: chunked")
        .replace(b"{}", b"2\r\n{}\r\n0\r\n\r\n"),
        b"garbage\r\n\r\n",
    ]
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.just(request()) | SPELLED | OTHER, max_size=5), st.lists(st.integers(0, 900), max_size=4))
def test_a_connection_that_knows_the_form_takes_what_one_that_does_not_takes(
    tmp_path_factory: pytest.TempPathFactory, requests: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(requests)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [request(), *(stream[a:b] for a, b in itertools.pairwise(places) if a < b)]

    async def story(house: House) -> None:
        with pytest.MonkeyPatch.context() as monkeypatch:
            known = taken(house, pieces, monkeypatch, 0)
            assert known == taken(house, pieces, monkeypatch, 2**31)
            assert known.requests

    run(tmp_path_factory.mktemp("heads"), story, limits=Limits(body_bytes=1_000), token="me")


def test_no_odd_value_is_taken_otherwise_than_by_httptools(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(house: House) -> None:
        for name, value in itertools.product(NAMES, ODD):
            pieces = [request(), request((name, value)), request()]
            known = taken(house, pieces, monkeypatch, 0)
            assert known == taken(house, pieces, monkeypatch, 2**31), (name, value)

    run(tmp_path, story, token="me")


def test_a_form_reads_the_values_of_a_head_and_where_it_ends() -> None:
    form = Form(b"POST", b"/?a=b", HEADERS)
    data = b"xx" + request((b"Ce-Id", b"b 2"), (b"Content-Length", b"31"), (b"Host", b"elsewhere"))
    found = form.read(data, 2)
    assert found is not None
    assert data[found[3] :] == b"{}"
    assert form.head(found) == Head(
        b"POST", b"/", b"application/json", b"", 31, b"Bearer me", False, {"id": "b 2", "type": "some.type"}
    )
    assert form.read(data[:-3], 2) is None
    assert form.read(data, 0) is None


def test_only_what_is_met_often_is_learnt_and_only_so_many_are_remembered() -> None:
    forms = Forms()
    for number in range(10 * FORMS_MAX):
        assert forms.meet(b"POST", b"/", [*HEADERS, (b"x-%d" % number, b"")]) is None
    assert len(forms._met) == FORMS_MAX
    met = [forms.meet(b"POST", b"/", HEADERS) for _ in range(LEARNT_AFTER + 2)]
    assert met[:-2] == [None] * LEARNT_AFTER
    assert isinstance(met[-1], Form)
    assert met[-1] is met[-2]
    for number in range(FORMS_MAX - 1):
        forms.meet(b"POST", b"/", [*HEADERS, (b"y-%d" % number, b"")])
        assert forms.meet(b"POST", b"/", HEADERS) is met[-1]  # what is in use stays


@pytest.mark.parametrize(
    "added",
    [
        (b"Transfer-Encoding", b"chunked"),
        (b"Connection", b"keep-alive"),
        (b"Upgrade", b"h2c"),
        (b"Expect", b"100-continue"),
        (b"content-length", b"2"),
        (b"CE-ID", b"twice"),
        (b"x" * 9_000, b""),
        (b"X", b"x" * 9_000),
    ],
    ids=lambda one: one[0][:20].decode(),
)
def test_what_frames_a_request_otherwise_or_comes_twice_is_never_learnt(added: tuple[bytes, bytes]) -> None:
    forms = Forms()
    assert [forms.meet(b"POST", b"/", [*HEADERS, added]) for _ in range(2 * LEARNT_AFTER)] == [None] * 64
    assert forms.meet(b"POST", b"/", [one for one in HEADERS if one[0] != b"Content-Length"]) is None
    many = [*HEADERS, *((b"x-%d" % number, b"") for number in range(64))]
    assert forms.meet(b"POST", b"/", many) is None
    assert not forms._met


def test_limits_and_the_token_hold_for_a_sender_whose_form_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "LEARNT_AFTER", 0)
    _, headers, body = kserve(1, "request")
    lines = [b"POST / HTTP/1.1", *(b"%s: %s" % one for one in headers), b"authorization: Bearer secret"]

    def spelled(body: bytes, token: bytes = b"secret") -> bytes:
        told = [*lines[:-1], b"authorization: Bearer " + token, b"content-length: %d" % len(body)]
        return b"\r\n".join(told) + b"\r\n\r\n" + body

    async def known(house: House) -> Wire:
        wire = Wire(house.reception)
        wire.feed(spelled(body))
        assert (await wire.answer())[0] == 200
        assert wire.connection._form is not None
        wire.feed(spelled(body))
        assert (await wire.answer())[0] == 200
        return wire

    async def story(house: House) -> None:
        for refused, status in [(spelled(body, b"secreT"), 401), (spelled(b" " * 4_501), 413)]:
            wire = await known(house)
            wire.feed(refused)
            assert (await wire.answer())[0] == status
            assert wire.closed
        wire = await known(house)
        wire.feed(spelled(body)[:-1])
        house.reception.sweep(asyncio.get_running_loop().time() + 9)
        assert not wire.closed
        house.reception.sweep(asyncio.get_running_loop().time() + 12)
        assert (await wire.answer())[0] == 408

    run(tmp_path, story, limits=Limits(body_bytes=4_500), token="secret")


def test_all_of_a_senders_requests_but_the_first_are_read_in_one_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heads, "LEARNT_AFTER", 0)
    begun, patiently = [], []
    begin, take = Connection.on_message_begin, Doors.take
    monkeypatch.setattr(Connection, "on_message_begin", lambda one: (begun.append(1), begin(one)))
    monkeypatch.setattr(Doors, "take", lambda *given: (patiently.append(1), take(*given))[1])

    async def story(house: House) -> None:
        wire = Wire(house.reception)
        for number in range(5):
            for side in ("request", "response"):
                _, headers, body = kserve(number, side)
                own = [*headers, (b"content-length", b"%d" % len(body))]
                told = [b"POST / HTTP/1.1", *(b"%s: %s" % one for one in own)]
                wire.feed(b"\r\n".join(told) + b"\r\n\r\n" + body)
                assert (await wire.answer())[0] == 200

    assert len(run(tmp_path, story).kept.ids()) == 5
    assert len(begun) == len(patiently) == 1


def half(**changed: bytes) -> bytes:
    """Return a request that is a half of KServe, some of its headers or its body other than usual."""
    body = changed.pop("body", b'{"instances": [[1.0, 2.0, 3.0, 4.0]]}')
    side = b"response" if body.startswith(b'{"p') else b"request"
    usual = {
        b"host": b"h",
        b"content-type": b"application/json",
        b"authorization": b"Bearer me",
        b"ce-id": b"1",
        b"ce-source": b"http://localhost:9081/",
        b"ce-specversion": b"1.0",
        b"ce-type": b"org.kubeflow.serving.inference." + side,
        b"ce-time": b"2026-05-04T09:15:27.481920113Z",
        b"ce-inferenceservicename": b"sklearn-iris",
        b"ce-namespace": b"models",
        b"ce-component": b"predictor",
        b"ce-endpoint": b"default",
        b"content-length": b"%d" % len(body),
    }
    told = usual | {name.replace("_", "-").encode(): value for name, value in changed.items()}
    lines = [b"POST / HTTP/1.1", *(b"%s: %s" % one for one in told.items())]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


ANSWER = b'{"predictions": [0.5]}'
HALVES = st.sampled_from(
    [
        *(half(), half(ce_id=b"2"), half(body=ANSWER), half(body=ANSWER, ce_id=b"2")),
        *(half(ce_id=b"%31"), half(body=ANSWER, ce_id=b"1%"), half(ce_id=b"x" * 4_097), half(ce_source=b"")),
        *(half(body=b"{"), half(body=b"NaN"), half(body=b"[" * 600 + b"]" * 600), half(body=b" " * 1_001)),
        *(half(ce_type=b"a.b"), half(ce_type=b"io.seldon.serving.inference.request"), half(ce_time=b"soon")),
        *(half(ce_inferenceservicename=b"other"), half(body=ANSWER, ce_id=b"first")),
        *(half(authorization=b"Bearer you"), half(body=b'{"predictions": [1, 2]}'), half(x=b"y")),
        *(half(content_type=b"application/cloudevents+json"), half(content_encoding=b"gzip")),
    ]
)


class Ended(NamedTuple):
    """What doors came to: answers on each connection, whether it was closed, what is kept and counted."""

    answers: list[tuple[list[Answered], bool]]
    kept: list[object]
    counts: dict[str, int]
    paired: dict[str, int]
    waiting: int


def ended(folder: Path, streams: list[list[bytes]], learnt_after: int) -> Ended:
    """Return what comes of requests, those of each stream in one piece of bytes."""
    answers = []

    async def story(house: House) -> None:
        for stream in streams:
            wire = Wire(house.reception)
            wire.feed(half(ce_id=b"first"))
            told = [await wire.answer()]
            wire.feed(b"".join(stream))
            while len(told) <= len(stream) and (wire.sent or not wire.closed):
                told.append(await wire.answer())
            answers.append((told, wire.closed))
            house.clock.seconds += 0.5

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(heads, "LEARNT_AFTER", learnt_after)
        house = run(folder, story, limits=Limits(body_bytes=1_000), token="me")
    counts = {name: count for name, count in house.desk.counts.items() if name != "commits"}
    return Ended(
        answers,
        sorted(map(repr, house.kept.events())),
        counts,
        dict(house.desk.table.counts),
        len(house.desk.table),
    )


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(HALVES, max_size=4), min_size=1, max_size=3))
def test_halves_of_a_known_form_come_to_what_others_come_to(
    tmp_path_factory: pytest.TempPathFactory, streams: list[list[bytes]]
) -> None:
    known = ended(tmp_path_factory.mktemp("known"), streams, 0)
    assert known == ended(tmp_path_factory.mktemp("unknown"), streams, 2**31)
    assert known.waiting or known.kept


@pytest.mark.parametrize(("why", "told"), [("full", [200, 503]), ("away", [503, 503])])
def test_halves_of_a_known_form_that_are_not_kept_are_told_so_in_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str, told: list[int]
) -> None:
    monkeypatch.setattr(heads, "LEARNT_AFTER", 0)

    async def story(house: House) -> None:
        wire = Wire(house.reception)
        wire.feed(half(ce_id=b"1"))
        assert (await wire.answer())[0] == 200
        both = half(ce_id=b"2") + half(body=ANSWER, ce_id=b"1")
        with monkeypatch.context() as patched:
            patched.setattr(desk, "PENDING_MAX", 1 if why == "full" else desk.PENDING_MAX)
            house.kept.away = why == "away"
            wire.feed(both)
            answered = [await wire.answer() for _ in range(2)]
        house.kept.away = False
        assert [status for status, _, _ in answered] == told
        assert all(b"retry-after" in headers for status, headers, _ in answered if status == 503)
        assert house.desk.counts["answered.503"] == told.count(503)
        assert house.kept.ids() == []
        wire.feed(both)
        assert [(await wire.answer())[0] for _ in range(2)] == [200, 200]

    house = run(tmp_path, story, token="me")
    assert house.kept.ids() == ["1"]
    assert len(house.desk.table) == 1
