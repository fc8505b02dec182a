"""The slices of an experiment: the levels of its features, read from the decisions of its window."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from harness.log.log import Log
from harness.replay_errors import FeatureUnknown, SliceOfNumbers
from policies.evidence import Evidence
from policies.plan import Plan
from policies.slice_plan import SlicePlan
from policies.slices import levels_of, named_levels, sliced

_PREFIX = "f."


def slice_evidence(
    log: Log, paired: pa.Table, plan: Plan, decision_point: str, places: tuple[int, int]
) -> Mapping[str, Evidence]:
    """Return the evidence of each registered slice over the paired rows; none without registered slices.

    A level is named by the order of the decisions in [start, stop), whatever their outcomes: a later look
    names the same ones first.

    Raises:
        FeatureUnknown: no decision there has that feature.
        SliceOfNumbers: a feature holds doubles.
    """
    if not isinstance(plan.slices, SlicePlan):
        return {}
    decisions = _features(log, plan.slices.columns, decision_point, places)
    if not decisions.num_rows:
        return {}
    rows = pa.array(
        np.searchsorted(decisions.column("position").to_numpy(), paired.column("position").to_numpy())
    )
    levels = {}
    for name in plan.slices.columns:
        column = decisions.column(name)
        levels[name] = levels_of(column.take(rows), named_levels(column, plan.slices.levels))
    return sliced(paired, levels, plan)


def _features(log: Log, names: tuple[str, ...], decision_point: str, places: tuple[int, int]) -> pa.Table:
    """Return position and the named features, as text, of every decision of the range."""
    schema = pa.schema([("position", pa.int64()), *((name, pa.string()) for name in names)])
    wanted = [_PREFIX + name for name in names]
    batches, seen = [], set()
    for batch in log.read(*places, kind="decision", decision_point=decision_point, columns=wanted):
        columns = [batch.column("position")]
        for name in names:
            if _PREFIX + name in batch.schema.names:
                seen.add(name)
                columns.append(_text(name, batch.column(_PREFIX + name)))
            else:
                columns.append(pa.nulls(batch.num_rows, pa.string()))
        batches.append(pa.RecordBatch.from_arrays(columns, schema=schema))
    missing = [name for name in names if name not in seen]
    if batches and missing:
        known = [field.name for feature_set in log.feature_sets().values() for field in feature_set.fields]
        raise FeatureUnknown(missing, known)
    return pa.Table.from_batches(batches, schema=schema)


def _text(name: str, column: pa.Array) -> pa.Array:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_boolean(kind) or pa.types.is_integer(kind)):
        raise SliceOfNumbers(name, str(kind))
    return column.cast(pa.string())
