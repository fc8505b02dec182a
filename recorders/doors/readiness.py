"""Readiness: which connections have something to read, found in one look at all of them (docs/adr/0081).

asyncio makes a key, a handle and three calls into Python of each connection that has something. Here the
kernel answers for all in one call, and each costs one more, which takes what it sent. All else of a
connection is its transport's.
"""

import asyncio
import os
import select
from collections.abc import Callable
from typing import Final

READ_BYTES: Final = 256 * 1024  # as asyncio's transports read


class Readiness:
    """What is read of all connections of one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._poll = select.epoll()
        self._readers: dict[int, Reader] = {}
        self._loop.add_reader(self._poll.fileno(), self._look)

    def reader(self, transport: asyncio.Transport, take: Callable[[bytes], None]) -> "Reader":
        """Return what reads a transport in its place: `take` is called with what comes."""
        found = Reader(self, transport, take)
        transport.pause_reading()
        found.resume_reading()
        return found

    def watch(self, reader: "Reader") -> None:
        """Read a connection from now on."""
        self._poll.register(reader.number, select.EPOLLIN)
        self._readers[reader.number] = reader

    def leave(self, reader: "Reader") -> None:
        """Read it no more."""
        self._poll.unregister(reader.number)
        del self._readers[reader.number]

    def hold(self) -> None:
        """Read nobody for a while."""
        self._loop.remove_reader(self._poll.fileno())

    def release(self) -> None:
        """Read again, and in the next turn all that has come."""
        self._loop.add_reader(self._poll.fileno(), self._look)
        self._loop.call_soon(self._look)

    def close(self) -> None:
        """Read nothing any more."""
        for reader in list(self._readers.values()):
            reader.pause_reading()
        self._loop.remove_reader(self._poll.fileno())
        self._poll.close()

    def _look(self) -> None:
        """Read all that have something.

        Where what came cannot be taken that one is cut off; the others are read in the next turn.
        """
        if self._poll.closed:
            return
        reader = None
        try:
            for number, _ in self._poll.poll(0):
                reader = self._readers.get(number)
                if reader is not None:  # what another one sent may have ended it in this very turn
                    reader.read()
            reader = None
        finally:
            if reader is not None:
                reader.cut_off()


class Reader:
    """Reads one connection in place of its transport."""

    __slots__ = ("_readiness", "_reading", "_take", "_transport", "number")

    def __init__(
        self, readiness: Readiness, transport: asyncio.Transport, take: Callable[[bytes], None]
    ) -> None:
        self.number: int = transport.get_extra_info("socket").fileno()
        self._readiness = readiness
        self._transport = transport
        self._take = take
        self._reading = False

    def is_reading(self) -> bool:
        """Whether what comes is taken."""
        return self._reading

    def pause_reading(self) -> None:
        """Take nothing for a while."""
        if self._reading:
            self._reading = False
            self._readiness.leave(self)

    def resume_reading(self) -> None:
        """Take what comes."""
        if not self._reading:
            self._reading = True
            self._readiness.watch(self)

    def read(self) -> None:
        """Take what has come, or end with the one who sends no more."""
        try:
            data = os.read(self.number, READ_BYTES)
        except BlockingIOError:  # it was there when the kernel was asked
            return
        except OSError:
            self.cut_off()
            return
        if data:
            self._take(data)
        else:
            self.pause_reading()
            self._transport.close()

    def cut_off(self) -> None:
        """End the connection now."""
        self.pause_reading()
        self._transport.abort()
