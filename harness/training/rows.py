"""The rows of a training set, from the log: read keys, match outcomes, choose; then stream the features."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import UnknownPosition
from harness.log.log import Log
from harness.replay_errors import EmptyTrainingSet, FeatureUnknown
from harness.training.borrowed import backfill_columns, born_columns, provenance
from harness.training.errors import LabelUnknown, WindowTooLong
from harness.training.source import KEEP_BYTES, KEYS_BYTES, Schemas, Source, keys_of, schemas_of
from harness.training.spec import Spec
from harness.training.weighing import weighing
from recorders.columns import OUTCOME_SCHEMA
from replay import evolution
from replay.columns import INSTANT, count_values, grouped, instants, mask_of
from replay.digest import CHUNK_ROWS
from replay.errors import ColumnsError
from replay.join import Codes, microseconds
from replay.matching import MICROSECOND, Decided, Flags, Latest
from replay.ranges import AsOf
from replay.splits import edges, parted
from replay.training import check_names, chosen, label_columns, selected, split_columns

# So many outcomes are matched at once: each time the ids of the range are hashed anew.
OUTCOME_ROWS = 2**20
_OUTCOMES = pa.schema(
    [
        pa.field("position", pa.int64(), nullable=False),
        pa.field("recorded_at", INSTANT, nullable=False),
        *OUTCOME_SCHEMA,
    ]
)


class Limits(msgspec.Struct, frozen=True):
    """What a build may hold: ranges up to `keep_bytes` whole, of longer ones keys up to `keys_bytes`."""

    keep_bytes: int = KEEP_BYTES
    keys_bytes: int = KEYS_BYTES


@dataclass(frozen=True)
class Rows:
    """The rows of a set, ready to be streamed, and the account of those that are none.

    `counts`: decisions in the range, then what each reason took of them; law: decisions == rows + the others.
    `more` is what only some specifications have: weights, folds, provenance.
    """

    spec: Spec
    as_of: AsOf
    size: int
    counts: dict[str, int]
    outcomes: dict[str, int]
    more: dict[str, Any]
    schemas: Schemas
    own: dict[str, pa.Array | pa.ChunkedArray]
    positions: pa.ChunkedArray
    codes: Codes
    used: Flags
    source: Source

    @property
    def schema(self) -> pa.Schema:
        """The columns: id, position and time, the features, then labels, split and weights."""
        types = self.schemas.mappings[self.schemas.chosen.digest].types
        served = [(name, types[name]) for name in self.schemas.features]
        own = [(name, column.type) for name, column in self.own.items()]
        return pa.schema([*own[:3], *served, *own[3:]])

    @property
    def splits(self) -> dict[str, int]:
        """How many rows are of each split."""
        return count_values(self.own["split"])

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows by position, CHUNK_ROWS at a time; each call reads the range again."""
        at, schema = 0, self.schema
        own = {name: _whole(column) for name, column in self.own.items()}
        for part in _chunks(self._features()):
            arrays = [
                own[name].slice(at, part.num_rows) if name in own else part.column(name)
                for name in schema.names
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)
            at += part.num_rows
        assert at == self.size, "the log gives the same rows twice"

    def table(self) -> pa.Table:
        """Return all rows at once; memory: the rows."""
        return pa.Table.from_batches(self.batches(), schema=self.schema)

    def _features(self) -> Iterator[pa.RecordBatch]:
        """Yield the served features of the used rows and their position, a stored batch at a time."""
        names, at = self.schemas.features, 0
        sources = [mapping.sources for mapping in self.schemas.mappings.values()]
        read = [column for each in sources for name in names if (column := each[name]) is not None]
        for batch in self.source.stream(list(dict.fromkeys(read))):
            used = self.used[at : at + batch.num_rows]
            at += batch.num_rows
            mapping = self.schemas.mapping(batch)
            if mapping is None or not used.any():
                continue
            arrays = [batch.column("position"), *evolution.columns(batch, names, mapping)]
            part = pa.RecordBatch.from_arrays(arrays, names=["position", *names])
            yield part if used.all() else part.filter(mask_of(used))


