"""The rows of a training set, from the log: read a range, choose a schema, join, assemble."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.errors import NotFound, UnknownPosition
from harness.log.log import Log
from harness.replay_errors import (
    FeatureSetUnregistered,
    FeatureUnknown,
    MixedFeatureSets,
    NothingToScore,
)
from recorders.columns import OUTCOME_SCHEMA, decision_schema
from recorders.fields import FeatureSet
from replay.columns import FEATURE, INSTANT, count_values
from replay.errors import ColumnsError
from replay.join import join
from replay.ranges import AsOf
from replay.training import Split, assemble, selected


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """What a training set is cut by; with the log up to a place it decides every value.

    `features` None means all of role feature. `where` keeps the rows with one of the values, per column.
    """

    decision_point: str
    start: int
    stop: int
    label: str
    window: timedelta
    features: tuple[str, ...] | None = None
    feature_set: str | None = None
    test_from: datetime | None = None
    gap: timedelta = timedelta(0)
    where: dict[str, list[str | int | float | bool]] = {}


class Rows(msgspec.Struct, frozen=True):
    """The rows and the account.

    `counts`: decisions in the range, then what each reason took of them (excluded: of another feature
    set, or not selected by `where`); law: decisions == rows + the others. `feature_sets`: decisions of each.
    """

    cut: Cut
    as_of: AsOf
    table: pa.Table
    feature_set_digest: str
    counts: dict[str, int]
    outcomes: dict[str, int]
    splits: dict[str, int]
    feature_sets: dict[str, int]


def cut_rows(log: Log, cut: Cut, as_of: AsOf) -> Rows:
    """Return the rows of `cut` as known at `as_of`; the features and feature set are filled in.

    Raises:
        MixedFeatureSets, FeatureUnknown, UnknownPosition, UsageError: see there.
    """
    if cut.stop > as_of.position + 1:
        raise UnknownPosition(cut.stop - 1, as_of.position, cut=True)
    source = log.read(cut.start, cut.stop, kind="decision", decision_point=cut.decision_point)
    batches = [batch for batch in source if batch.num_rows]
    present = _present(log, cut.decision_point, batches)
    chosen = _chosen(cut, present)
    features = _features(cut, chosen)
    decisions, foreign = _decisions(batches, chosen)
    try:
        unwanted = ~np.asarray(selected(decisions, cut.where), dtype=np.bool_)
    except ColumnsError as error:
        raise FeatureUnknown(cut.where, [*(f.name for f in chosen.fields), "unit", "model"]) from error
    outcomes = log.read(1, as_of.position + 1, kind="outcome", decision_point=cut.decision_point)
    joined = join(
        decisions,
        pa.Table.from_batches(outcomes, schema=pa.schema([*_PLACED, *OUTCOME_SCHEMA])),
        as_of=as_of,
        window=cut.window,
        label=cut.label,
        exclude=pa.array(foreign | unwanted),
    )
    split = None if cut.test_from is None else Split(cut.test_from, cut.gap)
    assembled = assemble(joined, features, split)
    return Rows(
        cut=msgspec.structs.replace(cut, features=features, feature_set=chosen.label),
        as_of=as_of,
        table=assembled.table,
        feature_set_digest=chosen.digest,
        counts={"decisions": joined.rows_in, **joined.reasons, "gap": assembled.gap},
        outcomes=joined.outcomes,
        splits=count_values(assembled.table.column("split")),
        feature_sets={feature_set.label: rows for feature_set, rows in present},
    )


_PLACED = (pa.field("position", pa.int64(), nullable=False), pa.field("recorded_at", INSTANT, nullable=False))


def _present(
    log: Log, decision_point: str, batches: Sequence[pa.RecordBatch]
) -> list[tuple[FeatureSet, int]]:
    """Return the feature sets of the batches with their rows, in order of first appearance."""
    rows: dict[str, int] = {}
    for batch in batches:
        name = _digest_of(batch)
        rows[name] = rows.get(name, 0) + batch.num_rows
    known = log.feature_sets()
    for name, count in rows.items():
        if name not in known:
            raise FeatureSetUnregistered(decision_point, name, count)
    return [(known[name], count) for name, count in rows.items()]


def _digest_of(batch: pa.RecordBatch) -> str:
    return str((batch.schema.metadata or {}).get(b"schema_digest", b"").decode())


def _chosen(cut: Cut, present: Sequence[tuple[FeatureSet, int]]) -> FeatureSet:
    labels = {feature_set.label: feature_set for feature_set, _rows in present}
    if not labels:
        raise NothingToScore(cut.decision_point, cut.start, cut.stop)
    if cut.feature_set is not None:
        if cut.feature_set not in labels:
            raise NotFound("feature set", cut.feature_set, labels)
        return labels[cut.feature_set]
    if len(labels) > 1:
        raise MixedFeatureSets({feature_set.label: rows for feature_set, rows in present})
    return next(iter(labels.values()))


def _features(cut: Cut, chosen: FeatureSet) -> tuple[str, ...]:
    known = [field.name for field in chosen.fields]
    if cut.features is None:
        return tuple(field.name for field in chosen.fields if field.role == "feature")
    unknown = [name for name in cut.features if name not in known]
    if unknown:
        raise FeatureUnknown(unknown, known)
    return tuple(dict.fromkeys(cut.features))  # a feature named twice is one column


def _decisions(
    batches: Sequence[pa.RecordBatch], chosen: FeatureSet
) -> tuple[pa.Table, npt.NDArray[np.bool_]]:
    """Return the decisions in the columns of the chosen set, and which of them are of another set.

    Rows of other sets stay, without features: they are decisions too, and a later one may repeat their id.
    """
    schema = pa.schema([*_PLACED, *decision_schema(chosen)])
    foreign = [np.full(batch.num_rows, _digest_of(batch) != chosen.digest) for batch in batches]
    alike = []
    for batch in batches:
        own = _digest_of(batch) == chosen.digest
        columns = [
            batch.column(field.name)
            if field.name in batch.schema.names and (own or not field.name.startswith(FEATURE))
            else pa.nulls(batch.num_rows, field.type)
            for field in schema
        ]
        alike.append(pa.RecordBatch.from_arrays(columns, schema=schema))
    return pa.Table.from_batches(alike, schema=schema), np.concatenate(foreign)
