"""Drift reports of other tools: what one costs, and when it raises an alarm, with each tool's defaults."""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.results import Row, at_most
from policies.drift import fold_window, reference_of
from policies.drift.reference import Day
from tests.support import worlds

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).parent / "drift_reports.py"
THEIRS = ROOT / ".venv-bench-drift" / "bin" / "python"
PYTHON = {"ours": sys.executable, "scipy": sys.executable, "duckdb": sys.executable}
TOOLS = ("scipy", "duckdb", "evidently", "nannyml")
MB_MAX, SECONDS_MAX = 8_000, 300
PER_DAY, DAYS = 1_000, 10
WORLDS: tuple[tuple[str, worlds.World, float], ...] = (
    ("null", "null", 0.0),
    ("jitter", "null", worlds.JITTER),
    ("immaterial", "immaterial", 0.0),
    ("meaningful", "meaningful", 0.0),
    ("broken", "broken", 0.0),
)
# Days judged in each world. Whatever its rows, a report of Evidently takes five CPU s: 40 keep to the bound.
WINDOWS = {"scipy": 40, "duckdb": 20, "evidently": 4, "nannyml": 10}


def run_tool(tool: str, folders: Sequence[Path]) -> dict[str, Any] | str:
    """Return the figures of reports in a process of its own, one thread; or why there are none."""
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS"), "1")
    bounds = {"HARNESS_BENCH_MB": str(MB_MAX), "HARNESS_BENCH_SECONDS": str(SECONDS_MAX)}
    path = {"PYTHONPATH": str(ROOT)} if tool in PYTHON else {}
    done = subprocess.run(
        [PYTHON.get(tool, str(THEIRS)), "-W", "ignore", str(SCRIPT), tool, *map(str, folders)],
        env={**os.environ, **single, **bounds, **path},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        why = (done.stderr.strip().splitlines() or [f"signal {-done.returncode}"])[-1]
        return f"did not finish within {SECONDS_MAX} CPU s and {MB_MAX:,} MB: {why[:80]}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def write_tables(folder: Path, **tables: pa.Table) -> None:
    """Write tables as Parquet, categories as text."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        texts = [each.cast(pa.string()) for each in table.columns[worlds.NUMBERS :]]
        read = pa.table([*table.columns[: worlds.NUMBERS], *texts], names=table.column_names)
        pq.write_table(read, folder / f"{name}.parquet", row_group_size=2**17)


def write_pair(folder: Path, size: int) -> None:
    """Write two null windows of 30 features, and the reference as it is stored: 14 days of the first."""
    rng = np.random.default_rng(size)
    reference, current = (worlds.rows(rng, size, "null") for _ in range(2))
    write_tables(folder, reference=reference, current=current)
    plan = worlds.plan_of(reference)
    step = size // 14
    days = [Day(i, fold_window(reference.slice(i * step, step), plan)) for i in range(14)]
    (folder / "plan.json").write_bytes(plan.to_json())
    (folder / "reference.json").write_bytes(reference_of(days, plan).to_json())


def reports(sizes: Sequence[int] = (1_000_000, 100_000), tools: Sequence[str] = TOOLS) -> Iterator[Row]:
    """Yield what one report costs, at so many rows a side."""
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_pair(folder, size)
            yield from _costs(folder, size, tools)


def _costs(folder: Path, size: int, tools: Sequence[str]) -> Iterator[Row]:
    rows, large = f"30 x {size // 1000}k", size == 1_000_000
    ours = [run_tool("ours", [folder]) for _ in range(3)]
    told = [each for each in ours if not isinstance(each, str)]
    assert len(told) == len(ours), ours
    cpu = statistics.median(each["cpu_s"] for each in told)
    peak = max(each["peak_mb"] for each in told)
    yield at_most(f"{rows}: ours, stored reference", cpu, "CPU s", 1.0 if large else 0.3)
    said = f"{told[0]['before_mb']:.0f} after imports"
    yield at_most(f"{rows}: ours, memory", peak, "MB", 400, against=said)
    if large:
        yield Row("import of policies.drift", told[0]["imported_cpu_s"], "CPU s")
    for tool in tools:
        found = run_tool(tool, [folder])
        if isinstance(found, str):
            yield Row(f"{rows}: {tool}", SECONDS_MAX, "CPU s", found)
            continue
        drifted = len(found["drifted"][str(folder)])
        times = f"{found['cpu_s'] / cpu:.1f} times ours; {drifted} of 30 called drifted where none did"
        yield Row(f"{rows}: {tool}", found["cpu_s"], "CPU s", times)
        yield Row(
            f"{rows}: {tool}, memory", found["peak_mb"], "MB", f"{found['before_mb']:.0f} after imports"
        )


def alarms(windows: Mapping[str, int] = WINDOWS) -> Iterator[Row]:
    """Yield on which share of days each tool raises an alarm, or names the broken feature.

    A day of 1,000 rows against the day before it and against the ten days before it: Evidently chooses its
    tests by the size of the reference, NannyML learns its limits from ten chunks.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folders = _write_days(folder, max(windows.values()))
        for tool, days in windows.items():
            kept = {key: each[:days] for key, each in folders.items() if tool != "nannyml" or key[1] == DAYS}
            found = run_tool(tool, [path for paths in kept.values() for path in paths])
            if isinstance(found, str):
                yield Row(f"{tool}: alarms", 0.0, "days read", found)
                continue
            for key, paths in kept.items():
                yield from _shares(tool, key, [found["drifted"][str(path)] for path in paths])


def _write_days(folder: Path, windows: int) -> dict[tuple[str, int], list[Path]]:
    rng, found = np.random.default_rng(8), {}
    for said, world, jitter in WORLDS:
        for days in (1, DAYS):
            found[said, days] = [folder / f"{said}-{days}-{number}" for number in range(windows)]
            for path in found[said, days]:
                past = [worlds.rows(rng, PER_DAY, "null", jitter=jitter) for _ in range(days)]
                current = worlds.rows(rng, PER_DAY, world, jitter=jitter)
                write_tables(path, reference=pa.concat_tables(past), current=current)
    return found


def _shares(tool: str, key: tuple[str, int], drifted: list[list[str]]) -> Iterator[Row]:
    world, days = key
    where = f"1k rows against {days} {'day' if days == 1 else 'days'}, {world}: {tool}"
    if world == "broken":
        named = sum("f.n0" in each for each in drifted)
        yield Row(f"{where} names it", named / len(drifted), "share of days", "with its defaults")
        return
    some = sum(bool(each) for each in drifted)
    yield Row(f"{where}, any column", some / len(drifted), "share of days", "with its defaults")
    if tool == "evidently":
        half = sum(len(each) >= 15 for each in drifted)
        yield Row(f"{where}, the data set", half / len(drifted), "share of days", "half of the columns")