def cut_rows(
    log: Log, spec: Spec, as_of: AsOf, *, limits: Limits | None = None, backfill: pa.Table | None = None
) -> Rows:
    """Return the rows of `spec` as known at `as_of`; its features and feature set are filled in.

    Memory: the keys of the range's decisions, one chunk of rows, and small ranges whole.

    Raises:
        MixedFeatureSets, FeatureUnknown, UnknownPosition, LabelUnknown, WindowTooLong, EmptyTrainingSet,
        EvolutionUnresolved, MemoryReached, WeightsUnusable, TooFewEffective, UsageError: see there.
    """
    if spec.stop > as_of.position + 1:
        raise UnknownPosition(spec.stop - 1, as_of.position, cut=True)
    limits = limits or Limits()
    source = Source(log, spec, limits.keep_bytes, limits.keys_bytes).read()
    schemas = schemas_of(source)
    keys, foreign = keys_of(source, schemas)
    excluded = np.asarray(foreign, dtype=np.bool_) | _unwanted(keys, spec, schemas)
    occurred = instants(keys.column("occurred_at"), "occurred_at")
    decided = Decided(keys.column("decision_id"), occurred)
    latest = [(rule, Latest(decided, rule.window)) for rule in spec.labels]
    labels = _match(log, spec, as_of, latest)
    found = chosen(latest, excluded, as_of)
    weights = weighing(log, spec, as_of, keys, found)
    where = parted(spec.split, occurred, _or_null(keys, "unit"), keys.column("decision_id"))
    rows = weights.used & where.stays
    beside = "outside" if spec.split is not None and spec.split.by == "rolling" else "gap"
    counts = {**weights.counts, beside: int(np.count_nonzero(weights.used & ~where.stays))}
    if not rows.any():
        _explain(spec, as_of, occurred, counts, labels)
    borrowed = born_columns(log, spec, as_of, keys, rows) | backfill_columns(spec, backfill, keys, rows)
    weight_columns, weight_account = weights.columns(found, rows)
    own = (
        {name: keys.column(name).filter(mask_of(rows)) for name in ("decision_id", "position", "occurred_at")}
        | borrowed
        | label_columns(found, rows)
        | split_columns(where, rows)
        | weight_columns
    )
    check_names([*schemas.features, *borrowed], [name for name in own if name not in borrowed])
    ignored = sum(labels.values()) - sum(labels.get(rule.name, 0) for rule in spec.labels)
    return Rows(
        spec=msgspec.structs.replace(spec, features=schemas.features, feature_set=schemas.chosen.label),
        as_of=as_of,
        size=int(np.count_nonzero(rows)),
        counts=counts,
        outcomes={**found.outcomes, "other_label": ignored},
        more=weight_account | _folds(spec) | provenance(spec, schemas.features, borrowed),
        schemas=schemas,
        own=own,
        positions=keys.column("position"),
        codes=found.codes,
        used=rows,
        source=source,
    )


def _unwanted(keys: pa.Table, spec: Spec, schemas: Schemas) -> Flags:
    try:
        return ~np.asarray(selected(keys, spec.where), dtype=np.bool_)
    except ColumnsError as error:
        known = [*(each.name for each in schemas.chosen.fields), "unit", "model"]
        raise FeatureUnknown(spec.where, known) from error


def _match(log: Log, spec: Spec, as_of: AsOf, latest: list[tuple[Any, Latest]]) -> dict[str, int]:
    """Feed every outcome up to `as_of` to its label; return how many outcomes each label has."""
    counts: dict[str, int] = {}
    outcomes = log.read(1, as_of.position + 1, kind="outcome", decision_point=spec.decision_point)
    for part in grouped(outcomes, OUTCOME_ROWS):
        table = pa.Table.from_batches(part, schema=_OUTCOMES)
        names = table.column("label").cast(pa.large_string())
        for name, rows in count_values(names).items():
            counts[name] = counts.get(name, 0) + rows
        for rule, each in latest:
            each.update(table.filter(pc.equal(names, rule.name)))
    return counts


def _explain(spec: Spec, as_of: AsOf, occurred: Any, counts: dict[str, int], labels: dict[str, int]) -> None:
    """Raise what says best why there is no row."""
    for rule in spec.labels:
        if labels and rule.name not in labels and rule.immature != "censor":
            raise LabelUnknown(rule.name, labels, as_of.position)
        oldest = (microseconds(as_of) - int(occurred.min())) * MICROSECOND
        if oldest < rule.window and rule.immature == "exclude":
            raise WindowTooLong(rule.name, rule.window, max(oldest, timedelta(0)))
    raise EmptyTrainingSet(counts, ", ".join(rule.name for rule in spec.labels))


def _folds(spec: Spec) -> dict[str, Any]:
    if spec.split is None or spec.split.by != "rolling":
        return {}
    return {"folds": msgspec.to_builtins(edges(spec.split))}


def _or_null(keys: pa.Table, name: str) -> pa.ChunkedArray:
    if name in keys.schema.names:
        return keys.column(name)
    return pa.chunked_array([pa.nulls(keys.num_rows, pa.string())])


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield the same rows in batches of exactly CHUNK_ROWS, the last one shorter."""
    rest: list[pa.RecordBatch] = []
    for group in grouped(batches, CHUNK_ROWS):
        table = pa.Table.from_batches([*rest, *group]).combine_chunks()
        whole = table.num_rows - table.num_rows % CHUNK_ROWS
        yield from table.slice(0, whole).to_batches(max_chunksize=CHUNK_ROWS)
        rest = table.slice(whole).to_batches()
    if rest:
        yield pa.Table.from_batches(rest).combine_chunks().to_batches()[0]
