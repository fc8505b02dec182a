"""Journal: halves that wait for each other, on disk before their sender is answered."""

import contextlib
import logging
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from recorders.doors.pairing import Half

NAME: Final = "halves.db"
# What is gone is dropped when the file has grown by so much, and by as much as it holds.
REWRITE_BYTES: Final = 16 * 2**20
# A commit writes whole pages and sums up their bytes; few commits hold more than three of these.
_SCHEMA: Final = """
pragma page_size = 4096; pragma journal_mode = wal; pragma synchronous = full;
pragma wal_autocheckpoint = 1024; pragma journal_size_limit = 4194304;
create table if not exists part (id integer primary key, gone blob not null, kept blob not null);
"""
_encode = msgspec.msgpack.Encoder().encode
_logger = logging.getLogger("recorders.doors")


class Journal:
    """The halves of one folder. For one thread at a time.

    A row is one write: first the keys that are forgotten by it, then the halves that it keeps. A row for each
    half cost a search in an index and a change of threads for each of them. The rows become one of what waits
    when they have doubled.

    A file that cannot be read is put aside beside it, never emptied: `damaged` says so.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / NAME
        self._waiting: dict[str, Half] = {}
        self._bytes = self._least = 0
        self.damaged = ""
        try:
            self._connection = self._open()
        except (sqlite3.DatabaseError, msgspec.DecodeError) as error:
            self.damaged = f"{NAME}.damaged-{time.time_ns()}"
            _logger.error("%s cannot be read (%s); it is kept as %s", self._path, error, self.damaged)  # noqa: TRY400
            self._path.rename(folder / self.damaged)
            for rest in ("-wal", "-shm"):
                (folder / (NAME + rest)).unlink(missing_ok=True)
            self._waiting = {}
            self._connection = self._open()

    def take_over(self) -> list[Half]:
        """Return what waits: what an earlier process left, as long as nothing was written since."""
        return list(self._waiting.values())

    def write(self, keep: Sequence[Half], forget: Sequence[str]) -> None:
        """Forget keys and keep halves, on disk when it returns.

        Raises:
            sqlite3.Error: the disk is full or fails; nothing was changed.
        """
        data = _encode(forget), _encode(keep)
        size = len(data[0]) + len(data[1])
        if self._bytes + size < 2 * self._least + REWRITE_BYTES:
            self._insert(data, alone=False)
            self._bytes += size
            self._apply(forget, keep)
            return
        before = self._waiting.copy()
        self._apply(forget, keep)
        data = _encode([]), _encode(list(self._waiting.values()))
        try:
            self._insert(data, alone=True)
        except sqlite3.Error:
            self._waiting = before
            raise
        self._bytes = self._least = len(data[1])

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self._connection.close()

    def _apply(self, gone: Sequence[str], kept: Sequence[Half]) -> None:
        for key in gone:
            self._waiting.pop(key, None)
        for half in kept:
            self._waiting[half.key] = half

    def _insert(self, data: tuple[bytes, bytes], *, alone: bool) -> None:
        connection = self._connection
        try:
            connection.execute("begin immediate")
            if alone:
                connection.execute("delete from part")
            connection.execute("insert into part (gone, kept) values (?, ?)", data)
            connection.execute("commit")
        except sqlite3.Error:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("rollback")
            raise

    def _open(self) -> sqlite3.Connection:
        """Return the connection to the file, whose halves are read. One that fails is closed before."""
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            connection.executescript(_SCHEMA)
            self._load(connection)
        except (sqlite3.DatabaseError, msgspec.DecodeError):
            connection.close()
            raise
        return connection

    def _load(self, connection: sqlite3.Connection) -> None:
        for gone, kept in connection.execute("select gone, kept from part order by id"):
            self._bytes += len(gone) + len(kept)
            self._apply(
                msgspec.msgpack.decode(gone, type=list[str]), msgspec.msgpack.decode(kept, type=list[Half])
            )
