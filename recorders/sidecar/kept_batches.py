"""Kept batches: the files of an outbox, and the rows of batches in them."""

import contextlib
import sqlite3
from pathlib import Path
from typing import Any

from recorders.sidecar import segment
from recorders.sidecar.records import File
from recorders.sidecar.recovery import OUTBOX


class KeptBatches:
    """The files of the outbox in `folder`, by number. For one thread. One file stays open for reading."""

    def __init__(self, folder: Path, sql: dict[str, str]) -> None:
        self.files: dict[int, File] = {}
        self._folder = folder
        self._sql = sql
        self._reader: tuple[int, sqlite3.Connection] | None = None
        self._shipped: dict[int, float] = {}  # by a clock that nobody can set

    def shipped(self, files: dict[int, File], now: float) -> None:
        """Take note that the log has the last batch of files, and of what they are since."""
        self.files |= files
        self._shipped |= dict.fromkeys(files, now)

    def shipped_for(self, number: int, now: float) -> float:
        """Return how long this process knows that a file is shipped, or passed over."""
        return now - self._shipped.setdefault(number, now)

    def path(self, number: int) -> Path:
        """Return where a file lies."""
        return self._folder / segment.name_of(OUTBOX, number)

    def row(self, ordinal: int) -> tuple[Any, ...]:
        """Return the row of a batch.

        Raises:
            sqlite3.Error, LookupError: it cannot be read, or was released.
        """
        number = next((n for n, file in self.files.items() if _within(ordinal, file)), None)
        if number is None:
            raise LookupError(f"batch {ordinal} was released")
        if self._reader is None or self._reader[0] != number:
            self.close()
            self._reader = (number, segment.open_reader(self.path(number)))
        row: tuple[Any, ...] | None = self._reader[1].execute(self._sql["batch"], (ordinal,)).fetchone()
        if row is None:
            raise LookupError(f"batch {ordinal} is missing")
        return row

    def readable(self, ordinal: int) -> tuple[Any, ...] | None:
        """Return the row of a batch, None where it cannot be read or was released."""
        try:
            return self.row(ordinal)
        except (sqlite3.Error, LookupError):
            return None

    def ordinal_of(self, writer: bytes, sequence: int) -> int | None:
        """Return the ordinal of a writer's batch `sequence`, None when it is no longer kept."""
        for number in sorted(self.files, reverse=True):
            with contextlib.closing(segment.open_reader(self.path(number))) as connection:
                row = connection.execute(self._sql["ordinal_of"], (writer, sequence)).fetchone()
                if row is not None:
                    return int(row[0])
        return None

    def let_go(self, number: int) -> bool:
        """Unlink a file; False when the disk does not let it go now."""
        if self._reader is not None and self._reader[0] == number:
            self.close()
        if not segment.let_go(self.path(number)):
            return False
        del self.files[number]
        self._shipped.pop(number, None)
        return True

    def release(self, shipped: int, covered: int, *, newest: int, retain_s: float, now: float) -> list[bool]:
        """Unlink files before `newest`, oldest first, and return of each whether the log covered it.

        A file goes when all up to its last ordinal is `shipped`, and it is `covered` or was
        shipped `retain_s` ago.
        """
        gone = []
        for number in sorted(self.files):
            file = self.files[number]
            if number == newest or file.last_ordinal > shipped:
                break
            safe = file.first_ordinal > file.last_ordinal or 0 < file.end_position <= covered
            if not (safe or self.shipped_for(number, now) >= retain_s) or not self.let_go(number):
                break
            gone.append(safe)
        return gone

    def let_go_of_empty(self) -> int:
        """Unlink closed files without a batch, and return how many: each start makes one.

        The quota is for what waits. The last before the newest stays: what it says counts where that one is
        damaged.
        """
        closed = [self.files[number] for number in sorted(self.files)[:-2]]
        return sum(self.let_go(file.number) for file in closed if file.first_ordinal > file.last_ordinal)

    def close(self) -> None:
        """Close the file that is read. Safe to call twice."""
        if self._reader is not None:
            self._reader[1].close()
            self._reader = None


def _within(ordinal: int, file: File) -> bool:
    return file.first_ordinal <= ordinal <= file.last_ordinal
