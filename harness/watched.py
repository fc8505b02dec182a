"""What a monitor reads of the log: features and scores of a range as columns, and their state."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from harness.log.log import Log
from harness.log.predicate import Wanted
from policies.drift import FeaturePlan, MonitorPlan, WindowState, fold_window
from policies.drift.reference import Day
from policies.units import local_days
from replay.columns import FEATURE, mask_of

SCORE = "score"
_ENVELOPE = ("occurred_at", SCORE, "statuses")


def watched_batches(
    log: Log, start: int, stop: int, decision_point: str, *, closed: bool = False
) -> Iterator[pa.RecordBatch]:
    """Yield the decisions of [start, stop) with all of their features, each batch with those that it has.

    With `closed` those that are kept encrypted are not among them.
    """
    for batch in log.scan(start, stop, Wanted("decision", decision_point), closed=closed):
        names = [name for name in batch.schema.names if name in _ENVELOPE or name.startswith(FEATURE)]
        yield batch.select(names)


def feature_set_of(batch: pa.RecordBatch) -> str:
    """Return the digest of the feature set that a batch was recorded with."""
    digest: bytes = (batch.schema.metadata or {}).get(b"schema_digest", b"")
    return digest.decode()


def encrypted_in(log: Log, feature_sets: Iterable[str]) -> list[str]:
    """Return the features that are kept encrypted in some of these feature sets, each named by its digest."""
    known, named = log.feature_sets(), set(feature_sets)
    found = [one for digest, one in known.items() if digest in named]
    return sorted({field.name for one in found for field in one.sealed})


def fold_batch(batch: pa.RecordBatch, plan: MonitorPlan) -> WindowState:
    """Return the state of a batch; a watched feature that it lacks is null in all of its rows."""
    return fold_window(_complete(batch, plan.features), plan)


def fold_days(batches: Iterable[pa.RecordBatch], plan: MonitorPlan, timezone: str) -> list[Day]:
    """Return the state of each local day in which a decision occurred."""
    states: dict[int, WindowState] = {}
    for batch in batches:
        days = local_days(batch.column("occurred_at").cast(pa.int64()).to_numpy(), timezone)
        for day in np.unique(days).tolist():
            state = fold_batch(batch.filter(mask_of(days == day)), plan)
            states[day] = states[day].merge(state) if day in states else state
    return [Day(number, states[number]) for number in sorted(states)]


def kind_of(found: pa.DataType) -> str:
    """Return the field type that an Arrow type of the log stands for.

    >>> kind_of(pa.int64()), kind_of(pa.dictionary(pa.int32(), pa.string()))
    ('int64', 'category')
    """
    types = pa.types
    tests = (
        (types.is_dictionary, "category"),
        (types.is_boolean, "bool"),
        (types.is_integer, "int64"),
        (types.is_floating, "float64"),
        (types.is_timestamp, "timestamp"),
        (types.is_string, "string"),
        (types.is_large_string, "string"),
        (types.is_list, "list[float64]"),
    )
    return next((kind for test, kind in tests if test(found)), "bytes")


def _complete(batch: pa.RecordBatch, features: Sequence[FeaturePlan]) -> pa.RecordBatch:
    for feature in features:
        if feature.column not in batch.schema.names:
            batch = batch.append_column(feature.column, pa.nulls(batch.num_rows))
    return batch
