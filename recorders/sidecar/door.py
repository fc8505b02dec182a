"""Door: the native wire on a UNIX socket and on TCP loopback.

One asyncio protocol; a stranger's bytes end here.
"""

import asyncio
import hashlib
import hmac
import logging
from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple

from recorders.errors import FeatureSetError
from recorders.fields import FeatureSet
from recorders.sidecar import wire
from recorders.sidecar.hub import Hub
from recorders.sidecar.marks import Answer
from recorders.sidecar.wire import Arrived, Type, WireError, WrongToken

# A service that does not read its answers is cut off when so many bytes wait for it.
ANSWER_BYTES_MAX: Final = 1 * 2**20
WRITERS_MAX: Final = 4_096
_logger = logging.getLogger("recorders.sidecar")


class Bounds(NamedTuple):
    """What a connection may take. Times in seconds."""

    connections: int = 1_024
    hello_s: float = 5.0
    message_s: float = 30.0
    lost_s: float = 60.0
    body_bytes: int = wire.BODY_BYTES_MAX


class Reception:
    """All connections of a sidecar: how many, what they did, and who takes too long."""

    def __init__(self, hub: Hub, bounds: Bounds, token: str) -> None:
        self.hub = hub
        self.bounds = bounds
        self.open: set[Connection] = set()
        self.counts: Counter[str] = Counter()
        self.gone: dict[bytes, float] = {}
        self._token = token.encode()

    def admits(self, token: str) -> bool:
        """Whether a service may come in. Takes equally long for every wrong token."""
        return not self._token or hmac.compare_digest(token.encode(), self._token)

    def sweep(self, now: float) -> None:
        """Cut off who has not said hello in time, or takes too long over one message."""
        for connection in list(self.open):
            late = connection.late(now)
            if late:
                self.counts["timeouts"] += 1
                connection.refuse(WireError(late))
        for writer, since in list(self.gone.items()):
            if now - since >= self.bounds.lost_s:
                del self.gone[writer]
                self.counts["lost_writers"] += 1
                self.hub.lost(writer)

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self.open):
            connection.close()


