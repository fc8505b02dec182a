"""Leases: one holder of a name at a time, over all processes of a database, ended by the server.

A lease is a session's advisory lock. It needs no clock and no renewal: a holder that is killed loses it with
its connection. A holder that lost the connection may not know yet, so what it protects must be safe without
it (a key, a writer's sequence): a lease saves work, it is no fence.
"""

import hashlib
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

from harness.log.connection import translated
from harness.log.queries import statements

_STATEMENTS = statements(Path(__file__).with_suffix(".sql"))


class Lease:
    """A name that this process holds, or not. A context manager; `held` says which.

    `channel`: notifications of that name are waited for on the lease's own connection.
    """

    def __init__(self, url: str, purpose: str, name: str, *, channel: str | None = None) -> None:
        with translated(f"the {purpose}'s database"):
            self._connection = psycopg.connect(url, autocommit=True, application_name=f"harness {purpose}")
            if channel is not None:
                self._connection.execute(sql.SQL("listen {}").format(sql.Identifier(channel)))
        self._purpose = purpose
        row = self._one("take", key=_key(purpose, name))
        self.held = bool(row[0])

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the name back, at once. Safe to call twice."""
        with suppress(psycopg.Error):  # a session that is lost has given it back
            # The server ends a session some time after it was closed: who asks next must not find it held.
            self._connection.execute(_STATEMENTS["give"])
        self._connection.close()

    def wait(self, seconds: float) -> bool:
        """Return whether a notification came before `seconds` were over.

        Raises:
            DatabaseUnavailable: the connection is lost, and the lease with it.
        """
        with translated(f"the {self._purpose}'s database"):
            return any(True for _hint in self._connection.notifies(timeout=seconds, stop_after=1))

    def _one(self, statement: str, **values: Any) -> tuple[Any, ...]:
        with translated(f"the {self._purpose}'s database"):
            row = self._connection.execute(_STATEMENTS[statement], values).fetchone()
        assert row is not None, "each statement answers with one row"
        return row


def is_held(url: str, purpose: str, name: str) -> bool:
    """Return whether some process holds the name now.

    Raises:
        DatabaseUnavailable, DatabaseRefused: see harness.errors.
    """
    with translated(f"the {purpose}'s database"), psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(_STATEMENTS["held"], {"key": _key(purpose, name)}).fetchone()
    return row is not None and bool(row[0])


def _key(purpose: str, name: str) -> int:
    text = f"harness.{purpose}/1:{name}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big", signed=True)
