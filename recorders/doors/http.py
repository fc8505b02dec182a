"""HTTP: what the doors answer to a request. A stranger's bytes end here.

`POST /` takes CloudEvents, `POST /v1/logs` OTLP, `POST /v1/events` JSON lines. What an answer of 200 does not
name as refused is on disk.
"""

import hmac
import zlib
from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import msgspec

from recorders.doors import cloudevents, otlp
from recorders.doors.bodies import parse_json
from recorders.doors.desk import Desk, Kept, NotKept, Work
from recorders.doors.errors import DoorClosed, TooLarge, Unreadable
from recorders.doors.heads import Head
from recorders.doors.pairing import Half, half_of
from recorders.doors.router import Routed
from recorders.errors import InvalidEvent

LINES_MAX: Final = 16_384
SHOWN: Final = 20
_JSON: Final = b"application/json"
_PLAIN: Final = (b"", b"identity")
_WATCHED: Final = (b"/healthz", b"/metrics", b"/status")
_NOWHERE: Final = b"POST /, /v1/logs or /v1/events, GET /healthz, /metrics or /status\n"


class Answer(NamedTuple):
    """What goes back."""

    status: int
    body: bytes = b""
    kind: bytes = b"text/plain; charset=utf-8"
    retry_after_s: int = 0


Told = Callable[[Answer], None]
_TAKEN: Final = Answer(200)
# The same as bytes, which nearly all answers are.
TAKEN: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 0\r\n\r\n"


class Doors:
    """The doors of one desk. `token` "" lets everybody in, which is for loopback alone."""

    def __init__(self, desk: Desk, unpacked_bytes: int = 16 * 2**20, token: str = "") -> None:
        self._desk = desk
        self._unpacked_bytes = unpacked_bytes
        self._token = b"Bearer " + token.encode() if token else b""
        self.now = desk.now
        self._readable = desk.router.readable
        self._paths = {b"/": self._cloudevents, b"/v1/logs": self._otlp, b"/v1/events": self._lines}

    def refusal(self, head: Head, body_bytes: int) -> Answer | None:
        """Return what a request is refused with before its body is read, None to go on."""
        if head.method == b"HEAD":
            return Answer(405)  # without a body: whoever asks so takes what follows for the next answer
        if head.path not in self._paths:
            if head.method != b"GET" or head.path not in _WATCHED:
                return Answer(404, _NOWHERE)
            admitted = head.path == b"/healthz" or self._admits(head.token)
        elif head.method != b"POST":
            return Answer(405, b"POST alone\n")
        else:
            admitted = self._admits(head.token)
        if not admitted:
            return Answer(401, b"a token is needed\n")
        return self.too_large(body_bytes) if head.length > body_bytes else None

    def bring_one(self, head: Head) -> bool:
        """Whether requests with such a head bring one CloudEvent each, whose attributes stand there."""
        plain = head.method == b"POST" and head.encoding in _PLAIN and cloudevents.binary(head.kind)
        return plain and self._paths.get(head.path) == self._cloudevents

    def usable(self, half: Half, token: bytes) -> bool:
        """Whether a half will be kept: otherwise `take` refuses its request, and says why."""
        if self._token and not self._admits(token):
            return False
        try:
            self._readable(half.family, half)
        except InvalidEvent:
            return False
        return True

    def keep(self, half: Half, kept: Kept) -> None:
        """Take a half in that is usable. `kept` is called once the disk has it or has not.

        Raises:
            DoorClosed: it was not taken, and `kept` is not called.
        """
        self._desk.submit(Work((), (half,)), kept)

    def answer(self, error: NotKept | None) -> Answer:
        """Return the answer to a half, of what kept it from being kept."""
        return _TAKEN if error is None else self._failed(error)

    def take(self, head: Head, body: bytes, told: Told) -> Answer | None:
        """Return the answer to a request that was not refused; None if it waits for the disk.

        `told` gets the answer then, once the disk has what the request brought, or has not.
        """
        door = self._paths.get(head.path)
        if door is None:
            return self._watched(head.path)
        try:
            if head.encoding not in _PLAIN:
                body = self._unpacked(head.encoding, body)
            return door(head, body, told)
        except TooLarge as error:
            return Answer(413, str(error).encode())
        except DoorClosed as error:
            return self._failed(error)
        except Unreadable as error:
            return Answer(415 if error.reason == "encoding" else 400, str(error).encode())

    def too_large(self, limit: int) -> Answer:
        """Return the answer to a body of too many bytes."""
        return Answer(413, str(TooLarge("The body", limit)).encode())

    def _admits(self, token: bytes) -> bool:
        return not self._token or hmac.compare_digest(token, self._token)

    def _failed(self, error: NotKept) -> Answer:
        """Return the answer when what a request brought could not be kept."""
        if isinstance(error, DoorClosed):
            return Answer(503, str(error).encode(), retry_after_s=error.retry_after_s)
        return Answer(500, str(error).encode())

    def _unpacked(self, encoding: bytes, body: bytes) -> bytes:
        """Return a gzip body unpacked: at most one byte more than is allowed is ever made of it."""
        if encoding != b"gzip":
            raise Unreadable("content-encoding is gzip or none", reason="encoding")
        limit = self._unpacked_bytes
        unpacker = zlib.decompressobj(wbits=31)
        try:
            found = unpacker.decompress(body, limit + 1)
        except zlib.error as error:
            raise Unreadable(f"the body is not gzip ({error})") from error
        if len(found) > limit:
            raise TooLarge("The unpacked body", limit)
        if not unpacker.eof or unpacker.unused_data:
            raise Unreadable("the gzip body is cut off, or something follows it")
        return found

    # The doors.

    def _cloudevents(self, head: Head, body: bytes, told: Told) -> Answer | None:
        try:
            events = cloudevents.read(head.kind, head.attributes, body)
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
        if not refused:
            return self._submit(Work(routed, halves), _TAKEN, told)
        shown = "\n".join(str(error) for error in refused[:SHOWN]).encode()
        return self._submit(Work(routed, halves), Answer(200 if routed or halves else 422, shown), told)

    def _submit(self, work: Work, answer: Answer, told: Told) -> Answer | None:
        """Let `told` have the answer after the work is kept; return it if there is no work."""
        if not work.routed and not work.halves:
            return answer
        self._desk.submit(work, lambda error: told(self._failed(error) if error else answer))
        return None

    def _take(self, event: cloudevents.CloudEvent, routed: list[Routed], halves: list[Half]) -> None:
        router = self._desk.router
        family, side = event.family
        if side == "event":
            routed.extend(router.event(event))
        elif side == "feedback":
            routed.extend(router.feedback(event))
        else:
            router.readable(family, event)
            halves.append(half_of(event, self._desk.now()))

    def _otlp(self, head: Head, body: bytes, told: Told) -> Answer | None:
        try:
            documents = otlp.read(head.kind, body)
        except InvalidEvent as error:
            self._desk.reject(error)
            return Answer(415 if error.reason == "content_type" else 400, str(error).encode())
        routed, refused = self._documents("otlp", ((None, document) for document in documents))
        first = refused[0][1] if refused else ""
        answer = Answer(200, otlp.answer(head.kind, len(refused), first), head.kind)
        return self._submit(Work(routed), answer, told)

    def _lines(self, head: Head, body: bytes, told: Told) -> Answer | None:
        del head  # the path says what comes
        routed, refused = self._documents("lines", _lines(body))
        report = msgspec.json.encode(
            {
                "events": len(routed),
                "rejected": len(refused),
                "samples": [{"line": line, "error": why} for line, why in refused[:SHOWN]],
            }
        )
        return self._submit(Work(routed), Answer(200 if routed or not refused else 422, report, _JSON), told)

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

    def _watched(self, path: bytes) -> Answer:
        if path == b"/healthz":
            return Answer(200, b"alive\n")
        if path == b"/metrics":
            return Answer(200, prometheus(self._desk), b"text/plain; version=0.0.4")
        return Answer(200, msgspec.json.encode(status(self._desk)), _JSON)


