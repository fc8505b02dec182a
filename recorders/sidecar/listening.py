"""Listening: the sockets of a sidecar are opened, or the setting that stands in the way is named."""

import contextlib
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from recorders.sidecar.errors import SettingsError

PATH_BYTES_MAX: Final = 107
CALL_S: Final = 1.0


@contextlib.contextmanager
def on_path(setting: str, path: Path, *, ours: bool) -> Iterator[str]:
    """Yield the name of a UNIX socket that can be made, after what an earlier process left there is gone.

    In a folder that is `ours`, whose lock is held, whoever listens there still has lost it.

    Raises:
        SettingsError: it cannot be made there.
    """
    try:
        _clear(path, ours=ours)
        yield str(path)
    except OSError as error:
        raise SettingsError(
            f"{setting} is {path}: {error}.",
            f"Expected a path of at most {PATH_BYTES_MAX} bytes, free or an old socket's, in a folder where "
            "this user may make one.",
            "Make that folder, give it to this user, or name another path.",
        ) from error


@contextlib.contextmanager
def on_address(setting: str, text: str) -> Iterator[None]:
    """Name the setting if its address cannot be listened on.

    Raises:
        SettingsError: it is taken, or not ours.
    """
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"{setting} is {text}: {error}.",
            "Expected an address of this machine that this user may listen on, and nobody else does.",
            "Choose another port, or end what has it.",
        ) from error


def _clear(path: Path, *, ours: bool) -> None:
    """Remove an old socket. Whatever else lies there is not ours to remove.

    Raises:
        OSError: it is no socket, or somebody listens on it.
    """
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError("what lies there is no socket")
    if not ours:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as caller:
            caller.settimeout(CALL_S)
            if caller.connect_ex(str(path)) == 0:
                raise OSError("another process listens there")
    path.unlink(missing_ok=True)
