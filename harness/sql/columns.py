"""The columns of each relation, whichever schemas its events were recorded with."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
import pyarrow as pa

from harness.log.payload import POSITION, RECORDED_AT
from recorders.columns import ARROW_TYPES, DECISION_ENVELOPE, OUTCOME_SCHEMA, SCORE_SCHEMA, STATUSES
from recorders.errors import CorruptBatch
from recorders.fields import FeatureSet

DECISION_POINT: Final = "decision_point"
FEATURE_SET: Final = "feature_set"
# What is not in the rows of the log: it is said of a whole batch.
ADDED: Final = (DECISION_POINT, FEATURE_SET)
FEATURE: Final = "f."


class Column(msgspec.Struct, frozen=True):
    """A column of a relation: its name there, its name in the log, its type."""

    name: str
    source: str
    type: pa.DataType


def plain(schema: pa.Schema) -> list[Column]:
    """Return the columns of a relation that has those of `schema`."""
    return [Column(field.name, field.name, field.type) for field in schema]


def fixed(kind: str) -> list[Column]:
    """Return the columns of outcomes or scores."""
    schema = OUTCOME_SCHEMA if kind == "outcome" else SCORE_SCHEMA
    point = pa.field(DECISION_POINT, pa.string())
    return plain(pa.schema([POSITION, RECORDED_AT, point, *schema]))


def decision_columns(schemas: Iterable[pa.Schema]) -> list[Column]:
    """Return the columns of decisions: the envelope, the features of all schemas, their statuses.

    A feature that has one type has its own name. One that was recorded with several has a column for each,
    `f.amount:int64` and `f.amount:string`, and each row has its value in one of them: none is changed.

    >>> one, other = pa.schema([("f.a", pa.int64())]), pa.schema([("f.a", pa.string())])
    >>> [column.name for column in decision_columns([one, other])][-3:]
    ['f.a:int64', 'f.a:string', 'statuses']
    """
    types: dict[str, dict[pa.DataType, None]] = {}
    for schema in schemas:
        for field in schema:
            if field.name.startswith(FEATURE):
                types.setdefault(field.name, {})[field.type] = None
    added = [pa.field(name, pa.string()) for name in ADDED]
    columns = plain(pa.schema([POSITION, RECORDED_AT, *added, *DECISION_ENVELOPE]))
    taken = {column.name for column in columns}
    for name, found in types.items():
        for type_ in found:
            shown = name if len(found) == 1 else f"{name}:{_WORDS[type_]}"
            columns.append(Column(_free(shown, taken), name, type_))
    return [*columns, Column("statuses", "statuses", STATUSES)]


def _free(name: str, taken: set[str]) -> str:
    """Return a name that nothing has; SQL does not tell capitals from small letters."""
    free, number = name, 1
    while free.lower() in taken:
        number += 1
        free = f"{name}:{number}"
    taken.add(free.lower())
    return free


_WORDS: Final = {type_: word for word, type_ in ARROW_TYPES.items() if word != "category"}


def served_schema(feature_set: FeatureSet) -> pa.Schema:
    """Return the columns of the features as they are read: those that are kept encrypted are there too."""
    return pa.schema([(f"{FEATURE}{field.name}", ARROW_TYPES[field.type]) for field in feature_set.fields])


def shaped(batch: pa.RecordBatch, columns: Sequence[Column], decision_point: str) -> pa.RecordBatch:
    """Return the rows of a batch with exactly these columns; what it does not have is null.

    Raises:
        CorruptBatch: a column of the envelope is of another type.
    """
    marks = batch.schema.metadata or {}
    said = {DECISION_POINT: decision_point, FEATURE_SET: (marks.get(b"feature_set") or b"").decode() or None}
    arrays = [_shaped(batch, column, said) for column in columns]
    return pa.RecordBatch.from_arrays(arrays, schema=schema_of(columns))


def schema_of(columns: Sequence[Column]) -> pa.Schema:
    """Return the Arrow schema of columns."""
    return pa.schema([(column.name, column.type) for column in columns])


def _shaped(batch: pa.RecordBatch, column: Column, said: dict[str, str | None]) -> pa.Array:
    if column.source in said:
        return pa.repeat(pa.scalar(said[column.source], column.type), batch.num_rows)
    if column.source not in batch.schema.names:
        return pa.nulls(batch.num_rows, column.type)
    found = batch.column(column.source)
    if found.type == column.type:
        return found
    if not column.source.startswith(FEATURE):
        what = f"its column {column.source} is of type {found.type}, not {column.type}"
        raise CorruptBatch(what, position=batch.column("position")[0].as_py())
    return pa.nulls(batch.num_rows, column.type)