def rendered(answer: Answer, *, last: bool = False) -> bytes:
    """Return an answer as the bytes of HTTP/1.1.

    >>> rendered(Answer(503, b"full", retry_after_s=5)).splitlines()[0]
    b'HTTP/1.1 503 Service Unavailable'
    """
    if answer == _TAKEN and not last:
        return TAKEN
    head = [
        b"HTTP/1.1 %d %s" % (answer.status, HTTPStatus(answer.status).phrase.encode()),
        b"content-type: " + answer.kind,
        b"content-length: %d" % len(answer.body),
    ]
    if answer.retry_after_s:
        head.append(b"retry-after: %d" % answer.retry_after_s)
    if last:
        head.append(b"connection: close")
    return b"\r\n".join(head) + b"\r\n\r\n" + answer.body


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
    lines = [
        "# HELP harness_doors_total What was taken and refused since the sidecar started.",
        "# TYPE harness_doors_total counter",
    ]
    lines += [f'harness_doors_total{{what="{name}"}} {count}' for name, count in sorted(desk.counts.items())]
    lines += [
        "# HELP harness_doors_halves_total What became of the halves of exchanges.",
        "# TYPE harness_doors_halves_total counter",
    ]
    lines += [
        f'harness_doors_halves_total{{what="{name}"}} {count}' for name, count in sorted(table.counts.items())
    ]
    lines.append("# HELP harness_doors_waiting_halves Halves that wait for the other one.")
    lines += ["# TYPE harness_doors_waiting_halves gauge", f"harness_doors_waiting_halves {len(table)}"]
    return ("\n".join(lines) + "\n").encode()


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
