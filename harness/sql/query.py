"""One SELECT over one state of the log, in a DuckDB that can reach nothing else."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from threading import Lock
from types import TracebackType
from typing import Final, Self

import duckdb
import msgspec
import pyarrow as pa

from harness.errors import UsageError
from harness.memory import MIB, need
from harness.owned_folder import owned_folder
from harness.sql.engine import Engine, sandbox
from harness.sql.errors import QueryRefused, QueryTooLarge
from harness.sql.pieces import Source
from harness.sql.pruner import Scanned
from harness.sql.relation import Relation, Span, relations

MEMORY: Final = "1GB"
ROWS_PER_BATCH: Final = 65_536
_MEMORY: Final = re.compile(r"[1-9][0-9]{0,5} ?([MGT]i?B)")
_READING: Final = (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN)
_PLAIN: Final = re.compile(r"[a-z_]+")
_TOO_LARGE: Final = ("Out of Memory", "IO Error", "No space left")
# Address space, where it is limited. With less, DuckDB ended the process in native code.
_ROOM: Final = 192 * MIB
_SHOWN: Final = 24
_REASON: Final = 400


class Answer:
    """The rows of a query, as they come. A context manager, and an iterator of record batches: read it once.

    `span` are the positions that were asked: what is appended meanwhile is in no relation of the query.
    """

    def __init__(
        self, rows: pa.RecordBatchReader, asked: "_Asked", engine: "Engine", closing: ExitStack
    ) -> None:
        self.schema: pa.Schema = rows.schema
        self.span = asked.span
        self._rows: Iterator[pa.RecordBatch] = rows
        self._asked = asked
        self._engine = engine
        self._closing = closing

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows.

        Raises:
            QueryTooLarge, QueryRefused, SegmentError, StoreError: see there; what came before is right.
        """
        with self._asked.told():
            while (batch := self._engine.run(lambda: next(self._rows, None))) is not None:
                yield batch

    def to_arrow(self) -> pa.Table:
        """Return all rows, and close the query."""
        with self:
            return pa.Table.from_batches(list(self), schema=self.schema)

    @property
    def scanned(self) -> dict[str, Scanned]:
        """What was read of the log so far, by relation; those that the query does not name are left out."""
        return {name: one.scanned for name, one in self._asked.relations.items() if one.scanned != Scanned()}

    def close(self) -> None:
        """End the query and remove what it spilled. Safe to call twice."""
        self._rows = iter(())  # what is unread goes before its connection does
        self._closing.close()


class _Asked(msgspec.Struct, frozen=True):
    """What a query is asked of."""

    relations: Mapping[str, Relation]
    span: Span
    memory: str

    def watch(self, progress: Callable[[int], None]) -> None:
        """Tell `progress` the rows that all relations together have given."""
        lock, read = Lock(), 0

        def told(rows: int) -> None:
            nonlocal read
            with lock:
                read += rows
                progress(read)

        for relation in self.relations.values():
            relation.told = told

    @contextmanager
    def told(self) -> Iterator[None]:
        """Turn DuckDB's errors into ours while the block runs, and those of a scan into what they were."""
        try:
            yield
        except duckdb.InterruptException as error:
            raise KeyboardInterrupt from error
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            for relation in self.relations.values():
                if relation.failed is not None:
                    raise relation.failed from error
            text = str(error)
            if "INTERRUPT" in text:
                raise KeyboardInterrupt from error
            if any(word in text for word in _TOO_LARGE):
                raise QueryTooLarge(self.memory, _first(text)) from error
            raise QueryRefused(_first(text), self.known()) from error

    def known(self) -> str:
        """Return all relations with their columns, those that sort first."""
        parts = []
        for name, relation in self.relations.items():
            columns = [_quoted(column.name) for column in relation.columns]
            more = f", and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
            parts.append(f"{name} ({', '.join(columns[:_SHOWN])}{more})")
        return "; ".join(parts)


def query(
    source: Source,
    open_source: Callable[[], Source],
    text: str,
    *,
    span: Span,
    memory: str = MEMORY,
    progress: Callable[[int], None] | None = None,
) -> Answer:
    """Return the answer to one SELECT over the events at the positions of `span`.

    The relations are decisions, outcomes, scores and control. `memory` is what DuckDB may take before it
    spills into the temporary folder, such as 1GB; scans take some row groups beside it. SQL can read no file,
    no address, no variable of Python and no other database, and change no setting. `progress` is called with
    how many rows were read so far, by whichever thread reads.

    Raises:
        QueryRefused, UsageError: it is no such SELECT.
        QueryTooLarge, SegmentError, StoreError, DatabaseError: see there.
    """
    if not _MEMORY.fullmatch(memory):
        raise UsageError(
            f'"{memory}" is no amount of memory.', "Expected a number and MB, GB or TB.", "Write 1GB."
        )
    need(_ROOM, "the threads of a query")
    asked = _Asked(relations(source, open_source, span), span, memory)
    if progress is not None:
        asked.watch(progress)
    with ExitStack() as failing:
        folder = failing.enter_context(owned_folder("harness-query-"))
        connection = failing.enter_context(sandbox(str(folder), memory, asked.relations))
        engine = failing.enter_context(Engine(connection))
        with asked.told():
            _check(connection, text, asked)
            rows = engine.run(lambda: connection.sql(text).to_arrow_reader(ROWS_PER_BATCH))
        return Answer(rows, asked, engine, failing.pop_all())


def _check(connection: duckdb.DuckDBPyConnection, text: str, asked: _Asked) -> None:
    """Refuse all but one statement that reads."""
    statements = connection.extract_statements(text)
    kinds = [statement.type for statement in statements]
    if len(kinds) != 1 or kinds[0] not in _READING:
        said = " and ".join(kind.name for kind in kinds) or "nothing"
        raise QueryRefused(f"it is {said}", asked.known())


def _first(text: str) -> str:
    """Return what an error of DuckDB says, without its class and its picture of the query."""
    lines = [line.strip() for line in text.partition("\n\nLINE ")[0].splitlines()]
    said = " ".join(line for line in lines if line).rstrip(".!?") or "it has no reason"
    return said if len(said) <= _REASON else f"{said[:_REASON]}..."


def _quoted(name: str) -> str:
    return name if _PLAIN.fullmatch(name) else f'"{name}"'
