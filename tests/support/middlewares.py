"""Both middlewares, driven by hand: a service without a server."""

import asyncio
import io
from collections.abc import Callable
from typing import Any

import msgspec

from recorders.integrations.asgi import AsgiMiddleware
from recorders.integrations.exchange import Exchange
from recorders.integrations.wsgi import WsgiMiddleware
from tests.support.recording import MemoryLink, StillRecorder, still

BODY = b'{"age": 41, "amount": 2.5}'
ANSWER = b'{"score": 0.25}'
LENGTH = (b"content-length", str(len(ANSWER)).encode())
TRACE = "0af7651916cd43dd8448eb211c80319c"


class Bench:
    """A recorder that stands still, and every exchange that its extractor saw."""

    def __init__(self) -> None:
        self.link = MemoryLink()
        self.recorder: StillRecorder = still(self.link)
        self.seen: list[Exchange] = []

    def extract(self, exchange: Exchange) -> Any:
        self.seen.append(exchange)
        if exchange.request is None or exchange.response is None:
            return None
        return {"features": exchange.request_json(), "score": exchange.response_json()["score"]}

    @property
    def rules(self) -> Any:
        return {
            "recorder": self.recorder,
            "extract": self.extract,
            "paths": ("/decide",),
            "body_bytes_max": 100,
        }

    def rows(self) -> list[list[Any]]:
        self.recorder.carry_all()
        return [
            row
            for frame in self.link.frames
            if frame.kind == "decision"
            for row in msgspec.msgpack.decode(frame.payload)
        ]


def asgi(
    bench: Bench, sent: list[dict[str, Any]], *, body: tuple[bytes, ...] = (BODY,), **scope: Any
) -> list[Any]:
    """Return what the server gets when the service sends `sent` after it has read its body."""
    came = [
        {"type": "http.request", "body": part, "more_body": number < len(body)}
        for number, part in enumerate(body, 1)
    ]
    got: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            while (await receive())["more_body"]:
                pass
        for message in sent:
            await send(message)

    async def receive() -> Any:
        return came.pop(0)

    async def send(message: Any) -> None:
        got.append(message)

    place = {
        "type": "http",
        "method": "POST",
        "path": "/decide",
        "query_string": b"a=1",
        "headers": [],
    } | scope
    asyncio.run(AsgiMiddleware(app, **bench.rules)(place, receive, send))
    return got


def start(status: int = 200, *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def part(data: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def wsgi(
    bench: Bench, answer: Callable[[Any, Any], Any], *, body: bytes = BODY, **environ: Any
) -> tuple[Any, list[bytes]]:
    """Return the object that the server gets and its chunks, closed as servers do."""
    place = {
        "REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": "/decide", "QUERY_STRING": "a=1",
        "CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": "application/json", "wsgi.input": io.BytesIO(body),
    } | environ  # fmt: skip
    given = WsgiMiddleware(answer, **bench.rules)(place, lambda *_: lambda data: None)
    try:
        return given, list(given)
    finally:
        if hasattr(given, "close"):
            given.close()


def reading(answer: Any, status: str = "200 OK", *headers: tuple[str, str]) -> Callable[[Any, Any], Any]:
    def app(environ: Any, start_response: Any) -> Any:
        environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        start_response(status, list(headers))
        return answer

    return app
