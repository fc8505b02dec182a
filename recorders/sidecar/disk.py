"""Disk: how much the spool may take, how much it leaves to others, and the ballast it drops in need."""

import os
from pathlib import Path
from typing import Final

import msgspec

from recorders.sidecar import segment

BALLAST: Final = "ballast"
# Back in service only with a quarter more than what stopped it, so that it does not flutter.
HYSTERESIS: Final = 1.25


class Space(msgspec.Struct, frozen=True):
    """What the disk allows now: `refusal` is empty, or says why nothing may be added."""

    used_bytes: int
    free_bytes: int
    refusal: str


class Disk:
    """Watches one folder's quota and its file system's free space. For one thread.

    `quota_bytes` bounds all files of the spool. `free_bytes_min` is left to others. The ballast is a file of
    `ballast_bytes` that is given back when the disk is full all the same: a WAL database on a full disk can
    neither checkpoint nor delete, and the shipper needs room to make room.
    """

    def __init__(self, folder: Path, *, quota_bytes: int, free_bytes_min: int, ballast_bytes: int) -> None:
        self._folder = folder
        self._quota = quota_bytes
        self._free_min = free_bytes_min
        self._ballast_bytes = ballast_bytes
        self._refusing = False
        self.ballast_dropped = 0

    @property
    def ballast(self) -> Path:
        """Where the ballast lies."""
        return self._folder / BALLAST

    def look(self) -> Space:
        """Return what the disk allows now."""
        used = used_bytes(self._folder)
        stat = os.statvfs(self._folder)
        free = stat.f_bavail * stat.f_frsize
        factor = HYSTERESIS if self._refusing else 1.0
        refusal = ""
        if used * factor > self._quota:
            refusal = f"the spool takes {used} bytes of its quota of {self._quota}"
            refusal += f"; it takes frames again from {round(self._quota / HYSTERESIS)} bytes down"
        elif free < self._free_min * factor:
            refusal = f"the disk has {free} bytes left, {self._free_min} are for others"
            refusal += f"; it takes frames again from {round(self._free_min * HYSTERESIS)} bytes up"
        self._refusing = bool(refusal)
        return Space(used, free, refusal)

    def drop_ballast(self) -> bool:
        """Give the ballast's bytes back to the disk; False when there is none to be had."""
        try:
            self.ballast.unlink()
        except OSError:
            return False
        self.ballast_dropped += 1
        return True

    def take_ballast(self) -> bool:
        """Lay the ballast in again if the disk has room for it beyond what is left to others."""
        if self._ballast_bytes == 0 or self.ballast.exists():
            return self.ballast.exists()
        stat = os.statvfs(self._folder)
        if stat.f_bavail * stat.f_frsize < self._ballast_bytes + self._free_min * HYSTERESIS:
            return False
        born = self.ballast.with_name(BALLAST + segment.NEW)
        try:
            with born.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, self._ballast_bytes)
            born.rename(self.ballast)
        except OSError:
            born.unlink(missing_ok=True)
            return False
        return True


def used_bytes(folder: Path) -> int:
    """Return the bytes of the spool's own files: segments and what SQLite keeps beside them."""
    total = 0
    for entry in os.scandir(folder):
        if entry.name.startswith(("inbox-", "outbox-")):
            try:
                total += entry.stat().st_size
            except FileNotFoundError:
                continue
    return total
