"""Both middlewares, driven by hand: what passes, what is copied, what is recorded."""

import asyncio
import io
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from recorders.integrations.asgi import AsgiMiddleware
from recorders.integrations.wsgi import WsgiMiddleware
from recorders.limits import Limits
from recorders.recorder import Recorder
from tests.support.middlewares import ANSWER, BODY, LENGTH, TRACE, Bench, asgi, part, reading, start, wsgi
from tests.support.recording import PLAIN, TWO, MemoryLink, still


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_asgi_messages_pass_as_they_are_and_the_decision_is_recorded(bench: Bench) -> None:
    sent = [start(200, LENGTH), part(ANSWER[:4], more=True), part(ANSWER[4:])]
    headers = [(b"traceparent", f"00-{TRACE}-00f067aa0ba902b7-01".encode())]
    got = asgi(bench, sent, body=(BODY[:9], BODY[9:]), headers=headers)
    assert all(a is b for a, b in zip(got, sent, strict=True))
    (row,) = bench.rows()
    assert (row[5], row[10], row[11:13]) == (0.25, TRACE, [41, 2.5])
    assert row[9] == bench.seen[0].latency_us
    assert bench.seen[0].query == "a=1"


@pytest.mark.parametrize(
    ("sent", "response"),
    [
        ([start(), part(ANSWER)], ANSWER),
        ([start(), part(ANSWER, more=True), part(b"")], None),
        ([start(200, LENGTH), part(b"x" * 101)], None),
        ([start(200, (b"Content-Length", b"200")), part(b"x" * 60, more=True), part(b"x" * 60)], None),
        ([start(), {"type": "http.response.pathsend", "path": "/x"}], None),
        ([{"type": "http.response.start", "status": 200, "headers": iter([LENGTH])}, part(ANSWER)], ANSWER),
    ],
    ids=["whole", "streamed", "over", "over in parts", "file", "headers once"],
)
def test_asgi_copies_only_whole_answers_within_the_limit(
    bench: Bench, sent: list[dict[str, Any]], response: bytes | None
) -> None:
    assert asgi(bench, sent) == sent
    assert [exchange.response for exchange in bench.seen] == [response]
    assert len(bench.rows()) == (response is not None)


def test_headers_that_can_be_read_once_are_left_to_the_server(bench: Bench) -> None:
    got = asgi(
        bench, [{"type": "http.response.start", "status": 200, "headers": iter([LENGTH])}, part(ANSWER)]
    )
    assert list(got[0]["headers"]) == [LENGTH]


@pytest.mark.parametrize(
    "scope",
    [{"path": "/health"}, {"type": "websocket"}, {"type": "lifespan"}],
    ids=["path", "websocket", "lifespan"],
)
def test_asgi_leaves_alone_what_it_does_not_watch(bench: Bench, scope: dict[str, Any]) -> None:
    sent = [start(), part(ANSWER)]
    assert asgi(bench, sent, **scope) == sent
    assert bench.seen == []


def test_what_was_recorded_leaves_before_the_lifespan_has_ended(bench: Bench) -> None:
    """Workers of uvicorn end by the signal's default action after it: what waited was gone, uncounted."""
    limits = Limits(linger_s=60.0, loss_every_s=60.0)
    recorder = Recorder("p", TWO, bench.link, model="m", model_version="1", limits=limits)
    bench.recorder = recorder  # type: ignore[assignment]
    assert recorder.record(PLAIN)
    assert recorder.record({"age": "x"}) is None
    sent = [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]
    assert asgi(bench, sent, type="lifespan") == sent
    assert (bench.link.events(), bench.link.events("loss"), bench.link.closed) == (1, 1, True)
    assert recorder.record(PLAIN), "another lifespan may begin"
    assert recorder.close(5)
    assert bench.link.events() == 2


def test_an_error_decided_nothing(bench: Bench) -> None:
    asgi(bench, [start(422), part(ANSWER)])
    wsgi(bench, reading([ANSWER], "500 OOPS"))
    assert bench.seen == []
    assert bench.recorder.counters.rejected == {}


def test_a_service_that_raises_raises_as_before(bench: Bench) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        raise KeyError("its own")

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    with pytest.raises(KeyError, match="its own"):
        asyncio.run(
            AsgiMiddleware(app, **bench.rules)(
                {"type": "http", "method": "GET", "path": "/decide"}, nothing, nothing
            )
        )

    def broken(environ: Any, start_response: Any) -> Any:
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        wsgi(bench, broken)
    assert bench.seen == []


def test_a_client_that_left_is_recorded_once_and_its_error_passes(bench: Bench) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send(start())
        await send(part(ANSWER))

    async def receive() -> Any:
        return {"type": "http.request", "body": BODY}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        asyncio.run(
            AsgiMiddleware(app, **bench.rules)(
                {"type": "http", "method": "POST", "path": "/decide", "headers": []}, receive, send
            )
        )
    assert len(bench.rows()) == 1


def test_messages_of_no_known_shape_pass_and_are_counted(bench: Bench) -> None:
    sent = [{"status": 200}, {"type": "http.response.body", "body": 7}]
    assert asgi(bench, sent) == sent
    assert sum(bench.recorder.counters.rejected.values()) == 2


def test_wsgi_hands_on_the_chunks_and_records_at_close(bench: Bench) -> None:
    headers = {"HTTP_TRACEPARENT": f"00-{TRACE}-00f067aa0ba902b7-01"}
    given, chunks = wsgi(bench, reading([ANSWER]), **headers)
    assert chunks == [ANSWER]
    assert len(given) == 1  # servers set the content-length of one chunk by it
    (row,) = bench.rows()
    assert (row[5], row[10], row[11:13]) == (0.25, TRACE, [41, 2.5])
    assert bench.seen[0].headers["content-type"] == "application/json"


