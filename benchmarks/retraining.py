"""Proofs of retraining in six worlds, with linear models, trees and flights: precision and recall.

`python -m benchmarks.retraining` takes some ten minutes of processor time.
"""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
from scipy.stats import beta

from benchmarks.results import Row, at_least, publish
from harness.demo.flights import build_requests, load_tables
from tests.support.scenarios import HELPS, SCENARIOS, Fit, Rows, Scenario, draw, linear, live, trees, tried

OLD, RECENT = 20_000, 10_000
COLUMNS = ("hour", "distance", "temperature", "humidity", "wind_speed", "visibility", "seats", "recent_delay")
# Each kind of model with its runs of each scenario: 300 acts that are all right show a precision above .99.
KINDS: tuple[tuple[str, Fit, int, bool], ...] = (
    ("linear", linear, 300, False),
    ("trees", trees, 160, False),
    ("flights, linear", linear, 300, True),
    ("flights, trees", trees, 160, True),
)


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
    """Yield precision and recall of acting, with their limits, and what was done in each scenario."""
    with ProcessPoolExecutor(len(KINDS), mp_context=get_context("spawn")) as pool:
        for (name, _, runs, _), done in zip(KINDS, pool.map(_actions, range(len(KINDS))), strict=True):
            yield from _figures(name, done, runs)


def _actions(kind: int) -> dict[Scenario, Counter[str]]:
    """Return what was done in each scenario. A run's scenarios share their champion: half of the cost."""
    _, fit, runs, real = KINDS[kind]
    pool = flight_pool() if real else None
    done: dict[Scenario, Counter[str]] = {scenario: Counter() for scenario in SCENARIOS}
    for run in range(runs):

        def rows(place: int, size: int, scenario: Scenario, run: int = run) -> Rows:
            rng = np.random.default_rng([run, place, pool is not None])
            return draw(rng, size, scenario) if pool is None else flights(rng, size, scenario, pool)

        champion = live(fit, rows(len(SCENARIOS), OLD, "none"))
        for place, scenario in enumerate(SCENARIOS):
            moved = scenario in ("irrelevant", "harder")
            proof = tried(fit, champion, rows(place, RECENT, scenario), features="drift" if moved else "ok")
            done[scenario][proof.remedy.action] += 1
    return done


def _figures(name: str, done: dict[Scenario, Counter[str]], runs: int) -> Iterator[Row]:
    acts = {scenario: found["retrain"] + found["recalibrate"] for scenario, found in done.items()}
    for scenario, found in done.items():
        said = ", ".join(f"{action} {count}" for action, count in sorted(found.items()))
        yield Row(f"{name}, {scenario}: acted", acts[scenario] / runs, "share", f"{said} of {runs}")
    helped = [scenario for scenario in SCENARIOS if scenario in HELPS]
    right = sum(acts[scenario] for scenario in helped)
    for what, whole, target in (
        ("precision", sum(acts.values()), 0.99),
        ("recall", runs * len(helped), 0.95),
    ):
        low = float(beta.ppf(0.05, right, whole - right + 1)) if right else 0.0
        said = f"{right} of {whole}"
        yield at_least(f"{name}: {what} of acting", right / max(whole, 1), "share", target, against=said)
        yield at_least(f"{name}: {what}, lower 95 % limit", low, "share", target, against="Clopper-Pearson")
    exact = sum(done[scenario][HELPS[scenario]] for scenario in helped)
    yield Row(
        f"{name}: the right remedy", exact / (runs * len(helped)), "share", f"{exact} of {runs * len(helped)}"
    )


def main() -> None:
    """Run all and write benchmarks/results/retraining.json."""
    notes = "Seeded runs, 300 of each scenario with linear models and 160 with trees; limits are one-sided."
    publish("retraining", list(proofs()), notes=notes)


if __name__ == "__main__":
    main()