class Connection(asyncio.Protocol):
    """One service, or a stranger until its hello."""

    def __init__(self, reception: Reception, *, trusted: bool) -> None:
        self._reception = reception
        self._trusted = trusted
        self._reader = wire.Reader(reception.bounds.body_bytes)
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._service = ""
        self._welcomed = False
        self._ended = False
        self._writers: set[bytes] = set()
        self._since = self._loop.time()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in, if there is room."""
        assert isinstance(transport, asyncio.Transport), transport
        self._transport = transport
        reception = self._reception
        if len(reception.open) >= reception.bounds.connections:
            reception.counts["turned_away"] += 1
            transport.abort()
            return
        reception.open.add(self)
        reception.counts["connections"] += 1

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection; its frames that wait for the disk are kept all the same.

        Writers that did not say goodbye are missed from now on, until they come again.
        """
        del exc
        self._reception.open.discard(self)
        if not self._ended:
            self._reception.gone |= dict.fromkeys(self._writers, self._loop.time())

    def data_received(self, data: bytes) -> None:
        """Handle the messages that `data` completes."""
        whole = False
        try:
            for kind, body in self._reader.feed(data):
                whole = True
                self._handle(kind, body)
        except WireError as error:
            self.refuse(error)
            return
        if whole or not self._reader.waiting:
            self._since = self._loop.time()

    # Hub's Sender

    def answer(self, answered: Sequence[tuple[Arrived, Answer]]) -> None:
        """Tell the service what became of its frames."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if transport.get_write_buffer_size() > ANSWER_BYTES_MAX:
            self._reception.counts["deaf"] += 1
            transport.abort()
            return
        transport.write(b"".join(_answer(frame, answer) for frame, answer in answered))

    def pause(self) -> None:
        """Read no more for now."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again. The time that it was not read does not count against it."""
        self._since = self._loop.time()
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    # Reception

    def late(self, now: float) -> str:
        """Return what the connection takes too long for, "" if nothing."""
        bounds = self._reception.bounds
        if not self._welcomed and now - self._since > bounds.hello_s:
            return f"no hello in {bounds.hello_s:g} s"
        if self._reader.waiting and now - self._since > bounds.message_s:
            return f"a message that is not whole after {bounds.message_s:g} s"
        return ""

    def refuse(self, error: WireError) -> None:
        """End the connection: what came is not of this wire."""
        self._reception.counts["refused_connections"] += 1
        _logger.warning("A connection of %r ends. %s", self._service, error)
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """End the connection after what is written has left."""
        if self._transport is not None:
            self._transport.close()

    # Messages

    def _handle(self, kind: Type, body: bytes) -> None:
        if kind is Type.HELLO:
            self._hello(body)
        elif not self._welcomed:
            raise WireError(f"a {kind.name} before its hello")
        elif kind is Type.FRAME:
            self._frame(wire.decode_frame(body))
        elif kind is Type.SCHEMA:
            self._schema(body)
        elif kind is Type.ASK:
            ask = wire.decode(kind, body)
            assert isinstance(ask, wire.Ask), ask
            self._write(wire.encode(wire.Marks(self._compare(ask.writers))))
        elif kind is Type.BYE:
            self._ended = True
        else:
            raise WireError(f"a {kind.name}, which is for services")

    def _hello(self, body: bytes) -> None:
        hello = wire.decode(Type.HELLO, body)
        assert isinstance(hello, wire.Hello), hello
        if not self._trusted and not self._reception.admits(hello.token):
            self._reception.counts["wrong_token"] += 1
            text = (
                "the token is not its own: SocketLink(token=...) takes what HARNESS_SIDECAR_TOKEN holds there"
            )
            self._write(wire.encode(wire.Refused(bytes(16), 0, "token", 0, text)))
            raise WrongToken
        self._service, self._welcomed = f"{hello.service[:64]}[{hello.pid}]", True
        hub = self._reception.hub
        marks = self._compare(hello.writers)
        bounds = self._reception.bounds
        self._write(wire.encode(wire.Welcome(hub.spool.owner.bytes, bounds.body_bytes, marks)))

    def _compare(self, known: list[wire.Known]) -> list[wire.Known]:
        if len(known) > WRITERS_MAX or any(len(one.writer) != 16 or one.sequence < 0 for one in known):  # noqa: PLR2004  # bytes of a UUID
            raise WireError("writers that cannot be")
        for one in known:
            self._meet(one.writer)
        return self._reception.hub.compare(known)

    def _schema(self, body: bytes) -> None:
        try:
            canonical = FeatureSet.from_json(body).canonical()
        except (FeatureSetError, TypeError, ValueError, RecursionError) as error:
            raise WireError(f"a feature set that cannot be used ({error})") from error
        if canonical != body:
            raise WireError("a feature set that is not in canonical form")
        self._reception.hub.announce(hashlib.sha256(body).digest(), body)

    def _frame(self, frame: Arrived) -> None:
        hub = self._reception.hub
        self._reception.counts["frames"] += 1
        if frame.writer not in self._writers:
            self._meet(frame.writer)
        if hub.draining:
            self._no(frame, "draining", "the sidecar is being drained")
        elif frame.kind == 0 and not hub.knows(frame.schema):
            self._no(frame, "schema", "its feature set was not announced")
        else:
            hub.take(self, frame)

    def _meet(self, writer: bytes) -> None:
        """Take note that a writer is here. Beyond the limit it is not missed when it goes."""
        self._reception.gone.pop(writer, None)
        if len(self._writers) < WRITERS_MAX:
            self._writers.add(writer)

    def _no(self, frame: Arrived, reason: str, text: str) -> None:
        self._write(wire.encode(wire.Refused(frame.writer, frame.sequence, reason, 0, text)))

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)


def _answer(frame: Arrived, answer: Answer) -> bytes:
    if answer.kept:
        body = wire.ACK_BODY.pack(frame.writer, frame.sequence, frame.digest, answer.duplicate)
        return wire.message(Type.ACK, body)
    return wire.encode(wire.Refused(frame.writer, frame.sequence, answer.reason, answer.have, answer.text))
