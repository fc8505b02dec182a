"""Backups of a log: of its database, as a copy or a dump on the same server; of a whole server's folder."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from harness.embedded import Embedded
from harness.embedded_account import binaries
from harness.log.log import Log
from tests.support import servers

Step = Callable[[], None]


@contextmanager
def restorable(log: Log) -> Iterator[tuple[Step, Step]]:
    """Yield functions that take a backup of the log's database and put it back in its place.

    The backup stays: it can be put back again.
    """
    name = servers.database_of(log.url)
    home = servers.with_database(log.url, "postgres")
    backup = f"{name}_backup"

    def run(*texts: str) -> None:
        with psycopg.connect(home, autocommit=True) as connection:
            for text in texts:
                connection.execute(
                    sql.SQL(text).format(  # type: ignore[arg-type]  # a test's own text
                        name=sql.Identifier(name), backup=sql.Identifier(backup), text=name
                    )
                )

    away = "select pg_terminate_backend(pid) from pg_stat_activity where datname = {text}"

    def take() -> None:
        run(away, "drop database if exists {backup}", "create database {backup} template {name}")

    def restore() -> None:
        run(away, "drop database {name} with (force)", "create database {name} template {backup}")

    try:
        yield take, restore
    finally:
        run("drop database if exists {backup}")


@contextmanager
def dumped(log: Log, folder: Path) -> Iterator[tuple[Step, Step]]:
    """Yield the same steps by `pg_dump` and `pg_restore`: what is put back was made anew, row by row."""
    name, dump = servers.database_of(log.url), folder / "log.dump"
    home = servers.with_database(log.url, "postgres")

    def call(program: str, *arguments: str) -> None:
        subprocess.run([str(binaries() / program), *arguments], check=True, capture_output=True)

    def take() -> None:
        call("pg_dump", "--format=custom", f"--file={dump}", f"--dbname={log.url}")

    def restore() -> None:
        with psycopg.connect(home, autocommit=True) as connection:
            for text in ("drop database {} with (force)", "create database {} template template0"):
                connection.execute(sql.SQL(text).format(sql.Identifier(name)))  # type: ignore[arg-type]  # our text
        call("pg_restore", "--exit-on-error", f"--dbname={log.url}", str(dump))

    yield take, restore


def base_backup(server: Embedded, target: Path) -> None:
    """Copy a running server's folder as `pg_basebackup` does."""
    command = [str(binaries() / "pg_basebackup"), "-D", str(target), "-d", server.url, "-c", "fast"]
    subprocess.run(command, check=True, capture_output=True)


def put_back(server: Embedded, backup: Path) -> None:
    """Stop the server, lose its disk, and put the backup in its place."""
    owner = server.data.stat()
    server.close()
    shutil.rmtree(server.data)
    shutil.copytree(backup, server.data)
    for path in (server.data, *server.data.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    server.data.chmod(0o700)
