"""Drift against its targets: cost of a report, alarms by world and rule, detector.

`make bench-drift` takes some ten minutes of two cores, most of them in the reports of other tools at a
million rows. Reports run alone, since they are timed; then the alarms of other tools beside ours. Evidently
and NannyML cannot stand beside this project: they have an environment of their own.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa

from benchmarks.results import Row, at_least, at_most, publish
from benchmarks.tools import drift_peers
from policies.accumulators import Moments
from policies.drift import (
    DriftRule,
    MonitorPlan,
    WindowState,
    compare,
    cut_feature,
    fold_window,
)
from policies.drift.detector import Detector, DetectorPlan, LossDay, baseline_of
from policies.drift.quality import broken, check_quality
from tests.support import worlds

WORLDS: tuple[worlds.World, ...] = ("null", "immaterial", "meaningful", "broken", "missing", "level")

# Rows a day, days that are judged in each world, days of the reference.
SIZES = ((1_000, 80, 28), (10_000, 12, 28), (100_000, 2, 14))


def alarm_table(sizes: Sequence[tuple[int, int, int]] = SIZES) -> Iterator[Row]:
    """Yield the share of days with an alarm, by size, world and whether features move from day to day."""
    quiet, false = 0, 0
    for size, windows, days in sizes:
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


def jittering_years(references: int = 10, windows: int = 100) -> Iterator[Row]:
    """Yield false alarms a year over many references and days at 1,000 rows, features moving as usual."""
    false = 0
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
    rows = [*states(), *drift_peers.reports()]
    with ThreadPoolExecutor(1) as beside:  # it waits for a process of its own
        theirs = beside.submit(lambda: list(drift_peers.alarms()))
        rows += [*alarm_table(), *jittering_years()]
        rows += [*theirs.result(), *detectors()]
    publish(
        "drift",
        rows,
        notes="Processor time of one thread; memory is the largest resident size of a process of its own. "
        f"Other tools have at most {drift_peers.SECONDS_MAX} CPU s and {drift_peers.MB_MAX:,} MB a report.",
    )


if __name__ == "__main__":
    main()
