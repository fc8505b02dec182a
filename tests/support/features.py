"""Tables of features as a recorder writes them, small and seeded."""

from typing import Any

import numpy as np
import pyarrow as pa

from policies.drift import DriftRule, FeaturePlan, MonitorPlan, cut_feature

LEVELS = ("AA", "B6", "DL", "EV", "UA")


def numbers(values: Any) -> pa.Table:
    """Return a table of one feature, `f.x`."""
    return pa.table({"f.x": pa.array(values, pa.float64())})


def watch(values: Any, **limits: Any) -> MonitorPlan:
    """Return the plan that watches `f.x` with bins from these values."""
    cut = cut_feature("x", "float64", pa.array(values, pa.float64()))
    return MonitorPlan(features=(replaced(cut, **limits),))


def replaced(plan: FeaturePlan, **changes: Any) -> FeaturePlan:
    """Return the plan with other limits."""
    fields = {name: getattr(plan, name) for name in plan.__struct_fields__}
    return FeaturePlan(**{**fields, **changes})


def flights(seed: int, rows: int, *, columns: int = 4, mean: float = 0.0) -> pa.Table:
    """Return rows of normal numbers `f.n0`... and one category `f.carrier`."""
    rng = np.random.default_rng(seed)
    table = {f"f.n{i}": rng.normal(10.0 + 3.0 * mean, 3.0, rows) for i in range(columns)}
    return pa.table(table | {"f.carrier": rng.choice(LEVELS, rows, p=[0.3, 0.3, 0.2, 0.1, 0.1])})


def plan_of(table: pa.Table, rule: DriftRule | None = None) -> MonitorPlan:
    """Return the plan whose bins are cut from this table."""
    features = []
    for name in table.column_names:
        kind = "float64" if pa.types.is_floating(table.schema.field(name).type) else "category"
        features.append(cut_feature(name.removeprefix("f."), kind, table.column(name)))
    return MonitorPlan(features=tuple(features), rule=rule or DriftRule())
