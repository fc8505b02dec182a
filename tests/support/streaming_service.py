"""A service by WSGI and by ASGI that streams its answers: whole, broken off by itself, or for a long time.

What was decided stands in the query; the path says how the answer goes: `/whole`, `/raises`, `/long`.
"""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from starlette.responses import StreamingResponse

from recorders.integrations.asgi import AsgiMiddleware
from recorders.integrations.exchange import Decided, Exchange
from recorders.integrations.wsgi import WsgiMiddleware
from tests.support.ending_service import recorder

CHUNKS = {"/whole": 3, "/raises": 3, "/long": 2_000}
PAUSE_S = 0.01
PATHS = tuple(CHUNKS)


def extract(exchange: Exchange) -> Decided:
    """Return what was decided: nothing of it is in what was streamed."""
    return {"features": {"amount": 1.0, "country": "NZ"}, "decision_id": exchange.query}


def chunk(path: str, number: int) -> bytes:
    """Return a chunk of an answer, or break it off."""
    if path == "/raises" and number:
        raise RuntimeError("its own")
    return f"{number}\n".encode()


def by_wsgi(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
    """Answer a request."""
    path = environ["PATH_INFO"]
    start_response("200 OK", [("content-type", "text/plain")])
    for number in range(CHUNKS[path]):
        yield chunk(path, number)
        time.sleep(PAUSE_S)


async def by_asgi(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request, or live."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return

    async def chunks() -> Any:
        for number in range(CHUNKS[scope["path"]]):
            yield chunk(scope["path"], number)
            await asyncio.sleep(PAUSE_S)

    await StreamingResponse(chunks())(scope, receive, send)


def wsgi() -> WsgiMiddleware:
    """Return the WSGI service."""
    return WsgiMiddleware(by_wsgi, recorder=recorder(), extract=extract, paths=PATHS)


def asgi() -> AsgiMiddleware:
    """Return the ASGI service."""
    return AsgiMiddleware(by_asgi, recorder=recorder(), extract=extract, paths=PATHS)
