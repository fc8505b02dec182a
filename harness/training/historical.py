"""The compatibility door: features of entities at instants, asked for as one asks a feature store."""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
import pyarrow as pa

from harness.errors import NotFound
from harness.log.log import Log
from harness.replay_errors import FeatureSetUnregistered, FeatureUnknown
from harness.training.borrowed import SERVED
from harness.training.source import digest_of
from recorders.columns import ARROW_TYPES
from recorders.fields import FeatureSet
from replay import as_of_join
from replay.columns import FEATURE
from replay.errors import EntitiesUnusable, RetypeFailed
from replay.frames import to_frame

EVENT_TIMESTAMP = "event_timestamp"


class Retrieval:
    """What was asked for, ready to be taken as a DataFrame or as an Arrow table.

    Rows are those of the entity table, in its order, all of its columns first, then one a feature. A feature
    is the value that was served last for the entity at its instant or before; null where there is none.
    """

    provenance = SERVED

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows

    def to_arrow(self) -> pa.Table:
        """Return the rows as an Arrow table."""
        return self._rows

    def to_df(self) -> pd.DataFrame:
        """Return the rows as a DataFrame."""
        return to_frame(self._rows.combine_chunks())


def get_historical_features(
    log: Log,
    entity_df: pd.DataFrame | pa.Table,
    features: Sequence[str],
    *,
    key: str = "unit",
    as_of: Any = None,
) -> Retrieval:
    """Return what was served for each entity at its `event_timestamp`, as known at `as_of`.

    `features` are `<decision point>:<feature>`, of one or more decision points. The entity table has a column
    `key` (the unit of the decisions, or a recorded feature of that name) and `event_timestamp` with a zone.
    Keys are compared in the type that was recorded (replay.as_of_keys); null, and NaN in pandas, is no key.
    Two decisions of one entity at one instant: the later position counts. Nothing is recomputed: a value that
    no decision saw is not there, and none is filled from elsewhere.

    Raises:
        EntitiesUnusable: a column is missing or there twice, a time is naive or missing, or the keys are of
            another type than the recorded ones and cannot be had in that.
        FeatureUnknown, NotFound: no such feature, no such decision point.
        RetypeFailed: a feature or key of several types, whose values do not all fit the last one.
    """
    entities = _checked(entity_df if isinstance(entity_df, pa.Table) else _table(entity_df))
    place = log.as_of(as_of)
    columns = {name: entities.column(name) for name in entities.schema.names}
    for point, wanted in _by_point(features).items():
        history = _History(log, point, key, place.position)
        values = history.schema(wanted)
        rows = as_of_join.newest_rows(
            entities, history.keys(), key=key, entity_time=EVENT_TIMESTAMP, history_time="occurred_at"
        )
        taken = [name for name in wanted if name in columns]
        if taken:
            raise EntitiesUnusable(
                f"The column {', '.join(taken)} is there twice.", "Expected features of other names."
            )
        columns |= as_of_join.gathered(history.pieces(values), rows, wanted, values.empty_table())
    return Retrieval(pa.table(columns))


def _table(entity_df: pd.DataFrame) -> pa.Table:
    """Return the entities as Arrow; the index is left out, as the rows keep their order."""
    try:
        found = pa.Table.from_pandas(entity_df, preserve_index=False)
    except (pa.ArrowException, ValueError) as error:
        what = error.args[-1] if error.args else error
        raise EntitiesUnusable(f"{what}.", "Expected columns of one type and one name each.") from error
    kind = found.schema.field(EVENT_TIMESTAMP).type if EVENT_TIMESTAMP in found.schema.names else None
    if kind is None or not pa.types.is_timestamp(kind) or kind.tz is None:
        raise EntitiesUnusable(
            f"The entity table has {EVENT_TIMESTAMP} of type {kind}.",
            "Expected instants with a zone: a naive time is another instant on another machine.",
        )
    return found


