"""Server: the HTTP doors of one sidecar: what listens, what pairs, what is kept."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from recorders.doors.connection import Connection
from recorders.doors.desk import Desk
from recorders.doors.http import Doors, status
from recorders.doors.intake import Intake, SpoolIntake
from recorders.doors.journal import Journal
from recorders.doors.mapping import Mapping
from recorders.doors.pairing import Bounds
from recorders.doors.reception import Limits, Reception
from recorders.doors.router import Router
from recorders.sidecar.errors import SettingsError
from recorders.sidecar.hub import Hub
from recorders.sidecar.settings import DoorsSettings, Settings, address

BACKLOG: Final = 512
STOP_S: Final = 5.0
_LOOK_S: Final = 0.02


class Server:
    """The doors of one process, for one event loop. `folder` keeps halves that wait for each other."""

    def __init__(
        self,
        settings: DoorsSettings,
        mappings: Sequence[Mapping],
        intake: Intake,
        folder: Path,
        *,
        token: str = "",
    ) -> None:
        self._settings = settings
        pairing = Bounds(settings.pair_wait_s, settings.halves, settings.halves_bytes)
        self.desk = Desk(intake, Router(mappings), Journal(folder), pairing)
        limits = Limits(settings.connections, settings.body_bytes, settings.request_s)
        doors = Doors(self.desk, settings.unpacked_bytes, token)
        self.reception = Reception(doors, limits, self.desk.counts)
        self._listening: asyncio.Server | None = None
        self._commits: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, once started."""
        assert self._listening is not None, "the doors are open"
        return int(self._listening.sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Listen, and keep what comes.

        Raises:
            SettingsError: the address is taken, or not ours.
        """
        loop = asyncio.get_running_loop()
        host, port = address(self._settings.http)
        try:
            self._listening = await loop.create_server(
                lambda: Connection(self.reception), host, port, backlog=BACKLOG
            )
        except OSError as error:
            raise SettingsError(
                f"doors.http is {self._settings.http}: {error}.",
                "Expected an address of this machine that nobody listens on.",
                "Choose another port, or end what has it.",
            ) from error
        self._commits = asyncio.create_task(self.desk.run())

    def sweep(self, now: float) -> None:
        """Cut off who takes too long. Raise what ended the commits, which never end by themselves."""
        self.reception.sweep(now)
        if self._listening is not None and self._commits is not None and self._commits.done():
            self._commits.result()

    def status(self) -> dict[str, Any]:
        """Return what the doors know of themselves."""
        return status(self.desk) | {"open": len(self.reception.open)}

    async def stop(self, *, alone: bool = False) -> None:
        """Take no more; keep what was taken and answer it. With `alone`, halves wait for no others any more.

        Safe to call twice.
        """
        if self._listening is None or self._commits is None:
            return
        self._listening.close()
        self._listening = None
        self.reception.close()
        for _ in range(round(STOP_S / _LOOK_S)):
            if not self.reception.open:
                break
            await asyncio.sleep(_LOOK_S)
        self._commits.cancel()
        await asyncio.wait([self._commits])
        await self.desk.close(alone=alone)
        await asyncio.sleep(0)  # the answers of its last commit go out
        for connection in list(self.reception.open):
            connection.abort()


async def opened(settings: Settings, hub: Hub) -> Server:
    """Return the doors of a sidecar, which listen.

    Raises:
        MappingError: a mapping that cannot be used.
        SettingsError: the address is taken, or not ours.
    """
    mappings = [Mapping.from_toml(Path(name)) for name in settings.doors.mappings]
    intake = SpoolIntake(hub, [mapping.feature_set for mapping in mappings])
    doors = Server(settings.doors, mappings, intake, settings.path / "doors", token=settings.token)
    await doors.start()
    return doors
