"""Temporary folders whose owner holds a lock: those of owners that were killed go when the next is made."""

import fcntl
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path

OWNER = "owner"


@contextmanager
def owned_folder(prefix: str) -> Iterator[Path]:
    """Yield a fresh temporary folder, gone afterwards.

    Killed, nobody removes it, and it may hold the columns of a whole range: so whoever makes the next one of
    this prefix, on this machine and as this user, removes those whose lock nobody holds any more.

    Raises:
        OSError: there is no room, or no permission. A disk without room for a byte has room for it.
    """
    # A lock on a shared file system may be seen by its own machine alone: the name says which one that is.
    prefix = f"{prefix}{socket.gethostname()}-"
    _sweep(prefix)
    with tempfile.TemporaryDirectory(prefix=prefix) as name, Path(name, "new").open("w") as owner:
        fcntl.flock(owner, fcntl.LOCK_EX)
        Path(name, "new").rename(Path(name, OWNER))  # nobody has seen it without its lock
        yield Path(name)


def _sweep(prefix: str) -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{escape(prefix)}*"):
        with suppress(OSError):  # it has no owner yet, a living one, or went away meanwhile
            if folder.lstat().st_uid != os.geteuid():
                continue
            with (folder / OWNER).open("r+") as owner:
                fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
