"""ASGI middleware: FastAPI, Starlette, Litestar, Ray Serve and every other ASGI service."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from typing import Any, Final

from recorders.integrations.exchange import Exchange, Extract
from recorders.integrations.watch import BODILESS, BODY_BYTES_MAX, BodyCopy, Watch
from recorders.recorder import Recorder

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
_ENDED: Final = ("lifespan.shutdown.complete", "lifespan.shutdown.failed")
_CANCELLED_S: Final = 0.5  # what a cancelled request has to end: some turns of the loop, or a roll-back
_TURN_S: Final = 0.01


class AsgiMiddleware:
    """Records the decisions that `app` answers requests with. Messages pass as they are, when they are.

    Bodies are copied on their way, never read ahead and never beyond `body_bytes_max`; of an answer that
    is streamed (more than one message and no content-length) nothing is copied. The extractor runs on
    the event loop after the answer was handed to the server; one that is not handed over to its end is
    counted (`rejected["cut_off"]`, docs/adr/0103). When the service's lifespan ends, all that was recorded
    leaves (within `Limits.exit_s`): some servers end their process by a signal next.
    """

    def __init__(
        self,
        app: App,
        *,
        recorder: Recorder,
        extract: Extract,
        paths: Sequence[str] = ("*",),
        body_bytes_max: int = BODY_BYTES_MAX,
    ) -> None:
        self.app = app
        self._under_way = 0
        self._watch = Watch(recorder, extract, paths, body_bytes_max)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, self._settling(send))
            return
        if scope["type"] != "http" or not self._watch.wants(scope["path"]):
            await self.app(scope, receive, send)
            return
        guarded = self._watch.guarded
        passing = _Passing(scope, self._watch.body_bytes_max)

        async def receiving() -> Message:
            message = await receive()
            guarded(passing.came, message)
            return message

        async def sending(message: Message) -> None:
            guarded(passing.goes, message)
            try:
                await send(message)
            finally:
                if passing.complete and not passing.recorded:
                    passing.recorded = True
                    self._watch.record(passing.status, passing.exchange)

        self._under_way += 1
        try:
            await self.app(scope, receiving, sending)
        finally:
            self._under_way -= 1
            if passing.status and not passing.complete:
                self._watch.cut_off(passing.status, scope["method"], scope["path"], passing.sent)

    def _settling(self, send: Send) -> Send:
        """Return `send` for a lifespan: all leaves before it says that the service has ended."""

        async def sending(message: Message) -> None:
            if message["type"] in _ENDED:
                await self._last_ones()
                self._watch.settle()
            await send(message)

        return sending

    async def _last_ones(self) -> None:
        """Let requests end that the server has cancelled: uvicorn waits for the lifespan alone."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return  # another kind of loop
        end = time.monotonic() + _CANCELLED_S
        while self._under_way and time.monotonic() < end:  # noqa: ASYNC110  # once in a process: an event would cost each request
            await asyncio.sleep(_TURN_S)


class _Passing:
    """One request and its answer while they pass."""

    __slots__ = (
        "_headers", "_latency_us", "_request", "_response", "_scope", "_since_ns", "complete", "recorded",
        "status",
    )  # fmt: skip

    def __init__(self, scope: Scope, bytes_max: int) -> None:
        self._since_ns = time.perf_counter_ns()
        self._scope = scope
        self._request = BodyCopy(bytes_max)
        self._response = BodyCopy(bytes_max)
        self._headers: dict[str, str] = {}
        self._latency_us = 0
        if scope["method"] in BODILESS:
            self._request.end()
        self.status = 0
        self.complete = False
        self.recorded = False

    @property
    def sent(self) -> int:
        """How many bytes of the answer's body passed."""
        return self._response.size

    def came(self, message: Message) -> None:
        if message["type"] == "http.request":
            self._request.add(message.get("body", b""))
            if not message.get("more_body", False):
                self._request.end()

    def goes(self, message: Message) -> None:
        kind = message["type"]
        if kind == "http.response.start":
            self.status = message["status"]
            headers = message.get("headers", ())
            if isinstance(headers, list | tuple):  # an iterator could be read once only: it is the server's
                self._headers = _decoded(headers)
        elif kind == "http.response.body":
            more = message.get("more_body", False)
            if more and "content-length" not in self._headers:
                self._response.give_up()
            self._response.add(message.get("body", b""))
            if not more:
                self._response.end()
                self._finish()
        elif kind in ("http.response.pathsend", "http.response.zerocopysend"):
            self._response.give_up()
            if not message.get("more_body", False):
                self._finish()

    def _finish(self) -> None:
        self._latency_us = (time.perf_counter_ns() - self._since_ns) // 1000
        self.complete = True

    def exchange(self) -> Exchange:
        return Exchange(
            method=self._scope["method"],
            path=self._scope["path"],
            query=self._scope.get("query_string", b"").decode("latin-1"),
            headers=_decoded(self._scope.get("headers", ())),
            request=self._request.data,
            status=self.status,
            response_headers=self._headers,
            response=self._response.data,
            latency_us=self._latency_us,
        )


def _decoded(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
