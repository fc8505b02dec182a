"""The rows of a training set, from the log: read keys, match outcomes, choose; then stream the features."""

from collections.abc import Callable, Iterator
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
from harness.training.stream import Own, Stream
from harness.training.weighing import weighing
from replay.columns import count_values, mask_of
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
class Outline:
    """What a set is, and the account of the decisions that are no rows of it.

    `counts`: decisions in the range, then what each reason took of them; law: decisions == rows + the others.
    `more` is what only some specifications have: weights, folds, provenance.
    """

    spec: Spec
    as_of: AsOf
    size: int
    counts: dict[str, int]
    outcomes: dict[str, int]
    splits: dict[str, int]
    more: dict[str, Any]
    schemas: Schemas
    schema: pa.Schema


@dataclass(frozen=True)
class Rows(Outline):
    """The rows of a set, ready to be streamed."""

    stream: Stream
    candidates: Candidates
    codes: Codes
    used: Flags

    @property
    def own(self) -> Own:
        """All columns but the served features."""
        return self.stream.own

    def batches(self, first: int = 0, last: int | None = None) -> Iterator[pa.RecordBatch]:
        """Yield the rows [first, last) by position: see `Stream.batches`."""
        return self.stream.batches(first, self.size if last is None else last)

    def table(self) -> pa.Table:
        """Return all rows at once; memory: the rows."""
        return pa.Table.from_batches(self.batches(), schema=self.schema)


def cut_rows(
    log: Log,
    spec: Spec,
    as_of: AsOf,
    *,
    limits: Limits | None = None,
    backfill: pa.Table | None = None,
    progress: Callable[[int], None] | None = None,
) -> Rows:
    """Return the rows of `spec` as known at `as_of`; its features and feature set are filled in.

    `progress` is called with how many positions were read: each is read for its keys, then for its features.

    Memory: the keys of the range's decisions, one chunk of rows, and small ranges whole.

    Raises:
        MixedFeatureSets, FeatureUnknown, UnknownPosition, LabelUnknown, WindowTooLong, EmptyTrainingSet,
        EvolutionUnresolved, MemoryReached, WeightsUnusable, TooFewEffective, UsageError: see there.
    """
    if spec.stop > as_of.position + 1:
        raise UnknownPosition(spec.stop - 1, as_of.position, cut=True)
    limits = limits or Limits()
    source = Source(log, spec, limits.keep_bytes, limits.keys_bytes, progress=progress).read()
    candidates, schemas = candidates_of(source, as_of)
    found = judged(log, resolved(spec, schemas), as_of, candidates, backfill=backfill)
    return rows_of(source, as_of, candidates, schemas, found)


@dataclass(frozen=True, slots=True)
class Judged:
    """Which candidates are rows, their own columns, and the account of all the others."""

    codes: Codes
    used: Flags
    own: Own
    borrowed: tuple[str, ...]
    counts: dict[str, int]
    outcomes: dict[str, int]
    more: dict[str, Any]

    @property
    def size(self) -> int:
        """How many rows there are."""
        return int(np.count_nonzero(self.used))

    @property
    def splits(self) -> dict[str, int]:
        """How many rows each part of the split has."""
        return count_values(self.own["split"])


def judged(
    log: Log,
    spec: Spec,
    as_of: AsOf,
    candidates: Candidates,
    *,
    backfill: pa.Table | None = None,
    alone: bool = True,
) -> Judged:
    """Return which candidates are rows as known at `as_of`; `alone`, when there are no others in the set.

    Raises:
        LabelUnknown, WindowTooLong, EmptyTrainingSet, WeightsUnusable, TooFewEffective: see there.
    """
    keys, labels = candidates.keys, candidates.outcomes
    found = chosen(candidates.latest, candidates.excluded, as_of)
    weights = weighing(log, spec, as_of, keys, found)
    where = candidates.parted
    rows = weights.used & where.stays
    counts = {**weights.counts, beside(spec): int(np.count_nonzero(weights.used & ~where.stays))}
    if alone and not rows.any():
        explain(spec, as_of, int(candidates.decided.occurred_us.min()), counts, labels)
    borrowed = born_columns(log, spec, as_of, keys, rows) | backfill_columns(spec, backfill, keys, rows)
    weight_columns, weight_account = weights.columns(found, rows)
    own = (
        {name: keys.column(name).filter(mask_of(rows)) for name in ("decision_id", "position", "occurred_at")}
        | borrowed
        | label_columns(found, rows)
        | split_columns(where, rows)
        | weight_columns
    )
    return Judged(
        codes=found.codes,
        used=rows,
        own=own,
        borrowed=tuple(borrowed),
        counts=counts,
        outcomes={**found.outcomes, "other_label": other_labels(spec, labels)},
        more=weight_account | folds(spec) | provenance(spec, spec.features or (), borrowed),
    )


def rows_of(source: Source, as_of: AsOf, candidates: Candidates, schemas: Schemas, found: Judged) -> Rows:
    """Return the rows among the candidates that were found, ready to be streamed."""
    check_names(
        [*schemas.features, *found.borrowed], [name for name in found.own if name not in found.borrowed]
    )
    stream = Stream(source, schemas, found.own)
    return Rows(
        spec=resolved(source.spec, schemas),
        as_of=as_of,
        size=found.size,
        counts=found.counts,
        outcomes=found.outcomes,
        splits=found.splits,
        more=found.more,
        schemas=schemas,
        schema=stream.schema,
        stream=stream,
        candidates=candidates,
        codes=found.codes,
        used=found.used,
    )


def explain(spec: Spec, as_of: AsOf, oldest_us: int, counts: dict[str, int], labels: dict[str, int]) -> None:
    """Raise what says best why there is no row. `oldest_us`: when the first decision occurred.

    Raises:
        LabelUnknown, WindowTooLong, EmptyTrainingSet: see there.
    """
    for rule in spec.labels:
        if labels and rule.name not in labels and rule.immature != "censor":
            raise LabelUnknown(rule.name, labels, as_of.position)
        oldest = (microseconds(as_of) - oldest_us) * MICROSECOND
        if oldest < rule.window and rule.immature == "exclude":
            raise WindowTooLong(rule.name, rule.window, max(oldest, timedelta(0)))
    raise EmptyTrainingSet(counts, ", ".join(rule.name for rule in spec.labels))


def resolved(spec: Spec, schemas: Schemas) -> Spec:
    """Return the specification with its features and feature set filled in."""
    return msgspec.structs.replace(spec, features=schemas.features, feature_set=schemas.chosen.label)


def other_labels(spec: Spec, labels: dict[str, int]) -> int:
    """Return how many outcomes have no label of the set."""
    return sum(labels.values()) - sum(labels.get(rule.name, 0) for rule in spec.labels)


def beside(spec: Spec) -> str:
    """Return what those rows are counted as that belong to no part of the split."""
    return "outside" if spec.split is not None and spec.split.by == "rolling" else "gap"


def folds(spec: Spec) -> dict[str, Any]:
    """Return where the folds of a rolling split train and test; nothing of another."""
    if spec.split is None or spec.split.by != "rolling":
        return {}
    return {"folds": msgspec.to_builtins(edges(spec.split))}
