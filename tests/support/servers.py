"""PostgreSQL servers for tests: the packaged 18 as a user gets it, and a 16 that plays the user's own."""

import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from harness.embedded import Embedded


@contextmanager
def embedded(*, synced: bool = False) -> Iterator[str]:
    """Yield the address of an embedded server in a folder of its own; `synced` as a user has it."""
    with _folder() as folder:
        server = Embedded(folder / ".harness")
        if not synced:
            _unsynced(server.url)
        try:
            yield server.url
        finally:
            server.close()


@contextmanager
def external() -> Iterator[str]:
    """Yield the address of a PostgreSQL 16 that asks for a password over TCP, as a shared server does."""
    with _folder() as folder:
        home = folder / ".harness"
        server = Embedded(home, major=16)
        password = secrets.token_hex(8)
        with psycopg.connect(server.url, autocommit=True) as connection:
            connection.execute(sql.SQL("alter role postgres password {}").format(password))
        server.close()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with (home / "postgres" / "postgresql.conf").open("a") as settings:
            settings.write("listen_addresses = '127.0.0.1'\n")
        with (home / "postgres" / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 127.0.0.1/32 scram-sha-256\n")
        server = Embedded(home, major=16, port=port)
        _unsynced(server.url)
        try:
            yield f"postgresql://postgres:{password}@127.0.0.1:{port}/harness"
        finally:
            server.close()


def _unsynced(url: str) -> None:
    """Let a server of tests not wait for the disk: no test cuts its power, and each makes databases.

    What outlives a kill is in the kernel's hands already. tests/process/test_embedded.py keeps the defaults.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("alter system set fsync = off")
        connection.execute("select pg_reload_conf()")


@contextmanager
def _folder() -> Iterator[Path]:
    # Not below pytest's own temporary folder: that is made private again by the next run of pytest.
    folder = Path(tempfile.mkdtemp(prefix="harness-test-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def with_database(url: str, name: str) -> str:
    """Return the address of another database on the same server."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def database_of(url: str) -> str:
    """Return the name of the database in an address."""
    return urlsplit(url).path.removeprefix("/")


def with_login(url: str, user: str, password: str) -> str:
    """Return the address as another user."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{user}:{password}@{host}").geturl()


@contextmanager
def fresh_database(url: str, template: str = "template0", *, encoding: str = "UTF8") -> Iterator[str]:
    """Yield the address of a new database on that server, dropped afterwards."""
    name = f"t_{secrets.token_hex(6)}"
    made = sql.SQL("create database {} template {} encoding {}").format(
        sql.Identifier(name), sql.Identifier(template), sql.Literal(encoding)
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(made)
    try:
        yield with_database(url, name)
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
