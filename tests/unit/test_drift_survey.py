"""A plan cut from a stream: that of all rows at once, in any parts, in memory that does not grow."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from harness.levels import LevelsOnDisk
from harness.surveyed import cut_plan, survey
from policies.drift import DriftRule, MonitorPlan, check_quality, cut_feature, fold_window
from policies.drift.edges import TRIM, Edges, cut_edges, grid_of
from policies.drift.levels import LevelsInMemory
from policies.drift.survey import Survey

ROOT = Path(__file__).parents[2]
AWKWARD = (0.0, -0.0, 5e-324, -1.5, 1e9, 1e9 + 1, 1e300, -1e300, np.nan, np.inf, -np.inf, 3.0)


def in_memory(values: np.ndarray) -> Edges:
    """The edges as they were cut when a whole column was there."""
    finite = values[np.isfinite(values)]
    low = float(np.quantile(finite, TRIM, method="lower")) + 0.0
    high = float(np.quantile(finite, 1.0 - TRIM, method="higher")) + 0.0
    grid = grid_of(low, high)
    return cut_edges(grid, grid.cells(finite))


@pytest.mark.parametrize("seed", range(40))
def test_edges_of_a_stream_are_those_of_all_rows_at_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 9_000))
    values = rng.choice(
        [rng.standard_normal(size), rng.lognormal(0, 3, size), np.floor(rng.random(size) * 5)]
    )
    values[rng.random(size) < 0.05] = rng.choice(AWKWARD)
    if not np.isfinite(values).any():
        values[0] = 1.0
    seen = Survey("float64", size + int(rng.integers(0, 5_000)))
    parts = np.array_split(rng.permutation(values), int(rng.integers(1, 20)))
    for part in parts:
        seen.add(pa.array(part))
    grid = seen.grid()
    assert grid is not None
    finite = [part[np.isfinite(part)] for part in parts]
    assert cut_edges(grid, np.sum([grid.cells(part) for part in finite], axis=0)) == in_memory(values)
    assert cut_feature("x", "float64", pa.array(values)).edges == in_memory(values)


def test_levels_on_disk_are_those_in_memory() -> None:
    rng = np.random.default_rng(5)
    words = [f"{'é' * (n % 3)}{n}\0{'x' * (n % 5)}" for n in range(700)] + ["", "\U0001f600", "z" * 50_000]
    disk, memory = LevelsOnDisk(characters=4_000), LevelsInMemory()
    for _ in range(30):
        found = [(words[n], int(rng.integers(1, 4))) for n in rng.integers(0, len(words), 100)]
        disk.add(found)
        memory.add(found)
    for most in (1, 513, 10_000):
        assert disk.largest(most) == memory.largest(most)


def batch(**columns: pa.Array) -> pa.RecordBatch:
    rows = len(next(iter(columns.values())))
    named = {f"f.{name}": column for name, column in columns.items()}
    return pa.RecordBatch.from_pydict({"score": pa.nulls(rows, pa.float64()), **named})


def test_a_feature_that_came_later_or_changed_its_type_is_missing_before() -> None:
    batches = [
        batch(x=pa.array(["a", "b"])),
        batch(x=pa.array([1.0, 2.0, None]), y=pa.array([True, False, True])),
    ]
    plan = cut_plan(survey(batches, 5), batches, DriftRule(), score=False)
    assert plan is not None
    by_name = {each.name: each for each in plan.features}
    assert (by_name["x"].type, by_name["x"].max_missing, by_name["x"].levels) == ("float64", 0.62, ())
    assert (by_name["y"].levels, by_name["y"].max_missing) == (("false", "true"), 0.42)
    assert cut_plan(survey([], 5), [], DriftRule()) is None


MEASURED = """
from pathlib import Path
import numpy as np, pyarrow as pa
from harness.surveyed import cut_plan, survey
from harness.watched import fold_batch
from policies.drift import DriftRule, WindowState

def batches(count):
    for number in range(count):
        rng = np.random.default_rng(number)
        columns = {f"f.n{place}": rng.standard_normal(100_000) for place in range(8)}
        columns["f.id"] = pa.array([f"order {number} {row}" for row in range(2_000)] * 50)
        yield pa.RecordBatch.from_pydict({"score": rng.random(100_000), **columns})

def whole(count):
    plan = cut_plan(survey(batches(count), count * 100_000), batches(count), DriftRule())
    state = WindowState.empty(plan)
    for each in batches(count):
        state = state.merge(fold_batch(each, plan))
    return plan, state

def peak():  # its own: ru_maxrss is at least that of the process that started it
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))

whole(2)
before = peak()
plan, state = whole(ROUNDS)
assert state.features["n0"].rows == ROUNDS * 100_000
assert len(next(each for each in plan.features if each.name == "id").levels) == 512
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the peak of a process")
def test_memory_does_not_grow_with_the_rows() -> None:
    rounds = 14  # 100 MB of numbers, 30 MB of text: all of it was kept before
    done = subprocess.run(
        [sys.executable, "-c", MEASURED.replace("ROUNDS", str(rounds))],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) / 1024 < 50, f"{done.stdout} KB more"


@pytest.mark.parametrize("rows", [3_000, 14_000, 60_000])
def test_levels_chosen_by_their_counts_are_not_called_unseen_later(rows: int) -> None:
    """Of 2,000 levels 512 are kept: which of the rare ones is chance, and it will not be repeated."""
    rng = np.random.default_rng(rows)
    shares = 1.0 / np.arange(1, 2_001)
    names = np.array([f"level {n}" for n in range(2_000)])
    broken = {True: 0, False: 0}
    for _ in range(20):
        past, later = (
            pa.array(names[rng.choice(2_000, size, p=shares / shares.sum())]) for size in (rows, 20_000)
        )
        for chosen in broken:
            seen = Survey("category", rows, chosen=chosen)
            seen.add(past)
            feature = seen.plan("c", role="feature", column="f.c", edges=None)
            plan = MonitorPlan(features=(feature,), rule=DriftRule())
            found = check_quality(fold_window(pa.table({"f.c": later}), plan), plan)
            broken[chosen] += any(each.answer == "broken" for each in found)
    assert broken[True] == 0
    assert broken[False] > 0 or rows > 20_000, "which is why"
