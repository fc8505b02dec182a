"""DuckDB as queries use it: shut in, and stopped by a signal at any moment."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import duckdb

from harness.sql.relation import Relation

T = TypeVar("T")
_AGAIN_S: Final = 0.1
# In this order: once the configuration is locked, nothing that the query says can open anything.
_LOCKS: Final = (
    "set timezone = 'UTC'",
    "set enable_external_access = false",
    "set lock_configuration = true",
)


@contextmanager
def sandbox(folder: str, memory: str, made: Mapping[str, Relation]) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a DuckDB in memory that has these relations and nothing else. It spills into `folder`."""
    settings: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": memory,
        "temp_directory": folder,
        "python_enable_replacements": False,
        "autoload_known_extensions": False,
        "autoinstall_known_extensions": False,
    }
    with duckdb.connect(":memory:", config=settings) as connection:
        for name, relation in made.items():
            connection.register(name, relation)
        for statement in _LOCKS:
            connection.execute(statement)
        yield connection


class Engine:
    """Runs a connection's work on a thread, so that the one who waits hears signals. A context manager."""

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._pool = ThreadPoolExecutor(1, "harness-query")
        self._work: Future[Any] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # DuckDB forgets an interrupt that comes before the query runs, so it is told until it has ended.
        while self._work is not None and not self._work.done():
            self._connection.interrupt()
            wait([self._work], _AGAIN_S)
        self._pool.shutdown()

    def run(self, work: Callable[[], T]) -> T:
        """Return what `work` returns. What ends the wait, such as Ctrl-C, ends the work too."""
        submitted = self._pool.submit(work)
        self._work = submitted
        return submitted.result()