def pieces() -> Iterator[bytes]:
    yield ANSWER[:4]
    yield ANSWER[4:]


@pytest.mark.parametrize(
    ("answer", "headers", "response"),
    [
        (pieces, (), None),
        (pieces, (("Content-Length", str(len(ANSWER))),), ANSWER),
        (lambda: [ANSWER[:4], ANSWER[4:]], (), None),
        (lambda: [b"x" * 101], (), None),
    ],
    ids=["streamed", "announced", "chunks", "over"],
)
def test_wsgi_copies_only_whole_answers_within_the_limit(
    bench: Bench, answer: Callable[[], Iterable[bytes]], headers: Any, response: bytes | None
) -> None:
    _, chunks = wsgi(bench, reading(answer(), "200 OK", *headers))
    assert b"".join(chunks) == b"".join(answer())
    assert [exchange.response for exchange in bench.seen] == [response]


def test_a_stream_is_not_read_ahead(bench: Bench) -> None:
    made: list[int] = []

    def slowly() -> Iterator[bytes]:
        for number in range(3):
            made.append(number)
            yield b"x"

    given = WsgiMiddleware(reading(slowly()), **bench.rules)(
        {"REQUEST_METHOD": "POST", "PATH_INFO": "/decide", "CONTENT_LENGTH": "0", "wsgi.input": io.BytesIO()},
        lambda *_: None,
    )
    assert made == []
    chunks = iter(given)
    next(chunks)
    assert made == [0]
    given.close()  # the client left
    assert bench.seen == []


def test_a_file_is_sent_by_the_server(bench: Bench) -> None:
    class Wrapper:
        def __init__(self, file: Any) -> None:
            self.file = file

        def __iter__(self) -> Iterator[bytes]:
            return iter(self.file)

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return environ["wsgi.file_wrapper"](io.BytesIO(b"x"))

    given, _ = wsgi(bench, app, **{"wsgi.file_wrapper": Wrapper})
    assert type(given) is Wrapper
    assert [exchange.response for exchange in bench.seen] == [None]


def test_closing_reaches_the_service_and_its_error_passes(bench: Bench) -> None:
    class Answer(list[bytes]):
        def close(self) -> None:
            raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        wsgi(bench, reading(Answer([ANSWER])))
    assert len(bench.rows()) == 1


@pytest.mark.parametrize(
    "read",
    [
        lambda body: body.read(),
        lambda body: body.read(-1),
        lambda body: [body.read(10) for _ in range(4)],
        lambda body: [body.readline(), body.readline()],
        lambda body: body.readlines(),
        list,
    ],
    ids=["all", "minus one", "parts", "lines", "readlines", "iterated"],
)
def test_whatever_the_service_reads_is_copied(bench: Bench, read: Callable[[Any], Any]) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        read(environ["wsgi.input"])
        start_response("200 OK", [])
        return [ANSWER]

    wsgi(bench, app, CONTENT_LENGTH="")
    assert [exchange.request for exchange in bench.seen] == [BODY]


def test_a_body_that_is_not_read_to_its_end_is_not_there(bench: Bench) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        environ["wsgi.input"].read(3)
        start_response("200 OK", [])
        return [ANSWER]

    wsgi(bench, app)
    assert [exchange.request for exchange in bench.seen] == [None]


def test_what_the_service_writes_itself_passes(bench: Bench) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])(b"written")
        return [ANSWER]

    wsgi(bench, app, REQUEST_METHOD="GET")
    assert [exchange.response for exchange in bench.seen] == [None]


@pytest.mark.parametrize(
    ("returned", "reason", "sample"),
    [
        (7, "exception", "TypeError"),
        ([7], "type", "What the extractor returned holds 7 (int)"),
        ({"score": 1.0}, "type", "a decision with `features`"),
        ({"features": {}, "scroe": 1.0}, "undeclared", "holds 'scroe' (str)"),
    ],
)
def test_an_extractor_that_is_wrong_is_told(bench: Bench, returned: Any, reason: str, sample: str) -> None:
    bench.extract = lambda exchange: returned  # type: ignore[method-assign]
    asgi(bench, [start(), part(ANSWER)])
    assert bench.recorder.counters.rejected == {reason: 1}
    assert sample in bench.recorder.samples[reason]


def test_several_decisions_of_one_request_stand_alone(bench: Bench) -> None:
    good = {"features": {"age": 1, "amount": 1.0}, "latency_us": 5, "trace_id": "own"}
    bench.extract = lambda exchange: [good, {"features": {"age": "x"}}, good]  # type: ignore[method-assign]
    asgi(bench, [start(), part(ANSWER)])
    assert [row[9:11] for row in bench.rows()] == [[5, "own"], [5, "own"]]
    assert bench.recorder.counters.rejected == {"type": 1}


def test_a_compressed_answer_is_refused_with_the_remedy(bench: Bench) -> None:
    asgi(bench, [start(200, (b"content-encoding", b"gzip")), part(ANSWER)])
    assert "inside the compressing one" in bench.recorder.samples["type"]


def test_one_path_is_no_list_of_paths() -> None:
    with pytest.raises(TypeError, match=r"paths is '/decide'"):
        AsgiMiddleware(lambda *_: None, recorder=still(MemoryLink()), extract=lambda _: None, paths="/decide")  # type: ignore[arg-type, return-value]
