"""Service: one sidecar that runs: a house, its doors, its shipper's thread, its operations."""

import asyncio
import contextlib
import logging
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from recorders.errors import HarnessError
from recorders.sidecar import allocator
from recorders.sidecar.clock_steps import ClockSteps
from recorders.sidecar.door import Bounds, Connection, Reception
from recorders.sidecar.errors import ShipperBroke, SpoolDamaged
from recorders.sidecar.house import House
from recorders.sidecar.hub import Hub
from recorders.sidecar.listening import on_address, on_path
from recorders.sidecar.memory import Memory
from recorders.sidecar.ops import REQUEST_BYTES_MAX, Ops
from recorders.sidecar.rights import umask
from recorders.sidecar.sealed_frames import FrameSealer, open_keys
from recorders.sidecar.settings import Settings, address

if TYPE_CHECKING:
    from recorders.doors.server import Server

TICK_S: Final = 1.0
# What SIGTERM leaves the shipper: what is on disk is safe, the next start ships it.
STOP_S: Final = 5.0
_logger = logging.getLogger("recorders.sidecar")


class Service:
    """A running sidecar. `run` returns when it was told to stop, or raises what it cannot go on with."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._house = House(settings)
        self._steps = ClockSteps(self._house.clock)
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
                self._look_at_clock()
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
        status["keys"] = self.hub.want_of_keys()
        status["clock"] = {"steps": self._steps.count, "set_s": round(self._steps.total_s, 3)}
        if self._doors is not None:
            status["doors"] = self._doors.status()
        return status | {"door": dict(counts), "draining": self._drain}

    def _look_at_clock(self) -> None:
        step = self._steps.look()
        if step:
            _logger.warning(
                "The machine's clock was set %s by %.0f s. Halves that wait, and what is kept for a time, "
                "go on as if it had not been; what a service records bears the time of its own clock.",
                "forward" if step > 0 else "back",
                abs(step),
            )

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
        ours = path.parent == self.settings.path
        with umask(0o777 & ~int(door.socket_mode, 8)), on_path("door.socket", path, ours=ours) as name:
            unix = await loop.create_unix_server(
                lambda: Connection(self.reception, trusted=True), name, backlog=512
            )
        servers: list[asyncio.AbstractServer] = [unix]
        if door.tcp:
            host, port = address(door.tcp)
            with on_address("door.tcp", door.tcp):
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
        with umask(0o177), on_path("ops.sock", self.settings.ops_socket, ours=True) as name:
            servers: list[asyncio.AbstractServer] = [
                await asyncio.start_unix_server(
                    lambda r, w: ops.serve(r, w, operator=True), name, limit=REQUEST_BYTES_MAX
                )
            ]
        if self.settings.ops.http:
            host, port = address(self.settings.ops.http)
            with on_address("ops.http", self.settings.ops.http):
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
