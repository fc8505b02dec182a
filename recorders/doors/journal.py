"""Journal: halves that wait for each other, on disk before their sender is answered."""

import contextlib
import logging
import sqlite3
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from recorders.doors.pairing import Half

NAME: Final = "halves.db"
_SCHEMA: Final = "create table if not exists half (key text not null, side text not null, data blob not null)"
_INDEX: Final = "create unique index if not exists half_key on half (key, side)"
_logger = logging.getLogger("recorders.doors")


class Journal:
    """The halves of one folder. For one thread at a time.

    A file that cannot be read is put aside beside it, never emptied: `damaged` says so.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / NAME
        self.damaged = ""
        try:
            self._connection = self._open()
            self._found = self._load()
        except (sqlite3.DatabaseError, msgspec.DecodeError) as error:
            self.damaged = f"{NAME}.damaged-{time.time_ns()}"
            _logger.error("%s cannot be read (%s); it is kept as %s", self._path, error, self.damaged)  # noqa: TRY400
            self._path.rename(folder / self.damaged)
            for rest in ("-wal", "-shm"):
                (folder / (NAME + rest)).unlink(missing_ok=True)
            self._connection = self._open()
            self._found = []

    def take_over(self) -> list[Half]:
        """Return what an earlier process left waiting, once."""
        found, self._found = self._found, []
        return found

    def write(self, keep: Iterable[Half], forget: Iterable[str]) -> None:
        """Keep halves and forget keys, on disk when it returns.

        Raises:
            sqlite3.Error: the disk is full or fails; nothing was changed.
        """
        encode = msgspec.msgpack.encode
        connection = self._connection
        try:
            connection.execute("begin immediate")
            connection.executemany("delete from half where key = ?", ((key,) for key in forget))
            rows = ((half.key, half.side, encode(half)) for half in keep)
            connection.executemany("insert or replace into half values (?, ?, ?)", rows)
            connection.execute("commit")
        except sqlite3.Error:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("rollback")
            raise

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        self._connection.close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        connection.execute("pragma journal_size_limit = 4194304")
        connection.execute(_SCHEMA)
        connection.execute(_INDEX)
        return connection

    def _load(self) -> list[Half]:
        rows = self._connection.execute("select data from half order by rowid").fetchall()
        return [msgspec.msgpack.decode(data, type=Half) for (data,) in rows]
