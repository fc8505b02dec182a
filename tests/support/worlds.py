"""Worlds whose features move in a known way: 20 numbers and 10 categories of 2 to 2,000 levels, seeded.

`null`: nothing moves. `jitter`: every number's mean moves each day by a normal step of 0.02 standard
deviations. `immaterial`: 0.01 standard deviations on five numbers, 2 % on one category. `meaningful`: 0.2
standard deviations on two numbers. `broken`: one number times 1,000. `missing`: five points of one number
missing. `level`: one category with a new level in 1 % of rows.
"""

from functools import cache
from typing import Literal

import numpy as np
import pyarrow as pa

from policies.drift import DriftRule, MonitorPlan, WindowState, cut_feature, fold_window, reference_of
from policies.drift.reference import Day, Reference

World = Literal["null", "jitter", "immaterial", "meaningful", "broken", "missing", "level"]
NUMBERS, LEVELS = 20, (2, 2, 3, 5, 8, 12, 20, 50, 500, 2000)
JITTER = 0.02


def rows(rng: np.random.Generator, size: int, world: World, *, jitter: float = 0.0) -> pa.Table:
    """Return `size` rows of one day of this world; `jitter` is the usual daily movement."""
    step = rng.normal(0.0, jitter, NUMBERS) if jitter else np.zeros(NUMBERS)
    if world == "immaterial":
        step[:5] += 0.01
    if world == "meaningful":
        step[:2] += 0.2
    values = rng.standard_normal((NUMBERS, size)) + step[:, None]
    table: dict[str, object] = {f"f.n{i}": 10.0 + 3.0 * values[i] for i in range(NUMBERS)}
    if world == "broken":
        table["f.n0"] = (10.0 + 3.0 * values[0]) * 1000.0
    if world == "missing":
        table["f.n0"] = pa.array(10.0 + 3.0 * values[0], mask=rng.random(size) < 0.05)
    for i, levels in enumerate(LEVELS):
        names, shares = _levels(levels, 1.02 if world == "immaterial" and i == 0 else 1.0)
        found = rng.choice(levels, size, p=shares)
        column = pa.DictionaryArray.from_arrays(pa.array(found.astype(np.int32)), names)
        if world == "level" and i == 2:
            texts = np.where(rng.random(size) < 0.01, "new", np.array(column.to_pylist(), dtype=object))
            column = pa.array(texts.tolist(), pa.string())
        table[f"f.c{i}"] = column
    return pa.table(table)


@cache
def _levels(levels: int, top: float) -> tuple[pa.Array, np.ndarray]:
    weights = 1.0 / np.arange(1, levels + 1)
    shares = weights / weights.sum()
    moved = shares * (1.0 - top * shares[0]) / (1.0 - shares[0])
    moved[0] = top * shares[0]
    return pa.array([f"level {i}" for i in range(levels)]), moved / moved.sum()


def plan_of(sample: pa.Table) -> MonitorPlan:
    """Return the plan with bins and levels from these rows, weekdays not told apart."""
    features = tuple(
        cut_feature(name[2:], "float64" if name[2] == "n" else "category", sample.column(name))
        for name in sample.column_names
    )
    return MonitorPlan(features=features, rule=DriftRule(season="none"))


def past(
    rng: np.random.Generator, size: int, days: int, *, jitter: float = 0.0
) -> tuple[MonitorPlan, Reference]:
    """Return the plan and the reference of `days` quiet days with `size` rows each."""
    tables = [rows(rng, size, "null", jitter=jitter) for _ in range(days)]
    sample = pa.concat_tables(tables[: max(1, 20_000 // size)], promote_options="permissive")
    plan = plan_of(sample)
    found = [Day(number, fold_window(table, plan)) for number, table in enumerate(tables)]
    return plan, reference_of(found, plan)


def day(
    rng: np.random.Generator, size: int, world: World, plan: MonitorPlan, *, jitter: float = 0.0
) -> WindowState:
    """Return the state of one day of this world."""
    return fold_window(rows(rng, size, world, jitter=jitter), plan)
