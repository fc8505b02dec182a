"""What a monitor reads of the log: features and scores of a range as columns, and the plan cut from them."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from harness.log.log import Log
from harness.log.predicate import Wanted
from policies.drift import DriftRule, FeaturePlan, MonitorPlan, WindowState, cut_feature, fold_window
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


def cut_plan(
    batches: Sequence[pa.RecordBatch],
    rule: DriftRule,
    *,
    only: Sequence[str] = (),
    without: Sequence[str] = (),
    score: bool = True,
) -> MonitorPlan | None:
    """Return the plan that a reference shows: its score, and its features `without` some, or `only` some.

    None of none. A feature that some batches lack is missing there; one that changed its type is watched as
    it is newest.
    """
    kinds: dict[str, pa.DataType] = {}
    for batch in batches:
        kinds |= {field.name: field.type for field in batch.schema if field.name.startswith(FEATURE)}
    dropped = {f"{FEATURE}{name}" for name in without}
    names = [name for name in sorted(kinds) if not only or name.removeprefix(FEATURE) in only]
    names = [name for name in names if name not in dropped]
    features = [
        cut_feature(name.removeprefix(FEATURE), kind_of(kinds[name]), _column(batches, name, kinds[name]))
        for name in names
    ]
    if score and batches:
        values = _column(batches, SCORE, pa.float64())
        features.append(cut_feature("(score)", "float64", values, role="prediction", column=SCORE))
    return MonitorPlan(features=tuple(features), rule=rule) if features else None


def fold_batch(batch: pa.RecordBatch, plan: MonitorPlan) -> WindowState:
    """Return the state of a batch; a watched feature that it lacks is null in all of its rows."""
    return fold_window(_complete(batch, plan.features), plan)


def fold_days(batches: Sequence[pa.RecordBatch], plan: MonitorPlan, timezone: str) -> list[Day]:
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


def _column(batches: Sequence[pa.RecordBatch], name: str, kind: pa.DataType) -> pa.Array:
    """Return one column of all batches; null where a batch lacks it or has it in another type."""
    found = [
        batch.column(name)
        if name in batch.schema.names and batch.column(name).type == kind
        else pa.nulls(batch.num_rows, kind)
        for batch in batches
    ]
    return pa.chunked_array(found, type=kind).combine_chunks()


def _complete(batch: pa.RecordBatch, features: Sequence[FeaturePlan]) -> pa.RecordBatch:
    for feature in features:
        if feature.column not in batch.schema.names:
            batch = batch.append_column(feature.column, pa.nulls(batch.num_rows))
    return batch
