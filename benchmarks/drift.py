"""Drift and retraining against their targets: cost of a report, alarms by world and rule, detector, proofs.

`python -m benchmarks.drift` takes some minutes. Evidently and NannyML cannot stand beside this project: name
an interpreter that has them in HARNESS_BENCH_EVIDENTLY and HARNESS_BENCH_NANNYML to run them as they ship,
else their rows are left out and the notes say so.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import chi2_contingency, ks_2samp, wasserstein_distance

from benchmarks.results import Row, at_least, at_most, publish
from benchmarks.tools.retraining import proofs
from policies.accumulators import Moments
from policies.drift import (
    DriftRule,
    MonitorPlan,
    WindowState,
    compare,
    cut_feature,
    fold_window,
    reference_of,
)
from policies.drift.detector import Detector, DetectorPlan, LossDay, baseline_of
from policies.drift.quality import broken, check_quality
from policies.drift.reference import Day
from tests.support import worlds

TOOLS = Path(__file__).parent / "tools" / "drift_reports.py"
OTHERS = {name: os.environ.get(f"HARNESS_BENCH_{name.upper()}") for name in ("evidently", "nannyml")}
WORLDS: tuple[worlds.World, ...] = ("null", "immaterial", "meaningful", "broken", "missing", "level")
RULE_WINDOWS = ((1_000, 20), (10_000, 5))  # rows a day, days


def run_tool(tool: str, folder: Path) -> dict[str, float]:
    """Return the figures of one report in a process of its own, one thread."""
    python = OTHERS.get(tool) or sys.executable
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS"), "1")
    root = str(Path(__file__).parents[1])
    path = {} if OTHERS.get(tool) else {"PYTHONPATH": root}
    done = subprocess.run(
        [python, str(TOOLS), tool, str(folder)],
        env={**os.environ, **single, **path},
        capture_output=True,
        text=True,
        check=True,
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def write_pair(folder: Path, size: int) -> None:
    """Write two null windows of 30 features, and the reference as it is stored: 14 days of the first."""
    rng = np.random.default_rng(size)
    tables = {name: worlds.rows(rng, size, "null") for name in ("reference", "current")}
    for name, table in tables.items():
        texts = [each.cast(pa.string()) for each in table.columns[worlds.NUMBERS :]]
        read = pa.table([*table.columns[: worlds.NUMBERS], *texts], names=table.column_names)
        pq.write_table(read, folder / f"{name}.parquet", row_group_size=2**17)
    reference = tables["reference"]
    plan = worlds.plan_of(reference)
    step = size // 14
    days = [Day(i, fold_window(reference.slice(i * step, step), plan)) for i in range(14)]
    (folder / "plan.json").write_bytes(plan.to_json())
    (folder / "reference.json").write_bytes(reference_of(days, plan).to_json())


def reports() -> Iterator[Row]:
    """Yield what one report costs, at 1M and 100k rows a side."""
    for size, tools in (
        (1_000_000, ("scipy", "duckdb")),
        (100_000, ("scipy", "duckdb", "evidently", "nannyml")),
    ):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_pair(folder, size)
            rows = f"30 x {size // 1000}k"
            ours = [run_tool("ours", folder) for _ in range(3)]
            cpu = sorted(each["cpu_s"] for each in ours)[1]
            peak = max(each["peak_mb"] for each in ours)
            large = size == 1_000_000
            yield at_most(f"{rows}: ours, stored reference", cpu, "CPU s", 1.0 if large else 0.3)
            yield at_most(
                f"{rows}: ours, memory", peak, "MB", 400, against=f"{ours[0]['before_mb']:.0f} after imports"
            )
            if large:
                yield Row("import of policies.drift", ours[0]["imported_cpu_s"], "CPU s")
            for tool in tools:
                if tool in OTHERS and not OTHERS[tool]:
                    continue
                found = run_tool(tool, folder)
                said = f"{found['drifted']:.0f} of 30 called drifted where none did"
                yield Row(
                    f"{rows}: {tool}",
                    found["cpu_s"],
                    "CPU s",
                    f"{found['cpu_s'] / cpu:.1f} times ours; {said}",
                )
                yield Row(
                    f"{rows}: {tool}, memory",
                    found["peak_mb"],
                    "MB",
                    f"{found['before_mb']:.0f} after imports",
                )


def alarm_table() -> Iterator[Row]:
    """Yield the share of days with an alarm, by size, world and whether features move from day to day."""
    quiet, false = 0, 0
    for size, windows, days in ((1_000, 80, 28), (10_000, 12, 28), (100_000, 2, 14)):
        for jitter in (0.0, worlds.JITTER):
            rng = np.random.default_rng([size, int(1000 * jitter)])
            plan, reference = worlds.past(rng, size, days, jitter=jitter)
            for world in WORLDS:
                alarms = named = 0
                for _ in range(windows):
                    window = worlds.day(rng, size, world, plan, jitter=jitter)
                    found = compare(window, reference, plan)
                    drifted = [each.feature for each in found.features if each.answer == "drift"]
                    alarms += bool(drifted)
                    bad = [each.feature for each in broken(check_quality(window, plan))]
                    named += {"level": "c2"}.get(world, "n0") in drifted + bad
                if world in ("null", "immaterial"):
                    quiet, false = quiet + windows, false + alarms
                where = f"{size // 1000}k rows, {'jitter' if jitter else 'still'}, {world}"
                yield cell(where, world, size, (alarms, named, windows))
    yield at_most(f"false alarms over {quiet} quiet days", 365 * false / quiet, "a year", 1.0)


def jittering_years() -> Iterator[Row]:
    """Yield false alarms a year over many references and days at 1,000 rows, features moving as usual."""
    references, windows, false = 10, 100, 0
    for number in range(references):
        rng = np.random.default_rng([365, number])
        plan, reference = worlds.past(rng, 1_000, 28, jitter=worlds.JITTER)
        for _ in range(windows):
            window = worlds.day(rng, 1_000, "null", plan, jitter=worlds.JITTER)
            false += compare(window, reference, plan).answers["feature"] == "drift"
    days = references * windows
    yield at_most(f"1k rows, jitter: false alarms over {days} days", 365 * false / days, "a year", 1.0)


def cell(where: str, world: str, size: int, counted: tuple[int, int, int]) -> Row:
    """Return one cell of the alarm table with the target that it has."""
    alarms, named, windows = counted
    if world in ("null", "immaterial"):
        return Row(f"{where}: false alarms", alarms / windows, "share of days")
    if world == "meaningful":
        return at_least(f"{where}: found", alarms / windows, "share", 0.85 if size < 10_000 else 0.99)
    return at_least(f"{where}: named", named / windows, "share", 1.0)


def other_rules() -> Iterator[Row]:
    """Yield such a table for the rules that other tools ship as defaults, computed by us."""
    for size, windows in RULE_WINDOWS:
        rng = np.random.default_rng([7, size])
        for world, jitter in (("null", 0.0), ("null", worlds.JITTER), ("meaningful", 0.0), ("broken", 0.0)):
            said = f"{size // 1000}k rows, {'jitter' if jitter else 'still'}, {world}"
            hits: dict[str, int] = {}
            for _ in range(windows):
                a = worlds.rows(rng, size, "null")
                b = worlds.rows(rng, size, world, jitter=jitter)  # type: ignore[arg-type]  # a world by name
                for rule, alarm in rules(a, b, size).items():
                    hits[rule] = hits.get(rule, 0) + bool(alarm)
            for rule, count in hits.items():
                yield Row(f"{said}: {rule}", count / windows, "share of days", "rule of another tool")


def rules(a: pa.Table, b: pa.Table, size: int) -> dict[str, bool]:
    """Return which default rules alarm on this pair of windows."""
    chances, far = [], []
    for name in a.column_names:
        x, y = (np.array(table.column(name).to_pylist()) for table in (a, b))
        if name.startswith("f.n"):
            chances.append(float(ks_2samp(x, y, method="asymp").pvalue))
            far.append(wasserstein_distance(x, y) / max(float(x.std()), 1e-3) >= 0.1)
        else:
            levels, codes = np.unique(np.concatenate([x, y]), return_inverse=True)
            counts = np.array([np.bincount(part, minlength=levels.size) for part in np.split(codes, 2)])
            chances.append(float(chi2_contingency(counts).pvalue) if levels.size > 1 else 1.0)
            p, q = counts / size
            mid = (p + q) / 2
            parts = [
                np.where(s > 0, s * np.log2(np.where(s > 0, s, 1) / np.where(mid > 0, mid, 1)), 0)
                for s in (p, q)
            ]
            far.append(float(np.sqrt((parts[0].sum() + parts[1].sum()) / 2)) >= 0.1)
    drifted = [p < 0.05 for p in chances] if size <= 1000 else far
    return {
        "any p < .05": min(chances) < 0.05,
        "Bonferroni .05 (alibi-detect)": min(chances) < 0.05 / len(chances),
        "any column (Evidently)": any(drifted),
        "half the columns (Evidently)": sum(drifted) >= len(drifted) / 2,
    }


def detectors() -> Iterator[Row]:
    """Yield false alarms and delay of the detector: 200 labels a day, error rate .10, a learned limit."""
    plan = DetectorPlan()
    rng = np.random.default_rng(11)

    def days(first: int, count: int, rate: float) -> list[LossDay]:
        failed = rng.binomial(200, rate, count).tolist()
        return [
            LossDay(first + i, Moments(200, k * plan.scale, k * plan.scale**2)) for i, k in enumerate(failed)
        ]

    false, delays, runs = 0, {0.13: [], 0.15: []}, 60
    for _ in range(runs):
        start = Detector.start(plan, baseline_of(days(0, 60, 0.1), plan))
        quiet = start
        for day in days(100, 365, 0.1):
            quiet = quiet.step(day)
        false += quiet.alarm is not None
        for rate, found in delays.items():
            risen, reached = start, 200
            for day in days(600, 200, rate):
                risen = risen.step(day)
                if risen.alarm is not None:
                    reached = risen.days
                    break
            found.append(reached)
    yield at_most(
        "detector: false alarms, run 10 years", false / runs, "a year", 0.1, against="ADWIN 0, DDM 1, EDDM 42"
    )
    for rate, found in delays.items():
        note = "ADWIN 7.7 with 0 of 10 years false" if rate == 0.13 else ""
        yield Row(f"detector: delay to see .10 to {rate:g}", float(np.median(found)), "days", note)


def states() -> Iterator[Row]:
    """Yield what a state costs to keep and to fold."""
    rng = np.random.default_rng(12)
    values = rng.standard_normal(1_000_000)
    plan = MonitorPlan(features=(cut_feature("x", "float64", pa.array(values)),), rule=DriftRule())
    table = pa.table({"f.x": values})
    state = fold_window(table, plan)
    yield at_most("state of a feature, 1M rows in an hour", len(state.to_json()), "bytes", 8192)
    order = rng.permutation(100_000)
    small = table.slice(0, 100_000)
    whole = fold_window(small, plan).to_json()
    same = 0
    for parts in (1, 7, 64):
        pieces = [fold_window(small.take(pa.array(index)), plan) for index in np.array_split(order, parts)]
        same += WindowState.empty(plan).merge(*pieces).to_json() == whole
    yield at_least("same bytes over 1, 7, 64 shuffled parts", same, "of 3", 3)


def main() -> None:
    """Run all and write benchmarks/results/drift.json."""
    rows: list[Row] = []
    for part in (states, reports, alarm_table, jittering_years, other_rules, detectors, proofs):
        rows += part()
    absent = [name for name, python in OTHERS.items() if not python]
    notes: Any = "Processor time of one thread; memory is the largest resident size of a process of its own."
    if absent:
        notes += f" Not measured here, not installed: {', '.join(absent)}."
    publish("drift", rows, notes=notes)


if __name__ == "__main__":
    main()
