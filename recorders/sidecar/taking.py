"""Taking: frames are read from the inbox's segments, and a segment goes when all of it is composed."""

import contextlib
from pathlib import Path

from recorders.sidecar import segment
from recorders.sidecar.carried import Carried
from recorders.sidecar.place import INBOX, Place
from recorders.sidecar.salvage import Stored


def read(
    folder: Path, carried: Carried, after: Place, sql: dict[str, str], *, events: int, payload_bytes: int
) -> list[Stored]:
    """Return the frames after a place, in order of arrival, until one of the limits is passed.

    Raises:
        sqlite3.Error: a file cannot be read.
    """
    found: list[Stored] = []
    for ordinal, path in segment.numbered(folder, INBOX):
        if ordinal < after.segment:
            continue
        start = after.id if ordinal == after.segment else 0
        with contextlib.closing(segment.open_reader(path)) as connection:
            for row in connection.execute(sql["frames"], (start, carried.limit(ordinal))):
                found.append(Stored.from_row(ordinal, row))
                events -= found[-1].frame.events
                payload_bytes -= len(found[-1].frame.payload)
                if events <= 0 or payload_bytes <= 0:
                    return found
    return found


def release(folder: Path, carried: Carried, current: int, composed: Place, sql: dict[str, str]) -> int:
    """Unlink the segments before `current` that hold nothing behind `composed`, and return how many."""
    unlinked = 0
    for ordinal, path in segment.numbered(folder, INBOX):
        if ordinal >= current or ordinal > composed.segment:
            break
        if ordinal == composed.segment and _last_in(ordinal, path, carried, sql) > composed.id:
            break
        if not segment.let_go(path):
            break
        unlinked += 1
    return unlinked


def _last_in(ordinal: int, path: Path, carried: Carried, sql: dict[str, str]) -> int:
    with contextlib.closing(segment.open_reader(path)) as connection:
        (last,) = connection.execute(sql["last_id"]).fetchone()
        return min(int(last), carried.limit(ordinal))
