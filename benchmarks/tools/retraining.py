"""Proofs of retraining in six worlds, with linear models, trees and flights: precision and recall."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from benchmarks.results import Row, at_least
from harness.demo.flights import build_requests, load_tables
from tests.support.scenarios import HELPS, SCENARIOS, Fit, Rows, Scenario, draw, linear, trees, tried

OLD, RECENT = 20_000, 10_000
COLUMNS = ("hour", "distance", "temperature", "humidity", "wind_speed", "visibility", "seats", "recent_delay")


def flights(rng: np.random.Generator, size: int, scenario: Scenario, pool: Rows) -> Rows:
    """Return flights of 2013 in random order, so that nothing changes but what the scenario changes.

    `irrelevant` moves two columns of noise; `harder` flies later in the day; `concept` gives flights after
    long recent delays a label that no longer depends on anything.
    """
    taken = rng.permutation(len(pool.y))[: 3 * size]
    x, y = pool.x[taken].copy(), pool.y[taken].copy()
    x = np.column_stack([x, rng.standard_normal((len(y), 2))])
    if scenario == "irrelevant":
        x[:, -2:] += 0.6
    if scenario == "concept":
        changed = x[:, COLUMNS.index("recent_delay")] > 0.3
        y[changed] = rng.random(int(changed.sum())) < y.mean() / 2
    if scenario == "tiny":
        flipped = rng.random(len(y)) < 0.001
        y[flipped] = 1.0 - y[flipped]
    keep = np.ones(len(y), dtype=bool)
    if scenario == "harder":
        keep = (x[:, 0] > 0.0) | (rng.random(len(y)) < 0.3)
    if scenario == "prior":
        keep = (y == 1.0) | (rng.random(len(y)) < 0.5)
    kept = np.flatnonzero(keep)[:size]
    return Rows(x[kept], y[kept])


def flight_pool() -> Rows:
    """Return all flights that arrived: standardised numbers, unknown ones at the mean, late or not."""
    frame = build_requests(load_tables()).dropna(subset=["late"])
    x = frame[list(COLUMNS)].to_numpy(dtype=float)
    x = (x - np.nanmean(x, axis=0)) / np.nanstd(x, axis=0)
    return Rows(np.nan_to_num(np.clip(x, -4.0, 4.0)), frame["late"].to_numpy())


def proofs() -> Iterator[Row]:
    """Yield precision and recall of acting, and what was done in each scenario."""
    pool = flight_pool()
    plans: tuple[tuple[str, Fit, int, bool], ...] = (
        ("linear", linear, 25, False),
        ("trees", trees, 3, False),
        ("flights, linear", linear, 10, True),
        ("flights, trees", trees, 2, True),
    )
    for name, fit, runs, real in plans:
        acted, helped = Counter[str](), Counter[str]()
        for scenario in SCENARIOS:
            done = Counter[str]()
            for run in range(runs):
                rng = np.random.default_rng([run, SCENARIOS.index(scenario), real])
                old = flights(rng, OLD, "none", pool) if real else draw(rng, OLD, "none")
                recent = flights(rng, RECENT, scenario, pool) if real else draw(rng, RECENT, scenario)
                moved = scenario in ("irrelevant", "harder")
                done[tried(fit, old, recent, features="drift" if moved else "ok").action] += 1
            acts = done["retrain"] + done["recalibrate"]
            acted["all"] += acts
            helped["all"] += runs * (scenario in HELPS)
            acted["right"] += acts * (scenario in HELPS)
            said = ", ".join(f"{action} {count}" for action, count in sorted(done.items()))
            yield Row(f"{name}, {scenario}: acted", acts / runs, "share", f"{said} of {runs}")
        yield at_least(f"{name}: precision of acting", acted["right"] / max(acted["all"], 1), "share", 0.99)
        yield at_least(f"{name}: recall of acting", acted["right"] / helped["all"], "share", 0.95)
