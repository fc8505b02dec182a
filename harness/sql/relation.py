"""The relations: what DuckDB scans instead of a table, a column and a row group at a time."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow import acero

from harness.log.draft import CONTROL_SCHEMA, body_text
from harness.log.predicate import Wanted
from harness.sql.columns import (
    ADDED,
    Column,
    decision_columns,
    fixed,
    plain,
    schema_of,
    served_schema,
    shaped,
)
from harness.sql.pieces import Source, pieces
from harness.sql.pruner import Pruner, Scanned
from recorders.errors import HarnessError

Span = tuple[int, int]
Scan = Callable[[Sequence[Column], Pruner], Iterator[pa.RecordBatch]]
# Each relation and the kind of its events.
KINDS: Final = {"decisions": "decision", "outcomes": "outcome", "scores": "score", "control": "control"}
_ROWS: Final = 5_000


class Relation(ds.Dataset):  # type: ignore[misc]  # pyarrow ships no types
    """A relation that DuckDB takes for a dataset: it asks for columns and conditions, and gets a stream.

    `failed` is what ended a stream: DuckDB itself has no more of it than its text. `told` is called with the
    rows of each batch that was read, on DuckDB's threads: of such a stream it knows no progress itself.
    """

    def __init__(self, columns: Sequence[Column], scan: Scan) -> None:
        self.columns = columns
        self.scanned = Scanned()
        self.failed: Exception | None = None
        self.told: Callable[[int], None] = lambda _: None
        self._scan = scan

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        return schema_of(self.columns)

    def scanner(
        self,
        columns: Sequence[str] | None = None,
        filter: pc.Expression | None = None,  # noqa: A002 - Arrow's word
        **_rest: Any,
    ) -> "Stream":
        """Return the rows that meet `filter`, with these columns."""
        by_name = {column.name: column for column in self.columns}
        names = list(by_name) if columns is None else columns
        return Stream(schema_of([by_name[name] for name in names]), self._rows(names, filter))

    def _rows(self, names: Sequence[str], condition: pc.Expression | None) -> Iterator[pa.RecordBatch]:
        pruner = Pruner(condition, self.columns, self.scanned)
        needed = {*names, *(column.name for column in pruner.mentioned)}
        try:
            for batch in self._scan([column for column in self.columns if column.name in needed], pruner):
                self.told(batch.num_rows)
                table = pa.Table.from_batches([batch])
                if condition is not None:
                    table = _meeting(condition, table)
                self.scanned.rows += table.num_rows
                yield from table.select(names).to_batches()
        except (HarnessError, MemoryError, RuntimeError) as error:  # the last: a thread that cannot start
            self.failed = error
            raise


def _meeting(condition: pc.Expression, table: pa.Table) -> pa.Table:
    """Return the rows that meet a condition.

    `Table.filter` asks threads of Arrow, which give the rows back when they come to it (docs/adr/0110).
    """
    rows = acero.Declaration("table_source", acero.TableSourceNodeOptions(table))
    met = acero.Declaration("filter", acero.FilterNodeOptions(condition), inputs=[rows])
    return met.to_table(use_threads=False)


class Stream:
    """What DuckDB makes of a scan."""

    def __init__(self, schema: pa.Schema, rows: Iterator[pa.RecordBatch]) -> None:
        self.projected_schema = schema
        self._rows = rows

    def to_reader(self) -> pa.RecordBatchReader:
        """Return the rows, each batch made when it is asked for."""
        return pa.RecordBatchReader.from_batches(self.projected_schema, self._rows)


def relations(
    source: Source, open_source: Callable[[], Source], span: Span, decision_point: str | None = None
) -> dict[str, Relation]:
    """Return every relation over the positions of `span`, by name. Each scan opens a source of its own.

    With a decision point, decisions have the features that were recorded there alone.
    """

    def events(kind: str, columns: list[Column]) -> Relation:
        return Relation(columns, lambda asked, pruner: _events(open_source, kind, span, asked, pruner))

    return {
        "decisions": events("decision", decision_columns(_schemas(source, span, decision_point))),
        "outcomes": events("outcome", fixed("outcome")),
        "scores": events("score", fixed("score")),
        "control": Relation(plain(CONTROL_SCHEMA), lambda asked, _: _controls(open_source, span, asked)),
    }


def _schemas(source: Source, span: Span, decision_point: str | None) -> Iterator[pa.Schema]:
    """Yield the columns of every schema that decisions of the range have, in order of its first event."""
    known = source.feature_sets()
    rows = source.rows("first_of_schemas", start=span[0], stop=span[1], decision_point=decision_point)
    for digest, first in rows:
        if digest in known:
            yield served_schema(known[digest])
        else:  # nobody registered it: its events say what they have
            place = max(first, span[0])
            yield next(iter(source.scan(place, place + 1, Wanted("decision")))).schema


def _events(
    open_source: Callable[[], Source], kind: str, span: Span, asked: Sequence[Column], pruner: Pruner
) -> Iterator[pa.RecordBatch]:
    source = open_source()
    try:
        names = tuple(dict.fromkeys(column.source for column in asked if column.source not in ADDED))
        for piece in pieces(source, kind, span, pruner):
            wanted = Wanted(kind, piece.decision_point, names, skips=pruner)
            for batch in source.scan(piece.start, piece.stop, wanted):
                yield shaped(batch, asked, piece.decision_point)
    finally:
        source.close()


def _controls(
    open_source: Callable[[], Source], span: Span, asked: Sequence[Column]
) -> Iterator[pa.RecordBatch]:
    source = open_source()
    try:
        events = [event for event in source.controls(up_to=span[1] - 1) if event.position >= span[0]]
        for at in range(0, len(events), _ROWS):
            rows = events[at : at + _ROWS]
            columns = {
                column.name: [_cell(getattr(event, column.name)) for event in rows] for column in asked
            }
            yield pa.RecordBatch.from_pydict(columns, schema=schema_of(asked))
    finally:
        source.close()


def _cell(value: Any) -> Any:
    return body_text(value) if isinstance(value, dict) else value
