"""The rows of a training set, from the log: read keys, match outcomes, choose; then stream the features."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from harness.errors import UnknownPosition
from harness.log.log import Log
from harness.replay_errors import EmptyTrainingSet
from harness.training.borrowed import backfill_columns, born_columns, provenance
from harness.training.candidates import Candidates, candidates_of
from harness.training.errors import LabelUnknown, WindowTooLong
from harness.training.source import KEEP_BYTES, KEYS_BYTES, Schemas, Source
from harness.training.spec import Spec
from harness.training.weighing import weighing
from replay import evolution
from replay.columns import count_values, mask_of
from replay.digest import CHUNK_ROWS
from replay.join import Codes, microseconds
from replay.matching import MICROSECOND, Flags
from replay.ranges import AsOf
from replay.splits import edges
from replay.training import check_names, chosen, label_columns, split_columns


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
    candidates: Candidates
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

    def batches(self, first: int = 0, last: int | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows [first, last) by position, cut where the whole is: each CHUNK_ROWS.

        Each call reads that part of the range again.
        """
        at, last, schema = first, self.size if last is None else last, self.schema
        own = {name: _whole(column.slice(first, last - first)) for name, column in self.own.items()}
        for part in _chunks(self._features(first, last), first):
            arrays = [
                own[name].slice(at - first, part.num_rows) if name in own else part.column(name)
                for name in schema.names
            ]
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)
            at += part.num_rows
        assert at == last, "the log gives the same rows twice"

    def table(self) -> pa.Table:
        """Return all rows at once; memory: the rows."""
        return pa.Table.from_batches(self.batches(), schema=self.schema)

    def _features(self, first: int, last: int) -> Iterator[pa.RecordBatch]:
        """Yield the served features of the rows [first, last) and their position, as they are stored."""
        names, chosen_rows = self.schemas.features, np.flatnonzero(self.used)[first:last]
        if not chosen_rows.size:
            return
        sources = [mapping.sources for mapping in self.schemas.mappings.values()]
        read = [column for each in sources for name in names if (column := each[name]) is not None]
        at, end = int(chosen_rows[0]), int(chosen_rows[-1])
        places = self.candidates.keys.column("position")
        start, stop = places[at].as_py(), places[end].as_py() + 1
        for batch in self.source.stream(list(dict.fromkeys(read)), start, stop):
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
    candidates, schemas = candidates_of(source, as_of)
    return rows_of(source, as_of, candidates, schemas, backfill=backfill)


def rows_of(
    source: Source,
    as_of: AsOf,
    candidates: Candidates,
    schemas: Schemas,
    *,
    backfill: pa.Table | None = None,
) -> Rows:
    """Return the rows among the candidates, as known at `as_of`.

    Raises:
        LabelUnknown, WindowTooLong, EmptyTrainingSet, WeightsUnusable, TooFewEffective: see there.
    """
    log, spec, keys, labels = source.log, source.spec, candidates.keys, candidates.outcomes
    found = chosen(candidates.latest, candidates.excluded, as_of)
    weights = weighing(log, spec, as_of, keys, found)
    where = candidates.parted
    rows = weights.used & where.stays
    beside = "outside" if spec.split is not None and spec.split.by == "rolling" else "gap"
    counts = {**weights.counts, beside: int(np.count_nonzero(weights.used & ~where.stays))}
    if not rows.any():
        _explain(spec, as_of, candidates.decided.occurred_us, counts, labels)
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
        candidates=candidates,
        codes=found.codes,
        used=rows,
        source=source,
    )


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


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    if not isinstance(column, pa.ChunkedArray):
        return column
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)


def _chunks(batches: Iterable[pa.RecordBatch], first: int) -> Iterator[pa.RecordBatch]:
    """Yield the same rows, of which the first is number `first`, in batches that end at each CHUNK_ROWS."""
    rest: list[pa.RecordBatch] = []
    held, room = 0, CHUNK_ROWS - first % CHUNK_ROWS
    for batch in batches:
        rest.append(batch)
        held += batch.num_rows
        while held >= room:
            table = pa.Table.from_batches(rest)
            yield _whole_batch(table.slice(0, room))
            rest = table.slice(room).to_batches()
            held, room = held - room, CHUNK_ROWS
    if held:
        yield _whole_batch(pa.Table.from_batches(rest))


def _whole_batch(table: pa.Table) -> pa.RecordBatch:
    return table.combine_chunks().to_batches()[0]
