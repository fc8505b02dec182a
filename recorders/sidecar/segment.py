"""Segment files: SQLite databases, created whole, written by one connection, checked when opened.

One connection writes and checkpoints a file (SQLite's WAL-reset bug, up to 3.51.2, needs two). Readers open
it read-only. A file is born under another name and renamed when it is complete, so that none is ever half
made.
"""

import errno
import logging
import os
import sqlite3
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

APPLICATION_ID: Final = 0x48525350
FORMAT: Final = 1
WAL_BYTES: Final = 4 * 2**20
PAGE_BYTES: Final = 16_384
SYNCHRONOUS: Final = {"power": "FULL", "process": "NORMAL"}
BUSY_MS: Final = 5_000
SQLITE_FULL: Final = 13
# What SQLite says when there is no room for its shared memory: SHMOPEN, SHMSIZE, SHMMAP.
NO_ROOM: Final = (SQLITE_FULL, 4_618, 4_874, 5_386)
NEW: Final = ".new"
_logger = logging.getLogger("recorders.sidecar")


@cache
def statements(path: Path) -> dict[str, str]:
    """Return the named statements of an .sql file, each with its sentence of purpose."""
    parts = (part.partition("\n") for part in path.read_text(encoding="utf-8").split("-- name: ")[1:])
    return {name.strip(): body.strip() for name, _, body in parts}


def sync_folder(folder: Path) -> None:
    """Make the folder's entries durable: a new, renamed or unlinked file survives a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def create(path: Path, fill: Callable[[sqlite3.Connection], None], durability: str) -> sqlite3.Connection:
    """Return the writer of a new file that `fill` has given its tables and first rows.

    Raises:
        OSError, sqlite3.Error: the disk refuses; no file of that name exists then.
    """
    born = path.with_name(path.name + NEW)
    remove(born)
    try:
        connection = sqlite3.connect(born, isolation_level=None, check_same_thread=False)
        try:
            connection.executescript(
                f"pragma page_size = {PAGE_BYTES}; pragma synchronous = FULL; "
                f"pragma application_id = {APPLICATION_ID}; pragma user_version = {FORMAT};"
            )
            connection.execute("begin immediate")
            fill(connection)
            connection.execute("commit")
        finally:
            connection.close()
        born.rename(path)
        sync_folder(path.parent)
    except (OSError, sqlite3.Error):
        remove(born)
        raise
    return open_writer(path, durability)


def open_writer(path: Path, durability: str) -> sqlite3.Connection:
    """Return the one connection that writes and checkpoints `path`."""
    return _opened(
        path,
        "rw",
        f"pragma busy_timeout = {BUSY_MS}; pragma journal_mode = WAL; "
        f"pragma synchronous = {SYNCHRONOUS[durability]}; "
        f"pragma wal_autocheckpoint = {WAL_BYTES // PAGE_BYTES}; pragma journal_size_limit = {WAL_BYTES};",
    )


def open_reader(path: Path) -> sqlite3.Connection:
    """Return a connection that can neither write nor checkpoint.

    A file without a WAL beside it is closed for good. It is opened as immutable: on a full disk there is no
    room for the files that SQLite would lay beside it otherwise, and what cannot be read cannot be shipped.
    """
    closed = not path.with_name(path.name + "-wal").exists()
    return _opened(path, f"ro{'&immutable=1' if closed else ''}", f"pragma busy_timeout = {BUSY_MS}")


def _opened(path: Path, mode: str, pragmas: str) -> sqlite3.Connection:
    """Return a connection that took the pragmas. One that did not is closed before its error is told."""
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, check_same_thread=False
    )
    try:
        connection.executescript(pragmas)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def no_room(error: sqlite3.Error | OSError) -> bool:
    """Whether an error says that the disk is full; the file itself is sound then."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT)
    code = getattr(error, "sqlite_errorcode", 0)
    return code in NO_ROOM or code & 0xFF == SQLITE_FULL


def remove(path: Path) -> None:
    """Unlink a file with all that SQLite keeps beside it; what is not there is no error."""
    for name in (path, *beside(path)):
        name.unlink(missing_ok=True)


def let_go(path: Path) -> bool:
    """Remove a file that is not needed any more; False when the disk does not let it go now."""
    try:
        remove(path)
    except OSError as error:
        _logger.warning("%s stays for now: %s", path, error)
        return False
    return True


def sweep(folder: Path, prefix: str) -> None:
    """Unlink what a death left: files half born, and what lay beside a file that is gone."""
    for path in folder.glob(f"{prefix}*"):
        name, found, _ = path.name.partition(".db-")
        half_born = NEW in path.name
        if half_born or (found and not path.with_name(f"{name}.db").exists()):
            path.unlink(missing_ok=True)


def settle(folder: Path, prefix: str) -> None:
    """Make durable what the files hold. A process that was killed may have written without having synced.

    Whoever reads that takes it for kept, and says so to its sender: it must survive a power cut from then on.

    Raises:
        OSError: the disk does not take it.
    """
    for path in folder.glob(f"{prefix}*"):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    sync_folder(folder)


def beside(path: Path) -> tuple[Path, ...]:
    """Return the names of what SQLite keeps beside a file."""
    return tuple(path.with_name(path.name + end) for end in ("-wal", "-shm", "-journal"))


def bytes_of(path: Path) -> int:
    """Return the bytes that a file and what is beside it take."""
    total = 0
    for name in (path, *beside(path)):
        try:
            total += name.stat().st_size
        except FileNotFoundError:
            continue
    return total


def damage(path: Path) -> str | None:
    """Return what is wrong with a file, None when it is whole: its header, its format, every page and index.

    A file of a newer format is not damaged; it is refused by its reader.
    """
    try:
        connection = open_reader(path)
    except sqlite3.Error as error:
        return str(error)
    try:
        (application,) = connection.execute("pragma application_id").fetchone()
        if application != APPLICATION_ID:
            return f"it is no spool file (application {application:#x})"
        (answer,) = connection.execute("pragma integrity_check(1)").fetchone()
        return None if answer == "ok" else str(answer)
    except (sqlite3.Error, OverflowError, UnicodeDecodeError) as error:
        return str(error)
    finally:
        connection.close()


def format_of(path: Path) -> int:
    """Return the format number in a file's header, 0 when it has no header of ours."""
    with path.open("rb") as file:
        header = file.read(100)
    ours = header[:16] == b"SQLite format 3\0" and header[68:72] == APPLICATION_ID.to_bytes(4, "big")
    return int.from_bytes(header[60:64], "big") if ours else 0


def name_of(prefix: str, ordinal: int) -> str:
    """Return the file name of a segment.

    >>> name_of("inbox-", 7)
    'inbox-00000007.db'
    """
    return f"{prefix}{ordinal:08d}.db"


def ordinal_of(name: str, prefix: str) -> int:
    """Return the number that a segment's file name holds."""
    return int(name.removeprefix(prefix).removesuffix(".db"))


def numbered(folder: Path, prefix: str) -> list[tuple[int, Path]]:
    """Return the segments of a folder with their numbers, oldest first."""
    return sorted((ordinal_of(path.name, prefix), path) for path in folder.glob(f"{prefix}{'[0-9]' * 8}.db"))
