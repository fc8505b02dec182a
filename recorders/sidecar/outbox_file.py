"""The file that an outbox writes: whole transactions, and another file when it is large."""

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from recorders.sidecar import segment
from recorders.sidecar.records import File, Identity, State, Witness
from recorders.sidecar.recovery import OUTBOX

SQL: Final = segment.statements(Path(__file__).with_name("outbox.sql"))


class Contents(NamedTuple):
    """What one transaction writes: how the outbox stands after it, and what is new."""

    state: State
    rows: Iterable[tuple[Any, ...]] = ()
    identities: Iterable[Identity] = ()
    receipts: Iterable[Witness] = ()
    files: Iterable[File] = ()
    settled: Iterable[str] = ()


class OutboxFile:
    """The newest file of the outbox in `folder`. For one thread. It is there from the first `begin` on."""

    def __init__(self, folder: Path, segment_bytes: int) -> None:
        self.number = 0
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._born_bytes = 0
        self._connection: sqlite3.Connection | None = None

    @property
    def connection(self) -> sqlite3.Connection:
        """The one connection that writes."""
        assert self._connection is not None, "the outbox is open"
        return self._connection

    @property
    def large(self) -> bool:
        """Whether the next batch belongs into another file."""
        return segment.bytes_of(self._path(self.number)) - self._born_bytes >= self._segment_bytes

    def begin(self, number: int, contents: Contents) -> None:
        """Begin file `number`, which holds all of `contents`, and write to it from now on.

        Raises:
            OSError, sqlite3.Error: the disk refuses; the file before it goes on.
        """

        def fill(connection: sqlite3.Connection) -> None:
            for statement in SQL["tables"].split(";"):
                connection.execute(statement)
            _write(connection, contents)

        opened = segment.create(self._path(number), fill, "power")
        before, self._connection, self.number = self._connection, opened, number
        self._born_bytes = segment.bytes_of(self._path(number))
        if before is not None:
            with contextlib.suppress(sqlite3.Error):
                before.close()

    def write(self, contents: Contents, *, durable: bool) -> None:
        """Write in one transaction, which a power cut may forget unless it is `durable`.

        Raises:
            sqlite3.Error: the disk refuses; nothing changed.
        """
        with self._transaction(durable=durable) as connection:
            _write(connection, contents)

    def close(self) -> None:
        """Close the file. Safe to call twice."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()

    def _path(self, number: int) -> Path:
        return self._folder / segment.name_of(OUTBOX, number)

    @contextlib.contextmanager
    def _transaction(self, *, durable: bool) -> Iterator[sqlite3.Connection]:
        connection = self.connection
        connection.execute(f"pragma synchronous = {'FULL' if durable else 'NORMAL'}")
        connection.execute("begin immediate")
        try:
            yield connection
            connection.execute("commit")
        finally:
            if connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("rollback")


def _write(connection: sqlite3.Connection, contents: Contents) -> None:
    # Rows first: what a generator of them counts is in the state and the identities behind it.
    connection.executemany(SQL["insert_batch"], contents.rows)
    connection.execute(SQL["put_state"], msgspec.structs.astuple(contents.state))
    connection.executemany(SQL["put_identity"], [msgspec.structs.astuple(i) for i in contents.identities])
    connection.executemany(SQL["put_receipt"], contents.receipts)
    connection.executemany(SQL["put_file"], [msgspec.structs.astuple(file) for file in contents.files])
    connection.executemany(SQL["put_settled"], [(name,) for name in contents.settled])
