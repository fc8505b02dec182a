"""HTTP: the doors as one ASGI application. A stranger's requests end here.

`POST /` takes CloudEvents, `POST /v1/logs` OTLP, `POST /v1/events` JSON lines. What an answer of 200 does not
name as refused is on disk.
"""

import asyncio
import hmac
import zlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from recorders.doors import cloudevents, otlp
from recorders.doors.bodies import parse_json
from recorders.doors.desk import Desk, Work
from recorders.doors.errors import DoorClosed, TooLarge, Unreadable
from recorders.doors.pairing import Half, half_of
from recorders.doors.router import Routed
from recorders.errors import AppendError, InvalidEvent

Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
LINES_MAX: Final = 16_384
SHOWN: Final = 20
_JSON: Final = b"application/json"


class Bounds(NamedTuple):
    """What a request may take: bytes as sent, bytes when unpacked, seconds for its body."""

    body_bytes: int = 4 * 2**20
    unpacked_bytes: int = 16 * 2**20
    request_s: float = 10.0


class Answer(NamedTuple):
    """What goes back."""

    status: int
    body: bytes = b""
    kind: bytes = b"text/plain; charset=utf-8"
    retry_after_s: int = 0


class Refused(Exception):  # noqa: N818  # not an error of ours: the answer to a stranger
    """A request that is answered without being read further."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.answer = Answer(status, text.encode() + b"\n")


class Request(NamedTuple):
    """A whole request: the headers that matter, all headers, the unpacked body."""

    kind: bytes
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes


class Doors:
    """The ASGI application. `token` "" lets everybody in, which is for loopback alone."""

    def __init__(self, desk: Desk, bounds: Bounds = Bounds(), token: str = "") -> None:  # noqa: B008  # a constant
        self._desk = desk
        self._bounds = bounds
        self._token = b"Bearer " + token.encode() if token else b""
        self._paths = {"/": self._cloudevents, "/v1/logs": self._otlp, "/v1/events": self._lines}

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        assert scope["type"] == "http", scope["type"]
        try:
            answer = await self._answer(scope, receive)
        except Refused as refused:
            answer = refused.answer
        except TooLarge as error:
            answer = Answer(413, str(error).encode())
        except DoorClosed as error:
            answer = Answer(503, str(error).encode(), retry_after_s=error.retry_after_s)
        except AppendError as error:
            answer = Answer(500, str(error).encode())
        if answer.status != 200:  # noqa: PLR2004
            self._desk.counts[f"answered.{answer.status}"] += 1
        headers = [(b"content-type", answer.kind), (b"content-length", b"%d" % len(answer.body))]
        if answer.retry_after_s:
            headers.append((b"retry-after", b"%d" % answer.retry_after_s))
        if answer.status in (401, 408, 413):
            headers.append((b"connection", b"close"))  # what is left of the body is not read
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _answer(self, scope: Mapping[str, Any], receive: Receive) -> Answer:
        path, method = scope["path"], scope["method"]
        door = self._paths.get(path)
        if door is None:
            return self._watched(path, scope["headers"]) if method == "GET" else Answer(404)
        if method != "POST":
            return Answer(405, b"POST alone\n")
        kind, encoding, length, token = _known(scope["headers"])
        self._admit(token)
        if length > self._bounds.body_bytes:
            raise TooLarge("The body", self._bounds.body_bytes)
        body = await self._body(receive)
        if encoding not in (b"", b"identity"):
            body = self._unpacked(encoding, body)
        return await door(Request(kind, scope["headers"], body))

    def _admit(self, token: bytes) -> None:
        if self._token and not hmac.compare_digest(token, self._token):
            raise Refused(401, "a token is needed")

    async def _body(self, receive: Receive) -> bytes:
        message = await self._message(receive)
        body: bytes = message["body"]
        if message["more_body"]:
            parts, size = [body], len(body)
            try:
                async with asyncio.timeout(self._bounds.request_s):
                    while message["more_body"]:
                        message = await self._message(receive)
                        parts.append(message["body"])
                        size += len(message["body"])
                        if size > self._bounds.body_bytes:
                            raise TooLarge("The body", self._bounds.body_bytes)
            except TimeoutError as error:
                raise Refused(408, f"no whole body in {self._bounds.request_s:g} s") from error
            body = b"".join(parts)
        if len(body) > self._bounds.body_bytes:
            raise TooLarge("The body", self._bounds.body_bytes)
        return body

    async def _message(self, receive: Receive) -> Mapping[str, Any]:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, "the sender left")
        return {"body": message.get("body", b""), "more_body": message.get("more_body", False)}

    def _unpacked(self, encoding: bytes, body: bytes) -> bytes:
        """Return a gzip body unpacked: at most one byte more than is allowed is ever made of it."""
        if encoding != b"gzip":
            raise Refused(415, "content-encoding is gzip or none")
        limit = self._bounds.unpacked_bytes
        unpacker = zlib.decompressobj(wbits=31)
        try:
            found = unpacker.decompress(body, limit + 1)
        except zlib.error as error:
            raise Refused(400, f"the body is not gzip ({error})") from error
        if len(found) > limit:
            raise TooLarge("The unpacked body", limit)
        if not unpacker.eof or unpacker.unused_data:
            raise Refused(400, "the gzip body is cut off, or something follows it")
        return found

    # The doors.

    async def _cloudevents(self, request: Request) -> Answer:
        try:
            events = cloudevents.read(request.kind, request.headers, request.body)
        except InvalidEvent as error:
            self._desk.reject(error)
            return Answer(400, str(error).encode())
        routed: list[Routed] = []
        halves: list[Half] = []
        refused: list[InvalidEvent] = []
        for event in events:
            try:
                self._take(event, routed, halves)
            except InvalidEvent as error:
                self._desk.reject(error)
                refused.append(error)
        if routed or halves:
            await self._desk.submit(Work(routed, halves))
        if not refused:
            return Answer(200)
        told = "\n".join(str(error) for error in refused[:SHOWN]).encode()
        return Answer(200 if routed or halves else 422, told)

    def _take(self, event: cloudevents.CloudEvent, routed: list[Routed], halves: list[Half]) -> None:
        router = self._desk.router
        family, side = event.family
        if side == "event":
            routed.extend(router.event(event))
        elif side == "feedback":
            routed.extend(router.feedback(event))
        else:
            router.translator(family, {"event": event.attributes})
            parse_json(event.data)  # a half that nobody can read is refused now, not when the other one comes
            halves.append(half_of(event, self._desk.now()))

    async def _otlp(self, request: Request) -> Answer:
        try:
            documents = otlp.read(request.kind, request.body)
        except InvalidEvent as error:
            self._desk.reject(error)
            return Answer(415 if error.reason == "content_type" else 400, str(error).encode())
        routed, refused = self._documents("otlp", ((None, document) for document in documents))
        if routed:
            await self._desk.submit(Work(routed))
        told = refused[0][1] if refused else ""
        return Answer(200, otlp.answer(request.kind, len(refused), told), request.kind)

    async def _lines(self, request: Request) -> Answer:
        routed, refused = self._documents("lines", _lines(request.body))
        if routed:
            await self._desk.submit(Work(routed))
        body = msgspec.json.encode(
            {
                "events": len(routed),
                "rejected": len(refused),
                "samples": [{"line": line, "error": told} for line, told in refused[:SHOWN]],
            }
        )
        return Answer(200 if routed or not refused else 422, body, _JSON)

    def _documents(
        self, source: str, documents: Iterator[tuple[int | None, Any]]
    ) -> tuple[list[Routed], list[tuple[int | None, str]]]:
        routed: list[Routed] = []
        refused: list[tuple[int | None, str]] = []
        for place, document in documents:
            try:
                if isinstance(document, InvalidEvent):
                    raise document
                routed.extend(self._desk.router.document(source, document))
            except InvalidEvent as error:
                self._desk.reject(error)
                refused.append((place, str(error)))
        return routed, refused

    # For those who watch.

    def _watched(self, path: str, headers: Sequence[tuple[bytes, bytes]]) -> Answer:
        if path == "/healthz":
            return Answer(200, b"alive\n")
        self._admit(_known(headers)[3])
        if path == "/metrics":
            return Answer(200, prometheus(self._desk), b"text/plain; version=0.0.4")
        if path == "/status":
            return Answer(200, msgspec.json.encode(status(self._desk)), _JSON)
        return Answer(404)


def status(desk: Desk) -> dict[str, Any]:
    """Return what a desk knows of itself: counts, halves, the last refusals."""
    table = desk.table
    return {
        "counts": dict(desk.counts),
        "pairing": {**table.counts, "waiting": len(table), "waiting_bytes": table.waiting_bytes},
        "samples": list(desk.samples),
    }


def prometheus(desk: Desk) -> bytes:
    """Return the counts as Prometheus text, version 0.0.4."""
    table = desk.table
    lines = ["# TYPE harness_doors_total counter"]
    lines += [f'harness_doors_total{{what="{name}"}} {count}' for name, count in sorted(desk.counts.items())]
    lines.append("# TYPE harness_doors_halves_total counter")
    lines += [
        f'harness_doors_halves_total{{what="{name}"}} {count}' for name, count in sorted(table.counts.items())
    ]
    lines += ["# TYPE harness_doors_waiting_halves gauge", f"harness_doors_waiting_halves {len(table)}"]
    return ("\n".join(lines) + "\n").encode()


def _known(headers: Sequence[tuple[bytes, bytes]]) -> tuple[bytes, bytes, int, bytes]:
    """Return type, encoding and length of the content, and the authorization."""
    kind = encoding = token = b""
    length = 0
    for name, value in headers:
        if name == b"content-type":
            kind = value
        elif name == b"content-encoding":
            encoding = value.strip().lower()
        elif name == b"content-length" and value.isdigit():
            length = int(value[:20])
        elif name == b"authorization":
            token = value
    return kind, encoding, length, token


def _lines(body: bytes) -> Iterator[tuple[int | None, Any]]:
    """Yield number and document of each line, or why it is none."""
    lines = body.split(b"\n", LINES_MAX)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        if number > LINES_MAX:
            yield number, Unreadable(f"more than {LINES_MAX} lines", reason="size")
            return
        try:
            document = parse_json(line)
            if type(document) is not dict:
                raise Unreadable("a line is an object")
        except InvalidEvent as error:
            yield number, error
        else:
            yield number, document
