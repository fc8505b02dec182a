"""Backups of a log's database: a copy on the same server, put back in its place."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

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
