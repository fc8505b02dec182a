"""The statistics against their targets: error rates, power, data to a verdict, time of a fold and a look.

`make bench-policies` takes some minutes. Paired accuracy with 85 % agreement, 100 looks of 400 decisions,
24,000 seeded runs; the libraries read the first thousand of them, in an environment of their own. The gate
asks one question, the other tests are two-sided at 5 %, as those of the libraries are.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.promotion.methods import error_rates
from benchmarks.results import Row, at_least, at_most, publish
from policies import Evidence, Integrity, Plan, decide, fold, plan_from
from policies.columns import Columns
from policies.groups import GROUPED
from policies.metrics import METRICS

ROWS = 1_000_000


def table(rows: int) -> pa.Table:
    """Return paired columns of two calibrated-looking models over 60 days."""
    rng = np.random.default_rng(3)
    live, other = rng.random(rows), rng.random(rows)
    return pa.table(
        {
            "occurred_at": pa.array(
                np.sort(rng.integers(0, 60 * 86_400 * 10**6, rows)), pa.timestamp("us", "UTC")
            ),
            "unit": pa.nulls(rows, pa.string()),
            "champion_score": live,
            "challenger_score": other,
            "champion_decision": np.where(live > 0.7, "late", "on_time"),
            "challenger_decision": np.where(other > 0.7, "late", "on_time"),
            "label": (rng.random(rows) < live).astype(float),
        }
    )


def timed(task: Callable[[], Any], repeats: int) -> float:
    """Return the median processor seconds of `task`: the machine is shared, wall time is not ours."""
    found = []
    for _ in range(repeats):
        start = time.process_time()
        task()
        found.append(time.process_time() - start)
    return median(found)


def speed() -> list[Row]:
    """Return the time of a fold over a million decisions and of a look from its evidence."""
    rows: list[Row] = []
    pairs = table(ROWS)
    counted = Integrity(
        decisions=ROWS,
        matured=ROWS,
        used=ROWS,
        scored=ROWS,
        failed=0,
        trained_until=0,
        window_start=1,
        window_stop=ROWS + 1,
    )
    accuracy = {"name": "accuracy", "positive_decision": "late"}
    for unit in ({"kind": "request"}, {"kind": "day", "timezone": "America/New_York"}):
        for metric in ({"name": "brier"}, accuracy):
            plan = plan_from({"metrics": [metric], "unit": unit})
            name = f"{metric['name']} per {unit['kind']}"
            evidence = fold(pairs, plan)
            took = timed(lambda plan=plan: fold(pairs, plan), 7) * 1e3
            row = f"{name}: fold 1M decisions"
            rows.append(
                at_most(row, took, "ms CPU", 50) if unit["kind"] == "request" else Row(row, took, "ms CPU")
            )
            look = timed(lambda plan=plan, evidence=evidence: _looks(evidence, plan, counted), 7) * 1e3 / 20
            rows.append(at_most(f"{name}: look, evidence to verdict", look, "ms CPU", 1))
            rows.append(Row(f"{name}: evidence", len(evidence.to_json()), "bytes"))
    return rows


OPTIONS: dict[str, Any] = {
    "threshold": 0.5,
    "bound": 1.0,
    "cost": [0, 1, 2, 0],
    "gain": [1, -1, 0, 0],
    "per": [1, 1, 0, 0],
    "reference": 0.3,
    "quantile": 0.5,
    "slo_us": 100,
    "k": 5,
    "bins": 10,
}


def metrics() -> list[Row]:
    """Return the time of each metric over a million decisions; groups sort, which is not linear."""
    pairs = table(ROWS)
    took = pa.array(np.random.default_rng(5).integers(0, 200, ROWS))
    for name in ("champion_latency_us", "challenger_latency_us"):
        pairs = pairs.append_column(name, took)
    pairs = pairs.append_column("challenger_error", pa.nulls(ROWS, pa.string()))
    pairs = pairs.append_column("propensity", pa.array(np.full(ROWS, 0.5)))
    rows: list[Row] = []
    for name in METRICS:
        more = {"identification": "logged_action", "weight_max": 2.0} if name == "outcome" else {}
        context = {"name": name, "role": "context", **OPTIONS, **more}
        day = {"kind": "day", "timezone": "America/New_York"} if name in GROUPED else {"kind": "request"}
        brier = [] if name == "brier" else [{"name": "brier"}]
        plan = plan_from({"metrics": [context | ({} if brier else {"role": "primary"}), *brier], "unit": day})
        metric = plan.metrics[0]
        if name in GROUPED:
            ms = (timed(lambda plan=plan: fold(pairs, plan), 3)) * 1e3
            rows.append(Row(f"{name}: fold 1M decisions in days, with brier", ms, "ms CPU", "sorts"))
            continue
        ms = timed(lambda metric=metric: metric.kind.values(Columns(pairs), metric), 5) * 1e3
        rows.append(at_most(f"{name}: values of 1M decisions", ms, "ms CPU", 50))
    return rows


def _looks(evidence: Evidence, plan: Plan, counted: Integrity) -> None:
    for _ in range(20):
        decide(evidence, plan, integrity=counted)


def partitions() -> list[Row]:
    """Return how many of 1, 7 and 64 shuffled partitions give the bytes of one pass."""
    pairs = table(100_000)
    plan = plan_from(
        {"metrics": [{"name": "brier"}], "unit": {"kind": "day", "timezone": "America/New_York"}}
    )
    whole = fold(pairs, plan).to_json()
    rng = np.random.default_rng(9)
    same = 0
    for parts in (1, 7, 64):
        pieces = [
            fold(pairs.take(pa.array(ix)), plan) for ix in np.array_split(rng.permutation(100_000), parts)
        ]
        same += Evidence.empty(plan).merge(*pieces).to_json() == whole
    return [at_least("same bytes over 1, 7, 64 shuffled parts", same, "of 3", 3)]


def main() -> None:
    """Run all and write benchmarks/results/policies.json."""
    publish(
        "policies",
        [*error_rates(), *speed(), *metrics(), *partitions()],
        notes="Looks and folds in processor time; E[n] counts 40,000 for runs that never decide. "
        "Libraries: 1,000 of the same runs, in an environment of their own.",
    )


if __name__ == "__main__":
    main()
