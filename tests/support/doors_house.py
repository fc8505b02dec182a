"""A house of doors without a network: what a stranger sends, what is kept, what goes back."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import msgspec

from recorders.doors.connection import Connection
from recorders.doors.desk import Desk
from recorders.doors.http import Doors
from recorders.doors.journal import Journal
from recorders.doors.mapping import Mapping
from recorders.doors.pairing import Bounds as PairingBounds
from recorders.doors.reception import Limits, Reception
from recorders.doors.router import Router
from recorders.errors import LinkUnavailable
from recorders.frame import Frame
from tests.support.doors import CASES, GOLDEN, requests_of
from tests.support.recording import HeldClock

Answered = tuple[int, dict[bytes, bytes], bytes]
ROUTER = Router([Mapping.from_toml(case / "mapping.toml") for case in CASES])


class Kept:
    """An intake that remembers what it said yes to; the oracle of these tests."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.away = False

    async def submit(self, frames: Sequence[Frame]) -> None:
        await asyncio.sleep(0)
        if self.away:
            raise LinkUnavailable("the test took it away")
        self.frames += frames

    def events(self, kind: str = "decision") -> list[list[Any]]:
        return [
            event
            for frame in self.frames
            if frame.kind == kind
            for event in msgspec.msgpack.decode(frame.payload)
        ]

    def ids(self) -> list[str]:
        return [event[0] for event in self.events()]


class Wire(asyncio.Transport):
    """A connection to the doors without a network."""

    def __init__(self, reception: Reception) -> None:
        super().__init__()
        self.sent = bytearray()
        self.closed = False
        self.reading = True
        self.came, self.ended = asyncio.Event(), asyncio.Event()
        self.connection = Connection(reception)
        self.connection.connection_made(self)

    def feed(self, data: bytes) -> None:
        if not self.closed:
            self.connection.data_received(data)

    async def answer(self) -> Answered:
        """Return the next answer: status, headers, body."""
        while b"\r\n\r\n" not in self.sent:
            self.came.clear()
            await asyncio.wait_for(self.came.wait(), 20)
        head, _, rest = bytes(self.sent).partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers = {name: value for name, _, value in (line.partition(b": ") for line in lines)}
        size = int(headers[b"content-length"])
        self.sent = bytearray(rest[size:])
        return int(first.split()[1]), headers, rest[:size]

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.sent += data
        self.came.set()

    def is_closing(self) -> bool:
        return self.closed

    def is_reading(self) -> bool:
        return self.reading

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def get_write_buffer_size(self) -> int:
        return 0

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.ended.set()
            self.connection.connection_lost(None)

    abort = close


class House:
    """Doors without a network. Time stands still until it is moved."""

    def __init__(
        self,
        folder: Path,
        *,
        limits: Limits = Limits(),  # noqa: B008  # a constant
        unpacked_bytes: int = 2**24,
        token: str = "",
        **pairing: Any,
    ) -> None:
        self.kept = Kept()
        self.clock = HeldClock(set_by_s=1_790_000_000.0)
        self.journal = Journal(folder)
        self.desk = Desk(self.kept, ROUTER, self.journal, PairingBounds(**pairing), clock=self.clock)
        doors = Doors(self.desk, unpacked_bytes, token)
        self.reception = Reception(doors, limits, self.desk.counts)

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, while the desk looks once in a second as it does by itself."""
        while seconds > 0:
            self.clock.seconds += min(1.0, seconds)
            seconds -= 1.0
            await self.desk.commit()

    async def send(
        self,
        path: str,
        headers: Sequence[tuple[bytes, bytes]] = (),
        body: bytes = b"",
        method: str = "POST",
        pieces: int = 1,
    ) -> Answered:
        own = list(headers)
        if all(name != b"content-length" for name, _ in own):
            own.insert(0, (b"content-length", b"%d" % len(body)))
        lines = [b"%s %s HTTP/1.1" % (method.encode(), path.encode()), *(b"%s: %s" % one for one in own)]
        wire = Wire(self.reception)
        wire.feed(b"\r\n".join(lines) + b"\r\n\r\n")
        size = max(1, -(-len(body) // pieces))
        for start in range(0, len(body), size):
            wire.feed(body[start : start + size])
        return await wire.answer()


def run(folder: Path, story: Callable[[House], Coroutine[Any, Any, None]], **given: Any) -> House:
    async def tell() -> House:
        house = House(folder, **given)
        commits = asyncio.create_task(house.desk.run())
        await story(house)
        commits.cancel()
        await house.desk.close()
        return house

    return asyncio.run(tell())


def kserve(number: int, side: str) -> tuple[str, list[tuple[bytes, bytes]], bytes]:
    """Return one half of a pair with an id of its own."""
    requests = requests_of(GOLDEN / "kserve-v1")
    path, headers, body = requests[3] if side == "request" else requests[4]
    changed = [(name, b"id-%d" % number if name == b"ce-id" else value) for name, value in headers]
    return path, changed, body
