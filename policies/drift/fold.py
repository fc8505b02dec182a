"""The fold: columns of decision events to the state of the watched features; no object per event."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from policies.columns import Ints
from policies.drift.arrow import as_numbers, counted, fits, whole
from policies.drift.bits import bit_counts
from policies.drift.exact import exact_total
from policies.drift.plan import CATEGORIES, NUMBERS, FeaturePlan, MonitorPlan
from policies.drift.state import COUNTERS, OTHERS, STATUSES, FeatureState, WindowState, sizes_of
from policies.errors import ColumnsError
from policies.units import unit_keys

_STATUS_REMEDY = "Hand over decision events as they were recorded."


def fold_window(columns: pa.Table | pa.RecordBatch, plan: MonitorPlan) -> WindowState:
    """Return the state of these rows under a plan.

    Any partition of the rows, in any order, folded and merged, gives the same bytes. A column of another type
    than declared is no error: its values are counted as mistyped, and a quality rule says so.

    Raises:
        ColumnsError: a watched column is absent.
    """
    statuses = _statuses(columns)
    states = {}
    for feature in plan.features:
        if feature.column not in columns.schema.names:
            raise ColumnsError(
                feature.column, "absent", f"a column of {feature.type}", "Read it too, or correct the plan."
            )
        column = whole(columns.column(feature.column))
        states[feature.name] = _fold_feature(column, feature, statuses.get(feature.name, {}))
    return WindowState(plan.digest, states)


def _fold_feature(column: Any, plan: FeaturePlan, statuses: dict[str, int]) -> FeatureState:
    counts = {"rows": len(column), "null": int(column.null_count)}
    counts |= {f"status_{name}": count for name, count in statuses.items()}
    bits, edges, levels = (np.zeros(size, dtype=np.int64) for size in sizes_of(plan))
    total = 0
    if not pa.types.is_null(column.type) and not fits(plan.type, column.type):
        counts["mistyped"] = len(column) - counts["null"]
    elif counts["null"] == len(column):
        pass
    elif plan.type in NUMBERS:
        bits, edges, total = _numbers(column, plan, counts)
    elif plan.type in CATEGORIES:
        levels = _levels(column.drop_null() if counts["null"] else column, plan)
    counters = np.array([counts.get(name, 0) for name in COUNTERS], dtype=np.int64)
    return FeatureState(plan.shape, counters, (bits, edges, levels), total)


def _numbers(column: Any, plan: FeaturePlan, counts: dict[str, int]) -> tuple[Ints, Ints, int]:
    """Return both histograms and the exact sum; what is not finite, or out of bounds, goes to `counts`."""
    values = as_numbers(column.drop_null() if counts["null"] else column)
    bits, special = bit_counts(values)
    if special:
        counts["nan"] = int(np.count_nonzero(np.isnan(values)))
        counts["positive_infinity"] = int(np.count_nonzero(np.isposinf(values)))
        counts["negative_infinity"] = int(np.count_nonzero(np.isneginf(values)))
        values = values[np.isfinite(values)]
    if plan.low is not None:
        counts["below"] = int(np.count_nonzero(values < plan.low))
    if plan.high is not None:
        counts["above"] = int(np.count_nonzero(values > plan.high))
    edges = np.zeros(0, dtype=np.int64) if plan.edges is None else plan.edges.counts(values)
    return bits, edges, exact_total(values)


def _levels(column: Any, plan: FeaturePlan) -> Ints:
    """Return the counts of the known levels, then of all other values in bins by a fixed hash of the text."""
    found = np.zeros(len(plan.levels) + OTHERS, dtype=np.int64)
    texts, times = counted(column)
    known = {level: place for place, level in enumerate(plan.levels)}
    index = np.array([known.get(text, -1) for text in texts.to_pylist()], dtype=np.int64)
    other = index < 0
    if other.any():
        index = np.where(other, len(plan.levels) + unit_keys(texts) % OTHERS, index)
    np.add.at(found, index, times)
    return found


def _statuses(columns: pa.Table | pa.RecordBatch) -> dict[str, dict[str, int]]:
    """Return how often each field was served with each status that is not plain."""
    if "statuses" not in columns.schema.names:
        return {}
    column = whole(columns.column("statuses"))
    if pa.types.is_null(column.type) or column.null_count == len(column):
        return {}
    if not pa.types.is_list(column.type):
        raise ColumnsError("statuses", str(column.type), "a list of field and status", _STATUS_REMEDY)
    pairs = pc.list_flatten(column)
    table = pa.table({"field": pc.struct_field(pairs, "field"), "status": pc.struct_field(pairs, "status")})
    grouped = table.group_by(["field", "status"], use_threads=False).aggregate([([], "count_all")])
    found: dict[str, dict[str, int]] = {}
    for row in grouped.to_pylist():
        status = row["status"] if row["status"] in STATUSES else "other"
        each = found.setdefault(row["field"], {})
        each[status] = each.get(status, 0) + row["count_all"]
    return found