def _checked(entities: pa.Table) -> pa.Table:
    """Return the entities, each column once and an instant in each row."""
    names = entities.schema.names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise EntitiesUnusable(f"The column {', '.join(twice)} is there twice.", "Expected each once.")
    if EVENT_TIMESTAMP in names and (lacking := entities.column(EVENT_TIMESTAMP).null_count):
        raise EntitiesUnusable(
            f"{lacking:,} of {entities.num_rows:,} rows have no {EVENT_TIMESTAMP}.",
            "Expected an instant in each row.",
        )
    return entities


def _by_point(features: Sequence[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for reference in features:
        point, colon, name = reference.rpartition(":")
        if not colon or not point or not name:
            raise EntitiesUnusable(f"{reference!r} names no feature.", "Expected <decision point>:<feature>.")
        if name in found.setdefault(point, []):
            raise EntitiesUnusable(f"{reference!r} is asked for twice.", "Expected each feature once.")
        found[point].append(name)
    return found


class _History:
    """The decisions of a point up to a position, in order: keys in one pass, features in another."""

    def __init__(self, log: Log, point: str, key: str, position: int) -> None:
        self._log, self._point, self._key, self._stop = log, point, key, position + 1
        self._plain = "unit" if key == "unit" else FEATURE + key
        self._batches: list[pa.RecordBatch] = []
        self._sets: dict[str, FeatureSet] = {}
        known = log.feature_sets()
        for batch in self._read(["occurred_at", self._plain]):
            name = digest_of(batch)
            if name not in known:
                raise FeatureSetUnregistered(point, name, batch.num_rows)
            self._sets[name] = known[name]
            self._batches.append(batch)
        if not self._batches:
            points = {name for kind, name, *_ in log.rows("stats") if kind == "decision"}
            raise NotFound("decision point", point, points)

    def keys(self) -> pa.Table:
        """Return the key, in its recorded type, and the time of every decision.

        Raises:
            FeatureUnknown: the key is a feature that no feature set of the point has.
        """
        time = self._batches[0].schema.field("occurred_at").type
        kind = pa.string() if self._plain == self._key else self.schema([self._key]).field(0).type
        schema = pa.schema([(self._key, kind), ("occurred_at", time)])
        sources = {self._key: self._plain, "occurred_at": "occurred_at"}
        return pa.Table.from_batches([_alike(each, schema, sources) for each in self._batches], schema)

    def schema(self, wanted: Sequence[str]) -> pa.Schema:
        """Return the wanted features with their types.

        Raises:
            FeatureUnknown: no feature set of the point has one of them.
        """
        types = {each.name: ARROW_TYPES[each.type] for found in self._sets.values() for each in found.fields}
        unknown = [name for name in wanted if name not in types]
        if unknown:
            raise FeatureUnknown(unknown, types)
        return pa.schema([(name, types[name]) for name in wanted])

    def pieces(self, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
        """Yield the features of every decision, some at a time."""
        sources = {name: FEATURE + name for name in schema.names}
        for batch in self._read(list(sources.values())):
            yield _alike(batch, schema, sources)

    def _read(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return self._log.read(1, self._stop, kind="decision", decision_point=self._point, columns=columns)


def _cast(column: pa.Array, field: pa.Field) -> pa.Array:
    try:
        return column.cast(field.type)
    except pa.ArrowException as error:
        raise RetypeFailed(field.name, str(column.type), str(field.type), str(error)) from error


def _alike(batch: pa.RecordBatch, schema: pa.Schema, sources: dict[str, str]) -> pa.RecordBatch:
    """Return the columns of a schema, null where the batch has none."""
    arrays = []
    for field in schema:
        there = sources[field.name] in batch.schema.names
        column = batch.column(sources[field.name]) if there else pa.nulls(batch.num_rows, field.type)
        arrays.append(column if column.type == field.type else _cast(column, field))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
