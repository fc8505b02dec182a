"""`python -m recorders.doors --config doors.toml`: the doors beside a sidecar; needs no harness."""

import argparse
import asyncio
import os
import signal
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

from recorders.doors.intake import LinkIntake
from recorders.doors.mapping import Mapping
from recorders.doors.server import DoorsSettings, Server, declared
from recorders.errors import HarnessError
from recorders.sidecar.errors import SettingsError
from recorders.sidecar.settings import TOKEN_VARIABLE
from recorders.socket_link import SocketLink


def load(path: Path) -> DoorsSettings:
    """Return the settings of a TOML file.

    Raises:
        SettingsError: no such file, no TOML, an unknown key, or a value that cannot be.
    """
    try:
        return declared(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.", "Expected TOML.", "Correct it.") from error


def serve(path: Path, *, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is told the address when connections are taken.

    Raises:
        HarnessError: it cannot start.
    """
    asyncio.run(_serve(path, ready))


async def _serve(path: Path, ready: Callable[[str], None]) -> None:
    settings, token, base = load(path), os.environ.get(TOKEN_VARIABLE, ""), path.parent
    feature_sets = [Mapping.from_toml(base / name).feature_set for name in settings.mappings]
    where = settings.sidecar if "://" in settings.sidecar else str(base / settings.sidecar)
    intake = LinkIntake(lambda: SocketLink(where, feature_sets, service="doors", token=token))
    server = Server(settings, intake, token=token, base=base)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, server.stop)
    host = settings.http.rpartition(":")[0]
    try:
        await server.run(ready=lambda: ready(f"{host}:{server.port}"))
    finally:
        intake.close()


def main(arguments: list[str] | None = None) -> int:
    """Run the doors and return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m recorders.doors", description=__doc__)
    parser.add_argument("--config", type=Path, required=True, help="the doors' settings in TOML")
    given = parser.parse_args(arguments)
    try:
        serve(given.config, ready=lambda where: print(f"ready: {where}", flush=True))  # noqa: T201
    except HarnessError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
