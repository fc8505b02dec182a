"""Salvage: a damaged segment is put aside, counted, and what can still be read of it, and proven, is kept."""

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from recorders.sidecar import segment
from recorders.sidecar.marks import Mark
from recorders.sidecar.sealed_frames import proven
from recorders.sidecar.wire import Arrived

QUARANTINE: Final = "quarantine"
# After so many ids in a row that cannot be read or do not exist, there is nothing more to find.
MISSES_MAX: Final = 4_096


class Stored(NamedTuple):
    """A frame that a spool holds, its id in its segment, and when it came (seconds since 1970)."""

    segment: int
    id: int
    frame: Arrived
    received_at: float

    @classmethod
    def from_row(cls, ordinal: int, row: tuple[Any, ...]) -> "Stored":
        """Return the frame of a row as `spool.sql` selects it."""
        number, *values, received_at = row
        return cls(ordinal, number, Arrived(*values), received_at)

    def proven(self) -> bool:
        """Whether the payload is what its digest names."""
        payload = self.frame.payload
        return isinstance(payload, bytes) and proven(payload, self.frame.digest)


class Salvaged(NamedTuple):
    """What a damaged inbox segment held as far as it could be read.

    `unreadable` counts frames known to be lost.
    """

    name: str
    what: str
    size_bytes: int
    frames: list[Stored]
    unreadable: int
    marks: dict[bytes, Mark]
    feature_sets: dict[bytes, bytes]


def quarantine_damaged(folder: Path, prefix: str, *, newest_only: bool = False) -> list[Path]:
    """Return the damaged segments after they were moved aside, into `quarantine/` beside them."""
    files = segment.numbered(folder, prefix)
    moved = []
    for _, path in files[-1:] if newest_only else files:
        if segment.damage(path) is not None:
            moved.append(quarantine(path))
    return moved


def quarantine(path: Path) -> Path:
    """Return where a segment lies after it was moved aside with all that SQLite keeps beside it."""
    aside = path.parent / QUARANTINE
    aside.mkdir(mode=0o700, exist_ok=True)
    for name in (*segment.beside(path), path):
        if name.exists():
            name.rename(aside / name.name)
    segment.sync_folder(aside)
    segment.sync_folder(path.parent)
    return aside / path.name


def keep_aside(folder: Path, name: str, data: bytes) -> None:
    """Keep bytes that cannot go on as a file of the quarantine. Durable when it returns.

    Raises:
        OSError: the disk does not take them.
    """
    aside = folder / QUARANTINE
    aside.mkdir(mode=0o700, exist_ok=True)
    with (aside / name).open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    segment.sync_folder(aside)
    segment.sync_folder(folder)


def lying(folder: Path) -> dict[str, int]:
    """Return how many `files` lie in the quarantine of a spool, with how many `bytes`.

    Counters of what was put aside begin anew with each start; what lies there is for somebody to look at.
    """
    found = {"files": 0, "bytes": 0}
    with contextlib.suppress(FileNotFoundError), os.scandir(folder / QUARANTINE) as entries:
        for entry in entries:
            with contextlib.suppress(FileNotFoundError):
                found["bytes"] += entry.stat().st_size
                found["files"] += 1
    return found


def salvage(path: Path, ordinal: int, after: int, last: int, sql: dict[str, str]) -> Salvaged:
    """Return what can be read of a quarantined inbox segment: proven frames with ids in (after, last]."""
    what = segment.damage(path) or "it was put aside although it is whole"
    frames, highest = [], after
    for row in readable_rows(path, sql["frame"], after + 1):
        try:
            stored = Stored.from_row(ordinal, row)
        except TypeError:
            continue
        highest = max(highest, min(stored.id, last))
        if stored.id <= last and _plausible(stored.frame) and stored.proven():
            frames.append(stored)
    marks = {
        row[0]: Mark.from_row(*row[1:])
        for row in readable_rows(path, sql["mark"], 1)
        if [type(value) for value in row] == [bytes, int, float, bytes]
    }
    feature_sets = {
        digest: canonical
        for digest, canonical in readable_rows(path, sql["feature_set"], 1)
        if isinstance(canonical, bytes) and hashlib.sha256(canonical).digest() == digest
    }
    unreadable = highest - after - len(frames)
    return Salvaged(path.name, what, segment.bytes_of(path), frames, unreadable, marks, feature_sets)


def _plausible(frame: Arrived) -> bool:
    return [type(value) for value in frame] == [bytes, int, int, str, bytes, int, bytes, bytes]


def readable_rows(path: Path, statement: str, first: int) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a damaged file that can still be read, one by one by their ids, from `first`."""
    try:
        connection = segment.open_reader(path)
    except sqlite3.Error:
        return
    try:
        misses = 0
        number = first
        while misses < MISSES_MAX:
            try:
                row = connection.execute(statement, (number,)).fetchone()
            except (sqlite3.Error, OverflowError, UnicodeDecodeError):
                row = None
            number += 1
            misses = 0 if row is not None else misses + 1
            if row is not None:
                yield row
    finally:
        connection.close()
