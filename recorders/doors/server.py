"""Server: the doors on uvicorn, bounded where uvicorn is not: headers, connections, time of a request."""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httptools
import msgspec
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from recorders.doors.desk import Desk
from recorders.doors.http import Bounds, Doors
from recorders.doors.intake import Intake
from recorders.doors.journal import Journal
from recorders.doors.mapping import Mapping
from recorders.doors.pairing import Bounds as PairingBounds
from recorders.doors.router import Router
from recorders.sidecar.errors import SettingsError
from recorders.sidecar.settings import LOOPBACK, TOKEN_VARIABLE, Positive, Seconds, address

HEAD_BYTES: Final = 32 * 1024
_SWEEP_S: Final = 1.0
_logger = logging.getLogger("recorders.doors")


class DoorsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the doors listen and what they take.

    `folder` holds halves that wait, `sidecar` is the address of the sidecar's own door, `mappings` are files;
    relative paths start at the settings' file.
    """

    http: str = "127.0.0.1:7080"
    folder: str = "doors"
    sidecar: str = "spool/door.sock"
    mappings: tuple[str, ...] = ()
    connections: Positive = 1_024
    body_bytes: Positive = 4 * 2**20
    unpacked_bytes: Positive = 16 * 2**20
    request_s: Seconds = 10.0
    pair_wait_s: Seconds = 60.0
    halves: Positive = 100_000
    halves_bytes: Positive = 256 * 2**20

    def check(self, token: str) -> None:
        """Refuse an address that others can reach without a token.

        Raises:
            SettingsError: there is none.
        """
        if address(self.http)[0] not in LOOPBACK and not token:
            raise SettingsError(
                f'doors.http is "{self.http}", which others can reach.',
                "Expected a loopback address, or a token.",
                f"Use 127.0.0.1, or set {TOKEN_VARIABLE}.",
            )


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which by itself takes a head of any size and waits for it for ever."""

    limit_connections = 1_024
    request_s = 10.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Take the connection in, if there is room."""
        super().connection_made(transport)
        self._head_bytes = 0
        self._in_head = False
        self._since = time.monotonic()
        if len(self.connections) > self.limit_connections:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what came in. A head that is not whole after HEAD_BYTES ends the connection."""
        if self._since == 0.0:
            self._since = time.monotonic()
        super().data_received(data)
        if not self._in_head:
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES:
            self.transport.abort()

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Refuse a head that came at once and is too long all the same, else begin the request."""
        self._in_head = False
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > HEAD_BYTES:
            self.transport.abort()
            raise httptools.HttpParserError("the head is too long")
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop the clock: the request is whole."""
        self._since = 0.0
        super().on_message_complete()

    def late(self, now: float) -> bool:
        """Whether a request has been under way for too long without being whole."""
        return self._since > 0.0 and now - self._since > self.request_s


class _Quiet(uvicorn.Server):
    """uvicorn's server, which leaves the process's signals to the process and says when it listens."""

    ready: Callable[[], None] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen."""
        await super().startup(sockets)
        if self.started:
            self.ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


class Server:
    """The doors of one process. `run` serves until `stop` is called."""

    def __init__(
        self, settings: DoorsSettings, intake: Intake, *, token: str = "", base: Path = Path()
    ) -> None:
        settings.check(token)
        router = Router([Mapping.from_toml(base / name) for name in settings.mappings])
        pairing = PairingBounds(settings.pair_wait_s, settings.halves, settings.halves_bytes)
        self.desk = Desk(intake, router, Journal(base / settings.folder), pairing)
        bounds = Bounds(settings.body_bytes, settings.unpacked_bytes, settings.request_s)
        host, port = address(settings.http)
        protocol = type(
            "Protocol",
            (BoundedProtocol,),
            {"limit_connections": settings.connections, "request_s": settings.request_s},
        )
        config = uvicorn.Config(
            Doors(self.desk, bounds, token),
            host=host,
            port=port,
            http=protocol,
            ws="none",
            loop="asyncio",
            lifespan="off",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            log_config=None,
            log_level="warning",
            timeout_keep_alive=30,
            timeout_graceful_shutdown=5,
            backlog=512,
        )
        self._server = _Quiet(config)

    @property
    def port(self) -> int:
        """The port that is listened on, once `started`."""
        (listening, *_) = self._server.servers[0].sockets
        return int(listening.getsockname()[1])

    async def run(self, *, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until told to stop; what was taken is kept before it returns."""
        commits = asyncio.create_task(self.desk.run())
        self._server.ready = ready
        serving = asyncio.create_task(self._server.serve())
        sweeps = asyncio.create_task(self._sweep())
        try:
            await asyncio.wait((serving, commits), return_when=asyncio.FIRST_COMPLETED)
            if commits.done():
                self.stop()
            await serving
        finally:
            for task in (sweeps, commits):
                task.cancel()
            failed = [one for one in await asyncio.gather(commits, return_exceptions=True) if one is not None]
            await self.desk.close()
        if failed and not isinstance(failed[0], asyncio.CancelledError):
            raise failed[0]

    def stop(self) -> None:
        """Take no more requests, answer those under way, then return from `run`."""
        self._server.should_exit = True

    async def _sweep(self) -> None:
        """Cut off who takes too long over one request, head or body."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            now = time.monotonic()
            for connection in list(self._server.server_state.connections):
                if isinstance(connection, BoundedProtocol) and connection.late(now):
                    self.desk.counts["timeouts"] += 1
                    connection.transport.abort()


def declared(document: dict[str, Any]) -> DoorsSettings:
    """Return the settings of a `[doors]` table.

    Raises:
        SettingsError: an unknown key, or a value that cannot be.
    """
    try:
        return msgspec.convert(document, DoorsSettings)
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"[doors]: {error}.", "Expected what docs/doors.md lists.", "Correct it."
        ) from error
