"""Service: one sidecar, put together: folder, spool, outbox, doors, shipper, operations."""

import asyncio
import contextlib
import logging
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recorders.errors import HarnessError
from recorders.sidecar import allocator, segment
from recorders.sidecar.disk import Disk
from recorders.sidecar.door import Bounds, Connection, Reception
from recorders.sidecar.errors import ShipperBroke, SpoolDamaged, SpoolTooNew, SpoolUnusable
from recorders.sidecar.hub import Hub
from recorders.sidecar.memory import Memory
from recorders.sidecar.ops import REQUEST_BYTES_MAX, Ops
from recorders.sidecar.outbox import Outbox
from recorders.sidecar.recovery import OUTBOX
from recorders.sidecar.sealed_frames import FrameSealer, open_keys
from recorders.sidecar.settings import Settings, address
from recorders.sidecar.ship import Door, Pace, Shipper, appender
from recorders.sidecar.spool import INBOX, Rules, Spool
from recorders.sidecar.stamp import Stamp

if TYPE_CHECKING:
    from recorders.doors.server import Server

TICK_S: Final = 1.0
# What SIGTERM leaves the shipper: what is on disk is safe, the next start ships it.
STOP_S: Final = 5.0
_logger = logging.getLogger("recorders.sidecar")


class House:
    """An open spool folder: what a sidecar works on. `copied` says that it is a copy of another."""

    def __init__(
        self,
        settings: Settings,
        open_door: Callable[[str | None], Door] | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.clock = clock
        spool = settings.spool
        self.disk = Disk(
            settings.path,
            quota_bytes=spool.quota_bytes,
            free_bytes_min=spool.free_bytes_min,
            ballast_bytes=spool.ballast_bytes,
        )
        try:
            self._open(open_door)
        except (OSError, sqlite3.Error) as error:
            # A sidecar that cannot start on a full disk could not make room on it either.
            if not self.disk.drop_ballast():
                raise SpoolUnusable(settings.path, str(error)) from error
            self._open(open_door)

    def _open(self, open_door: Callable[[str | None], Door] | None) -> None:
        settings = self.settings
        with contextlib.ExitStack() as opened:
            self.stamp = Stamp(settings.path)
            opened.callback(self.stamp.close)
            _check_formats(settings.path)
            spool, ship = settings.spool, settings.ship
            self.outbox = Outbox(settings.path, segment_bytes=spool.segment_bytes, clock=self.clock)
            opened.callback(self.outbox.close)
            rules = Rules(spool.durability, spool.segment_bytes, spool.segment_age_s)
            self.spool = Spool(
                settings.path,
                self.disk,
                rules,
                owner=self.outbox.identities[0].uuid,
                composed=self.outbox.composed,
                clock=self.clock,
            )
            opened.callback(self.spool.close)
            self.copied = self.outbox.settle_in(self.stamp.place, self.spool.current)
            pace = Pace(ship.target_events, ship.linger_s, ship.retain_s, ship.backoff_s, ship.backoff_max_s)
            self.shipper = Shipper(
                self.spool, self.outbox, self.stamp, open_door or appender(settings.url), pace
            )
            self.spool.release(self.outbox.composed)
            self.spool.tick()
            opened.pop_all()

    def close(self) -> None:
        """Close the files and give the folder back."""
        self.shipper.close()
        self.spool.close()
        self.outbox.close()
        self.stamp.close()

    def status(self) -> dict[str, Any]:
        """Return what the house knows of itself."""
        shipper, outbox, space = self.shipper, self.outbox, self.disk.look()
        receipt = outbox.receipts[-1] if outbox.receipts else None
        return {
            "spool_id": str(shipper.spool_id),
            "folder": str(self.settings.path),
            "durability": self.settings.spool.durability,
            "spool": vars(self.spool.counts) | {"writers": self.spool.writers},
            "disk": {
                "used_bytes": space.used_bytes,
                "quota_bytes": self.settings.spool.quota_bytes,
                "free_bytes": space.free_bytes,
                "refusal": self.spool.refusal,
                "refusing": int(bool(self.spool.refusal)),
                "ballast_dropped": self.disk.ballast_dropped,
            },
            "ship": vars(shipper.counts)
            | {
                "unusable": shipper.unusable,
                "state": shipper.state,
                "reason": shipper.reason,
                "stopped": int(shipper.state == "stopped"),
                "drained": shipper.drained,
                "waiting": outbox.waiting,
                "writer": str(outbox.identity.uuid),
                "log_id": outbox.state.log_id,
                "unlinked_uncovered": outbox.unlinked_uncovered,
                "receipt": None
                if receipt is None
                else {"epoch": receipt.epoch, "position": receipt.position, "covered": receipt.covered},
            },
        }


class Service:
    """A running sidecar. `run` returns when it was told to stop, or raises what it cannot go on with."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._house = House(settings)
        self._failure: HarnessError | None = None
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._drain = False
        self._doors: Server | None = None

    async def run(self, *, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGTERM, SIGINT or the end of a drain."""
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        committer = ThreadPoolExecutor(1, "spool")
        sealer = FrameSealer(lambda: open_keys(self.settings.url))
        self.hub = Hub(self._house.spool, committer, sealer, kept=self._wake.set)
        door = self.settings.door
        bounds = Bounds(door.connections, door.hello_s, door.message_s, door.lost_s)
        self.reception = Reception(self.hub, bounds, self.settings.token)
        shipper = threading.Thread(target=self._ship, args=(loop, stop), name="ship", daemon=True)
        commits = asyncio.create_task(self.hub.run())
        memory = asyncio.create_task(Memory(self.settings, self.hub, self.reception).run())
        servers = [*await self._open_doors(loop), *await self._open_ops()]
        if self.settings.doors.http:
            from recorders.doors.server import opened

            self._doors = await opened(self.settings, self.hub)
        shipper.start()
        ready()
        try:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), TICK_S)
                self.reception.sweep(loop.time())
                if self._doors is not None:
                    self._doors.sweep(loop.time())
                await loop.run_in_executor(committer, self._house.spool.tick)
                self.hub.tick()
                for task in (commits, memory):
                    if task.done():
                        task.result()
        finally:
            for server in servers:
                server.close()
            await self._close_http(alone=False)
            self.hub.draining = True
            memory.cancel()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await self.hub.flush()
            commits.cancel()
            self.reception.close()
            self._stopping.set()
            self._wake.set()
            await asyncio.to_thread(shipper.join, STOP_S)
            committer.shutdown()
            self._house.close()
            for path in (self.settings.door_socket, self.settings.ops_socket):
                path.unlink(missing_ok=True)
        if self._failure is not None:
            raise self._failure

    def status(self) -> dict[str, Any]:
        """Return the status document."""
        counts = self.reception.counts | {"open": len(self.reception.open)}
        status = self._house.status()
        status["spool"]["rewound"] = self.hub.rewound
        if self._doors is not None:
            status["doors"] = self._doors.status()
        return status | {"door": dict(counts), "draining": self._drain}

    def drain(self) -> None:
        """Take no more, ship all, then end. Halves that wait for others at the doors go as they are."""
        if not self._drain:
            self._drain = True
            self._draining = asyncio.get_running_loop().create_task(self._begin_to_drain())

    async def _begin_to_drain(self) -> None:
        await self._close_http(alone=True)
        self.hub.draining = self._house.shipper.draining = True
        self._wake.set()

    def _ship(self, loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
        """Ship until told to stop, drained, or the folder is not to be used any more."""
        shipper = self._house.shipper
        failure: HarnessError | None = ShipperBroke()  # what it is unless one of the ends below is reached
        try:
            while not self._stopping.is_set():
                self._wake.clear()
                wait = shipper.step()
                if self.hub.draining and not self.hub.busy and shipper.drained:
                    break
                if wait > 0:
                    self._wake.wait(wait)
            failure = None
        except HarnessError as error:
            failure = error
        finally:
            self._failure = failure
            loop.call_soon_threadsafe(stop.set)

    async def _open_doors(self, loop: asyncio.AbstractEventLoop) -> list[asyncio.AbstractServer]:
        door = self.settings.door
        path = self.settings.door_socket
        path.unlink(missing_ok=True)
        with _umask(0o777 & ~int(door.socket_mode, 8)):
            unix = await loop.create_unix_server(
                lambda: Connection(self.reception, trusted=True), str(path), backlog=512
            )
        servers: list[asyncio.AbstractServer] = [unix]
        if door.tcp:
            host, port = address(door.tcp)
            servers.append(
                await loop.create_server(lambda: Connection(self.reception, trusted=False), host, port)
            )
        return servers

    async def _close_http(self, *, alone: bool) -> None:
        """Close them; what they took is in the spool, or with the halves that wait on disk."""
        if self._doors is not None:
            await self._doors.stop(alone=alone)

    async def _open_ops(self) -> list[asyncio.AbstractServer]:
        ops = Ops(self.status, self.drain, self.settings.token)
        path = self.settings.ops_socket
        path.unlink(missing_ok=True)
        with _umask(0o177):
            servers: list[asyncio.AbstractServer] = [
                await asyncio.start_unix_server(
                    lambda r, w: ops.serve(r, w, operator=True), str(path), limit=REQUEST_BYTES_MAX
                )
            ]
        if self.settings.ops.http:
            host, port = address(self.settings.ops.http)
            servers.append(
                await asyncio.start_server(
                    lambda r, w: ops.serve(r, w, operator=False), host, port, limit=REQUEST_BYTES_MAX
                )
            )
        return servers


def serve(settings: Settings, *, ready: Callable[[], None] = lambda: None) -> None:
    """Run a sidecar until it is told to stop.

    A spool file that goes bad meanwhile is put aside by opening anew.

    Raises:
        HarnessError: it cannot start, or not go on.
    """
    allocator.keep()
    damaged_at = 0.0
    while True:
        try:
            asyncio.run(Service(settings).run(ready=ready))
        except SpoolDamaged as error:
            if time.monotonic() - damaged_at < STOP_S:
                raise
            damaged_at = time.monotonic()
            _logger.error("%s", error)  # noqa: TRY400  # the message is the remedy
        else:
            return


def ship_all(house: House, *, timeout_s: float) -> bool:
    """Ship what a closed sidecar left, and return whether the log has all of it."""
    house.shipper.draining = True
    end = time.monotonic() + timeout_s
    while not house.shipper.drained and time.monotonic() < end:
        wait = house.shipper.step()
        if house.shipper.state == "stopped":
            break
        time.sleep(min(wait, max(0.0, end - time.monotonic())))
    return house.shipper.drained


def _check_formats(folder: Path) -> None:
    for prefix in (INBOX, OUTBOX):
        for _, path in segment.numbered(folder, prefix):
            found = segment.format_of(path)
            if found > segment.FORMAT:
                raise SpoolTooNew(path, found, segment.FORMAT)


@contextlib.contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)
