"""Answers that are cut off are counted once, whoever ended them; whole ones are recorded, heard or not."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from recorders.integrations.asgi import AsgiMiddleware
from recorders.integrations.wsgi import WsgiMiddleware
from tests.support.middlewares import ANSWER, LENGTH, Bench, part, start, wsgi

SCOPE = {"type": "http", "method": "GET", "path": "/decide", "headers": []}
ENVIRON = {"REQUEST_METHOD": "GET", "PATH_INFO": "/decide"}


@pytest.fixture
def bench() -> Bench:
    return Bench()


def by_asgi(bench: Bench, app: Any, send: Any = None) -> None:
    async def passed(_: Any) -> None:
        return None

    asyncio.run(AsgiMiddleware(app, **bench.rules)(SCOPE, passed, send or passed))


async def returns() -> None:
    return None


async def raises() -> None:
    raise KeyError("its own")


async def is_cancelled() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize("ends", [returns, raises, is_cancelled])
@pytest.mark.parametrize("headers", [(), (LENGTH,)], ids=["streamed", "announced"])
def test_asgi_counts_an_answer_that_was_begun_and_not_ended(
    bench: Bench, ends: Callable[[], Any], headers: Any
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send(start(200, *headers))
        await send(part(ANSWER[:4], more=True))
        await ends()

    expected = {raises: KeyError, is_cancelled: asyncio.CancelledError}.get(ends)
    if expected is None:
        by_asgi(bench, app)
    else:
        with pytest.raises(expected):
            by_asgi(bench, app)
    assert bench.recorder.counters.rejected == {"cut_off": 1}
    assert bench.recorder.samples["cut_off"] == (
        "The answer to GET /decide ended after 4 bytes, before its end. Expected one that neither its client "
        "nor the service leaves on the way. Record what is streamed where it is decided, with "
        "recorder.decision(...)."
    )
    assert bench.seen == []


@pytest.mark.parametrize("messages", [[], [start(500)], [start(404), part(b"x", more=True)]])
def test_asgi_counts_nothing_where_nothing_was_decided(bench: Bench, messages: list[Any]) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)
        raise KeyError("its own")

    with pytest.raises(KeyError):
        by_asgi(bench, app)
    assert bench.recorder.counters.rejected == {}


def test_a_service_that_says_its_end_twice_is_recorded_once(bench: Bench) -> None:
    bench.extract = lambda exchange: {"features": {"age": 1, "amount": 1.0}}  # type: ignore[method-assign]

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for message in (start(), part(ANSWER), part(b"")):
            await send(message)

    by_asgi(bench, app)
    assert len(bench.rows()) == 1


def wsgi_app(answer: Any) -> Callable[[Any, Any], Any]:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        return answer

    return app


def streamed() -> Iterator[bytes]:
    yield b"some"
    yield b"more"


def broken() -> Iterator[bytes]:
    yield b"some"
    raise KeyError("its own")


def never_begun() -> Iterator[bytes]:
    yield b""
    raise KeyError("its own")


@pytest.mark.parametrize("answer", [streamed, lambda: [b"some", b"more"]], ids=["streamed", "chunks"])
def test_wsgi_counts_an_answer_that_its_client_left(bench: Bench, answer: Callable[[], Any]) -> None:
    given: Any = WsgiMiddleware(wsgi_app(answer()), **bench.rules)(dict(ENVIRON), lambda *_: None)
    assert next(iter(given)) == b"some"
    given.close()
    given.close()
    assert bench.recorder.counters.rejected == {"cut_off": 1}
    assert bench.recorder.samples["cut_off"].startswith("The answer to GET /decide ended after 4 bytes,")
    assert bench.seen == []


@pytest.mark.parametrize(("answer", "counted"), [(broken, {"cut_off": 1}), (never_begun, {})])
def test_wsgi_counts_an_answer_that_its_service_left(
    bench: Bench, answer: Callable[[], Any], counted: dict[str, int]
) -> None:
    """A server that has sent nothing yet answers with an error: nothing was decided."""
    with pytest.raises(KeyError, match="its own"):
        wsgi(bench, wsgi_app(answer()))
    assert bench.recorder.counters.rejected == counted


def test_an_error_that_comes_too_late_does_not_hide_what_was_begun(bench: Bench) -> None:
    """PEP 3333: a server that has sent its headers raises what it is told by a second `start_response`."""

    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])
        yield b"some"
        start_response("500 OOPS", [], (KeyError, KeyError("its own"), None))

    def starting(status: str, headers: Any, exc_info: Any = None) -> None:
        if exc_info:
            raise exc_info[1]

    given: Any = WsgiMiddleware(app, **bench.rules)(dict(ENVIRON), starting)
    with pytest.raises(KeyError, match="its own"):
        list(given)
    given.close()
    assert bench.recorder.counters.rejected == {"cut_off": 1}


def test_what_the_service_wrote_itself_was_begun(bench: Bench) -> None:
    def app(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [])(b"written")
        return broken()

    with pytest.raises(KeyError, match="its own"):
        wsgi(bench, app)
    assert bench.recorder.samples["cut_off"].startswith("The answer to POST /decide ended after 11 bytes,")


@pytest.mark.parametrize("chunks", [[ANSWER], [ANSWER[:4], ANSWER[4:]]], ids=["one", "two"])
def test_a_list_whose_last_chunk_was_taken_is_whole(bench: Bench, chunks: list[bytes]) -> None:
    """Without a content-length a client that had left by then took the decision with it, uncounted."""
    given: Any = WsgiMiddleware(wsgi_app(chunks), **bench.rules)(dict(ENVIRON), lambda *_: None)
    taken = iter(given)
    for _ in chunks:
        next(taken)
    given.close()  # the server could not write it
    assert [exchange.response for exchange in bench.seen] == [ANSWER if len(chunks) == 1 else None]
    assert "cut_off" not in bench.recorder.counters.rejected
