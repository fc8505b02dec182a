"""Frames between us and a challenger's process: length, kind, payload, each with a deadline and a cap."""

import os
import select
import struct
import time
from collections.abc import Callable, Sequence

HEADER = struct.Struct("<QB")
OPEN, SCORE, PROBE, OBSERVE, SNAPSHOT, RESTORE = 1, 2, 3, 4, 5, 6
OPENED, REFUSED, ANSWER, RAISED, STATE = 11, 12, 13, 14, 15
REPLY_BYTES_MAX = 16 * 2**20
STATE_BYTES_MAX = 512 * 2**20
_PIECE = 2**20
_HEARD = 2**16
# How often a waiting parent looks after its child's memory and noise.
WATCH_S = 0.05


class Broken(Exception):  # noqa: N818  a line that broke; who uses it says why
    """The other side closed the pipe, did not keep to the time (`late`), or sent no frame of ours."""

    def __init__(self, why: str, *, closed: bool = False, late: bool = False) -> None:
        super().__init__(why)
        self.closed, self.late = closed, late


def write_all(fd: int, kind: int, payload: bytes | memoryview) -> None:
    """Write one frame to a blocking pipe: the child's side."""
    left = _frame(kind, [payload])
    while left:
        left = _unwritten(left, os.writev(fd, left))


def _frame(kind: int, payload: Sequence[bytes | memoryview]) -> list[memoryview]:
    """Return the pieces of a frame: written together, they wake who waits for them once."""
    pieces = [memoryview(piece).cast("B") for piece in payload]
    return [memoryview(HEADER.pack(sum(map(len, pieces)), kind)), *pieces]


def _unwritten(pieces: list[memoryview], written: int) -> list[memoryview]:
    """Return what is left of the pieces after so many bytes."""
    for number, piece in enumerate(pieces):
        if written < len(piece):
            return [piece[written:], *pieces[number + 1 :]]
        written -= len(piece)
    return []


def read_all(fd: int) -> tuple[int, bytearray] | None:
    """Return the next frame of a blocking pipe, None at its end: the child's side."""
    header = _exactly(fd, HEADER.size)
    if header is None:
        return None
    size, kind = HEADER.unpack(header)
    body = _exactly(fd, size)
    return None if body is None else (kind, body)


def _exactly(fd: int, size: int) -> bytearray | None:
    data = bytearray(size)
    view, at = memoryview(data), 0
    while at < size:
        got = os.readv(fd, [view[at:]])
        if not got:
            return None
        at += got
    return data


class Line:
    """Our side of the pipes to one child: frames with deadlines, its noise read and counted meanwhile.

    `watch` is called about every 50 ms of waiting; what it raises ends the wait.
    """

    def __init__(self, to_child: int, from_child: int, noise: int, watch: Callable[[], None]) -> None:
        self._to, self._from, self._noise, self._watch = to_child, from_child, noise, watch
        self.noise_bytes = 0
        self.last_words = b""
        self._buffer = memoryview(bytearray(_HEARD))
        self._heard = bytearray()
        for fd in (to_child, from_child, noise):
            os.set_blocking(fd, False)

    def ask(
        self,
        kind: int,
        payload: Sequence[bytes | memoryview],
        timeout_s: float,
        *,
        most: int = REPLY_BYTES_MAX,
    ) -> tuple[int, bytes]:
        """Return the child's reply to one frame, whose payload comes in pieces.

        Raises:
            Broken: no whole reply came in time, or not one of ours.
        """
        deadline = time.monotonic() + timeout_s
        self.send(kind, payload, deadline)
        return self.hear(deadline, most=most)

    def hear(self, deadline: float, *, most: int = REPLY_BYTES_MAX) -> tuple[int, bytes]:
        """Return the child's reply to the first frame that it has not answered. Raises as `ask`."""
        size, reply = HEADER.unpack(self._receive(HEADER.size, deadline))
        if size > most:
            raise Broken(f"a reply of {size} bytes, more than the {most} that are allowed")
        return reply, self._receive(size, deadline)

    def send(self, kind: int, payload: Sequence[bytes | memoryview], deadline: float) -> None:
        """Write one frame. Frames under way must fit into the pipe: nobody reads replies meanwhile.

        Raises:
            Broken: as `ask`.
        """
        left = _frame(kind, payload)
        while left:
            try:
                left = _unwritten(left, os.writev(self._to, left))
            except BlockingIOError:
                self._wait(self._to, select.POLLOUT, deadline)
            except BrokenPipeError as error:
                raise Broken("it closed its pipe", closed=True) from error

    def _receive(self, size: int, deadline: float) -> bytes:
        """Return the next bytes; what came with them, the rest of a frame, is kept for the next call."""
        while len(self._heard) < size:
            try:
                got = os.readv(self._from, [self._buffer])
            except BlockingIOError:
                self._wait(self._from, select.POLLIN, deadline)
                continue
            if not got:
                raise Broken("it closed its pipe", closed=True)
            self._heard += self._buffer[:got]
        data = bytes(memoryview(self._heard)[:size])
        del self._heard[:size]
        return data

    def _wait(self, fd: int, event: int, deadline: float) -> None:
        """Return when `fd` is ready; its end counts as ready."""
        poll = select.poll()
        poll.register(fd, event)
        poll.register(self._noise, select.POLLIN)
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise Broken("no answer in time", late=True)
            ready = dict(poll.poll(min(left, WATCH_S) * 1000))
            if self._noise in ready and not self.listen():
                poll.unregister(self._noise)
            if fd in ready:
                return
            self._watch()

    def listen(self) -> bool:
        """Read what the child printed, keep the end of it; return whether more can come."""
        try:
            heard = os.read(self._noise, _PIECE)
        except BlockingIOError:
            return True
        self.noise_bytes += len(heard)
        self.last_words = (self.last_words + heard)[-2000:]
        return bool(heard)

    def close(self) -> None:
        """Close our ends."""
        for fd in (self._to, self._from, self._noise):
            os.close(fd)
