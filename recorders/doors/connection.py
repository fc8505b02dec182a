"""Connection: HTTP/1.1 for the doors, on httptools' parser. A stranger's sizes and waits are all bounded.

One request an event is what KServe and Seldon send, so what a request costs is what an event costs: no task,
no application protocol in between (docs/adr/0020).
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic  # the clock of asyncio's event loops
from typing import Final

import httptools
import msgspec

from recorders.doors.desk import NotKept
from recorders.doors.errors import DoorClosed
from recorders.doors.heads import HEAD_BYTES, Form, Head
from recorders.doors.http import TAKEN, Answer, Told, rendered
from recorders.doors.pairing import Half
from recorders.doors.reception import Reception

# Answers that a sender does not read (looked at once a transport has told of 64 KiB), and
# requests that wait for theirs on one connection.
UNREAD_BYTES: Final = 1 * 2**20
PIPELINED: Final = 64
IDLE_S: Final = 30.0
_OK: Final = 200
_NO_HEAD: Final = Head.of(b"", b"", ())
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class _Slot(msgspec.Struct, eq=False, gc=False):
    """The place of an answer among those of its connection, in the order of the requests."""

    last: bool
    data: bytes = b""


class Connection(asyncio.Protocol):
    """One sender. httptools calls what begins with `on_`, in this order, for each request."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._slots: deque[_Slot] = deque()
        self._since = self._idle_since = monotonic()
        self._head_bytes = 0
        self._in_head = self._may_be_long = self._follows = False
        self._clogged = False  # more waits to be written than a transport likes
        self._ended = False  # nothing more is read: it was refused, or is the last
        self._held = False  # nothing is read for now
        self._form: Form | None = None  # that of the last head, once it is known
        self._begin()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in, if there is room."""
        assert isinstance(transport, asyncio.Transport), transport
        self._transport = transport
        reception = self._reception
        if len(reception.open) >= reception.limits.connections:
            reception.counts["turned_away"] += 1
            transport.abort()
            return
        reception.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection. What it sent and was not answered for may be kept all the same."""
        del exc
        self._ended = True
        self._reception.open.discard(self)

    def data_received(self, data: bytes) -> None:
        """Take what came in."""
        if self._form is not None and not self._since:
            data = self._alike(data, self._form)
        if self._ended or not data:
            return
        if not self._since:
            self._since = monotonic()
        self._may_be_long = self._head_bytes + len(data) > HEAD_BYTES
        self._follows = False
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._refuse(Answer(400, f"This is not HTTP/1.1 as it is taken here ({error}).\n".encode()))
            return
        if not self._in_head:
            self._head_bytes = 0
        else:  # most of these bytes may be those of the requests that it follows
            self._head_bytes = self._head_size() if self._follows else self._head_bytes + len(data)
        if self._head_bytes > HEAD_BYTES:
            self._refuse(Answer(431, f"The head is longer than {HEAD_BYTES} bytes.\n".encode()))

    def pause_writing(self) -> None:
        """Take nothing from a sender that does not read its answers."""
        self._clogged = True
        self._pace()

    def resume_writing(self) -> None:
        """Take from it again."""
        self._clogged = False
        self._pace()

    # httptools

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._begin()
        self._in_head = True
        if not self._since:  # it follows another one in the same bytes
            self._since = monotonic()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """Refuse what needs no body to be refused."""
        self._in_head = False
        if self._ended:
            return
        if self._may_be_long and self._head_size() > HEAD_BYTES:
            self._refuse(Answer(431, f"The head is longer than {HEAD_BYTES} bytes.\n".encode()))
            return
        self._head = Head.of(self._parser.get_method(), self._url, self._headers)
        refusal = self._reception.doors.refusal(self._head, self._reception.limits.body_bytes)
        if refusal is not None:
            self._refuse(refusal)
        elif self._head.expects and not self._slots and self._transport is not None:
            self._transport.write(_CONTINUE)

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        if self._ended:
            return
        self._body_bytes += len(data)
        if self._body_bytes > self._reception.limits.body_bytes:
            self._refuse(self._reception.doors.too_large(self._reception.limits.body_bytes))
            return
        self._body.append(data)

    def on_message_complete(self) -> None:
        """Hand the request over; the answer goes out in its turn."""
        self._since = 0.0
        self._follows = True
        if self._ended:
            return
        self._ended = not self._parser.should_keep_alive()
        self._form = self._reception.forms.meet(self._head.method, self._url, self._headers)
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._hand(partial(self._reception.doors.take, self._head, body))

    # Reception

    def late(self, now: float) -> bool:
        """Whether a request is not whole in time, or none came for long."""
        if self._since:
            return now - self._since > self._reception.limits.request_s
        return not self._slots and now - self._idle_since > IDLE_S

    def cut_off(self) -> None:
        """End a connection that is late. Who sends a body slowly is told so."""
        if self._since and not self._in_head and self._url:
            self._refuse(Answer(408, f"No whole body in {self._reception.limits.request_s:g} s.\n".encode()))
        else:
            self.abort()

    def finish(self) -> None:
        """Read no more, and close after the last answer."""
        self._ended = True
        if self._slots:
            self._slots[-1].last = True
        elif self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End it now."""
        if self._transport is not None:
            self._transport.abort()

    # Inside

    def _head_size(self) -> int:
        return len(self._url) + sum(len(name) + len(value) for name, value in self._headers)

    def _begin(self) -> None:
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._head = _NO_HEAD
        self._body: list[bytes] = []
        self._body_bytes = 0

    def _alike(self, data: bytes, form: Form) -> bytes:
        """Take the requests that are whole and whose heads are of a form; return what follows them.

        What is cut off, refused or spelled otherwise is httptools', which stands before a request as well.
        """
        start, doors, limit = 0, self._reception.doors, self._reception.limits.body_bytes
        now = doors.now()
        while start < len(data) and not self._ended:
            found = form.read(data, start, now)
            if found is None:
                break
            length, token, _, begin, half = found
            end = begin + length
            if half is not None and length <= limit and doors.usable(half, token):
                self._keep(half)
            else:
                head = form.head(found)
                if end > len(data) or doors.refusal(head, limit) is not None:
                    break
                self._hand(partial(doors.take, head, data[begin:end]))
            start = end
        return data[start:]

    def _keep(self, half: Half) -> None:
        """Have a half kept that is usable: what `_hand` does for any request, with nothing in between."""
        self._idle_since = monotonic()
        slot = _Slot(last=False)
        self._slots.append(slot)
        try:
            self._reception.doors.keep(half, partial(self._kept, slot))
        except DoorClosed as error:
            self._kept(slot, error)
        if len(self._slots) >= PIPELINED:
            self._pace()

    def _kept(self, slot: _Slot, error: NotKept | None) -> None:
        """Answer a half, once it is kept or could not be."""
        if error is None and not slot.last:
            self._send(slot, TAKEN)
        else:
            self._answer(slot, self._reception.doors.answer(error))

    def _hand(self, take: Callable[[Told], Answer | None]) -> None:
        """Hand a whole request over; the answer goes out in its turn."""
        self._idle_since = monotonic()
        slot = _Slot(self._ended)
        self._slots.append(slot)
        answer = take(partial(self._answer, slot))
        if answer is not None:
            self._answer(slot, answer)
        elif len(self._slots) >= PIPELINED:
            self._pace()

    def _refuse(self, answer: Answer) -> None:
        """Answer what came so far, in its turn, and read nothing more."""
        if not self._ended:
            self._ended = True
            slot = _Slot(last=True)
            self._slots.append(slot)
            self._answer(slot, answer)

    def _answer(self, slot: _Slot, answer: Answer) -> None:
        """Count an answer that is none of 200, and send it in its turn."""
        if answer.status != _OK:
            self._reception.counts[f"answered.{answer.status}"] += 1
        self._send(slot, rendered(answer, last=slot.last))

    def _send(self, slot: _Slot, data: bytes) -> None:
        """Fill the answer in, and send all that are not behind one that is still awaited."""
        slot.data = data
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        while self._slots and self._slots[0].data:
            sent = self._slots.popleft()
            transport.write(sent.data)
            if sent.last:
                self._ended = True
                transport.close()
                return
        if self._clogged and transport.get_write_buffer_size() > UNREAD_BYTES:
            self._reception.counts["deaf"] += 1
            transport.abort()
            return
        if self._slots or self._held:
            self._pace()

    def _pace(self) -> None:
        """Read as long as answers are read, and not too many are awaited."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        busy = len(self._slots) >= PIPELINED or transport.get_write_buffer_size() > UNREAD_BYTES // 4
        if busy and not self._held:
            transport.pause_reading()
        elif self._held and not busy:
            transport.resume_reading()
        self._held = busy
