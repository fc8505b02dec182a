"""Stamp: whose folder this is.

Tells a copy from its original, and a sidecar that slept from its successor.
"""

import fcntl
import os
from pathlib import Path
from typing import Final
from uuid import uuid4

from recorders.sidecar.errors import SpoolBusy
from recorders.sidecar.segment import NEW

LOCK: Final = "lock"
STAMP: Final = "stamp"
MACHINE: Final = Path("/etc/machine-id")


class Stamp:
    """Holds a folder's lock for as long as it lives.

    `place` names machine and inodes: a copy has another one, a renamed folder the same. `generation` is a
    token that is new each time the folder is opened.

    Raises:
        SpoolBusy: another process holds the lock.
        OSError: the disk does not take the token; the lock is given back.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder = folder
        self._lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._take()
        except (OSError, SpoolBusy):
            # On a full disk the folder is opened again, without its ballast: it was in use, by this very try.
            self.close()
            raise

    def _take(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise SpoolBusy(self.folder) from error
        machine = MACHINE.read_text().strip() if MACHINE.exists() else ""
        self.place = f"{machine}/{self.folder.stat().st_ino}/{os.fstat(self._lock).st_ino}"
        self.generation = uuid4().hex
        born = self.folder / (STAMP + NEW)
        born.write_text(self.generation)
        born.rename(self.folder / STAMP)

    def holds(self) -> bool:
        """Whether nobody has opened the folder since.

        A shared disk may not honour the lock; the token tells.

        Raises:
            OSError: it cannot be read now, which says nothing of it.
        """
        try:
            return (self.folder / STAMP).read_text() == self.generation
        except (FileNotFoundError, NotADirectoryError):
            return False

    def close(self) -> None:
        """Give the lock back."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
