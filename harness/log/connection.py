"""One way to connect, and one place where the driver's errors become ours."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import TupleRow

from harness.config import shown_url
from harness.errors import DatabaseReadOnly, DatabaseRefused, DatabaseUnavailable, EncodingUnusable, NotALog
from recorders.append import SESSION

# Before a session stands, libpq hands out a text and no SQLSTATE.
REFUSALS = (
    "authentication failed",
    "does not exist",
    "pg_hba.conf",
    "no password supplied",
    "not permitted to log in",
)


class Connection:
    """An autocommit connection that reconnects: each statement is a short snapshot of its own."""

    def __init__(self, url: str, role: str | None = None) -> None:
        self.url = url
        self._role = role
        self._open: psycopg.Connection[TupleRow] | None = None

    @cached_property
    def address(self) -> str:
        """The address without its password."""
        return shown_url(self.url)

    def rows(self, statement: str, **values: Any) -> list[TupleRow]:
        """Return all rows of one statement, read in binary.

        Raises:
            DatabaseUnavailable, DatabaseRefused, DatabaseReadOnly, NotALog: see harness.errors.
        """
        with translated(self.address):
            if self._open is None or self._open.closed:
                self._open = self._connect()
            with self._open.cursor(binary=True) as cursor:
                return cursor.execute(statement, values).fetchall()

    def row(self, statement: str, **values: Any) -> TupleRow:
        """Return the only row of a statement that has one.

        Raises:
            NotALog: there is none: the schema stands, and no log was created in it.
        """
        found = self.rows(statement, **values)
        if not found:
            raise NotALog(self.address, "its tables are empty")
        return found[0]

    def close(self) -> None:
        """Give the connection back. A later statement opens another."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _connect(self) -> psycopg.Connection[TupleRow]:
        opened = psycopg.connect(self.url, autocommit=True, application_name="harness", **SESSION)
        opened.execute("set time zone 'UTC'")
        if self._role is not None:
            opened.execute(sql.SQL("set role {}").format(sql.Identifier(self._role)))
        return opened


@contextmanager
def translated(address: str, rights: str = "") -> Iterator[None]:
    """Turn the driver's errors into ours while the block runs; a refusal says that it needs `rights`."""
    try:
        yield
    except (
        psycopg.errors.UndefinedTable,
        psycopg.errors.InvalidSchemaName,
        psycopg.errors.UndefinedFunction,
    ) as error:
        raise NotALog(address, _reason(error)) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise DatabaseRefused(address, _reason(error), rights) from error
    except psycopg.errors.UntranslatableCharacter as error:
        raise EncodingUnusable(address, _reason(error)) from error
    except psycopg.errors.ReadOnlySqlTransaction as error:
        raise DatabaseReadOnly(address, _reason(error)) from error
    except psycopg.errors.LockNotAvailable:
        raise  # a statement that would not wait: its caller knows what for
    except psycopg.OperationalError as error:
        if (error.sqlstate or "").startswith("HA"):
            raise  # a refusal of our own functions, with its values in the detail
        if any(text in str(error) for text in REFUSALS):
            raise DatabaseRefused(address, _reason(error), rights) from error
        raise DatabaseUnavailable(address, _reason(error)) from error


def _reason(error: psycopg.Error) -> str:
    """Return the first reason: libpq asks back, and repeats itself for each address, on the lines below."""
    text = (error.diag.message_primary or str(error)).strip()
    first = text.partition("\n")[0].rpartition("failed: ")[2]
    return first.removeprefix("FATAL:").strip().rstrip(".") or type(error).__name__
