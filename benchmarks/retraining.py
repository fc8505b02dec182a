"""Proofs of retraining in six worlds, with linear models, trees and flights: precision and recall.

`make bench-retraining` takes 15 minutes of two cores. Acts are judged twice: by the world's key and by
fresh rows that no model and no proof has read, on which the gain that was claimed is there or is not.
"""

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np
from scipy.stats import beta

from benchmarks.results import Row, at_least, publish
from harness.demo.flights import build_requests, load_tables
from tests.support.scenarios import (
    HELPS,
    SCENARIOS,
    Fit,
    Rows,
    Scenario,
    draw,
    linear,
    live,
    margin_of,
    mean_loss,
    rivals,
    trees,
    tried,
)

OLD, RECENT, FRESH = 20_000, 10_000, 40_000
COLUMNS = ("hour", "distance", "temperature", "humidity", "wind_speed", "visibility", "seats", "recent_delay")
KEYED = 8  # runs whose gains are measured in every world, acted or not: they show that the key is right


class Kind(NamedTuple):
    """A kind of model with its runs: 473 acts may hold one wrong, and still show a precision above .99."""

    name: str
    fit: Fit
    runs: int
    real: bool


KINDS = (
    Kind("linear", linear, 300, real=False),
    Kind("trees", trees, 320, real=False),
    Kind("flights, linear", linear, 300, real=True),
    Kind("flights, trees", trees, 320, real=True),
)


class Done(NamedTuple):
    """What a proof did; with the gains on fresh rows in margins, where they were measured.

    `cheaper` is that of the champion recalibrated, `further` what the better challenger adds to it;
    `confirmed` says whether the gain that was claimed is there.
    """

    scenario: Scenario
    action: str
    cheaper: float | None = None
    further: float | None = None
    confirmed: bool | None = None


class World:
    """Old, recent and fresh rows of one run, none of them twice."""

    def __init__(self, run: int, pool: Rows | None) -> None:
        self._run, self._pool = run, pool
        if pool is not None:
            rng = np.random.default_rng([run, 17])
            cuts = np.cumsum([OLD, 3 * RECENT])
            self._parts = np.split(rng.permutation(len(pool.y)), cuts)

    def rows(self, place: int, size: int, scenario: Scenario) -> Rows:
        """Return `size` rows: `place` is 0 for the old ones, 1 for recent ones, 2 for fresh ones."""
        rng = np.random.default_rng([self._run, place, SCENARIOS.index(scenario)])
        if self._pool is None:
            return draw(rng, size, scenario)
        return flights(
            rng, self._pool.x[self._parts[place]], self._pool.y[self._parts[place]], scenario, size
        )


def flights(rng: np.random.Generator, x: np.ndarray, y: np.ndarray, scenario: Scenario, size: int) -> Rows:
    """Return flights of 2013 in random order, so that nothing changes but what the scenario changes.

    `irrelevant` moves two columns of noise; `harder` flies later in the day; `concept` makes wind what delays
    a flight, and no longer an earlier delay; `prior` keeps every late flight and half of the others.
    """
    x, y = np.column_stack([x, rng.standard_normal((len(y), 2))]), y.copy()
    if scenario == "irrelevant":
        x[:, -2:] += 0.6
    if scenario == "concept":
        for name, above, chance in (("recent_delay", 0.3, y.mean() / 2), ("wind_speed", 0.8, 0.6)):
            changed = x[:, COLUMNS.index(name)] > above
            y[changed] = rng.random(int(changed.sum())) < chance
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


@cache
def flight_pool() -> Rows:
    """Return all flights that arrived: standardised numbers, unknown ones at the mean, late or not."""
    frame = build_requests(load_tables()).dropna(subset=["late"])
    x = frame[list(COLUMNS)].to_numpy(dtype=float)
    x = (x - np.nanmean(x, axis=0)) / np.nanstd(x, axis=0)
    return Rows(np.nan_to_num(np.clip(x, -4.0, 4.0)), frame["late"].to_numpy())


def proofs(kinds: Sequence[Kind] = KINDS, *, keyed: int = KEYED) -> Iterator[Row]:
    """Yield precision and recall of acting, with their limits, and what was done in each scenario."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # of the processes that are begun now
    for kind in kinds:
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            runs = range(kind.runs)
            done = pool.map(one_run, [kind] * kind.runs, runs, [run < keyed for run in runs], chunksize=5)
            yield from figures(kind, [each for found in done for each in found])


def one_run(kind: Kind, run: int, keyed: bool) -> list[Done]:
    """Return what was done in each scenario. A run's scenarios share their champion: half of the cost."""
    world = World(run, flight_pool() if kind.real else None)
    champion = live(kind.fit, world.rows(0, OLD, "none"))
    margin, found = margin_of(champion), []
    for scenario in SCENARIOS:
        learn, held = world.rows(1, RECENT, scenario).halves()
        against = rivals(kind.fit, champion, learn)
        moved = scenario in ("irrelevant", "harder")
        remedy = tried(champion, against, held, features="drift" if moved else "ok").remedy
        each = Done(scenario, remedy.action)
        if keyed or remedy.challenger is not None:
            fresh = world.rows(2, FRESH, scenario)
            losses = {name: mean_loss(scores(fresh.x), fresh.y) for name, scores in against.items()}
            cheaper = (mean_loss(champion.scores(fresh.x), fresh.y) - losses["recalibrated"]) / margin
            better = {name: (losses["recalibrated"] - losses[name]) / margin for name in ("recent", "all")}
            claimed = None
            if remedy.challenger is not None:
                further = better.get(remedy.challenger)
                claimed = cheaper > 1.0 if further is None else min(further, further + cheaper) > 1.0
            each = Done(scenario, remedy.action, cheaper, max(better.values()), claimed)
        found.append(each)
    return found


def figures(kind: Kind, done: Sequence[Done]) -> Iterator[Row]:
    """Yield the rows of one kind of model."""
    acted = [each for each in done if each.confirmed is not None]
    for scenario in SCENARIOS:
        here = [each for each in done if each.scenario == scenario]
        count = Counter(each.action for each in here)
        said = ", ".join(f"{action} {times}" for action, times in sorted(count.items()))
        acts = sum(each.confirmed is not None for each in here)
        yield Row(f"{kind.name}, {scenario}: acted", acts / len(here), "share", f"{said} of {len(here)}")
        yield from _gains(f"{kind.name}, {scenario}", here)
    keyed = [each for each in acted if each.scenario in HELPS]
    yield from _limited(f"{kind.name}: precision of acting, by the key", len(keyed), len(acted), 0.99)
    confirmed = sum(bool(each.confirmed) for each in acted)
    yield from _limited(f"{kind.name}: precision of acting, by fresh rows", confirmed, len(acted), 0.99)
    helped = kind.runs * len(HELPS)
    yield from _limited(f"{kind.name}: recall of acting", len(keyed), helped, 0.95)
    exact = sum(each.action == HELPS[each.scenario] for each in keyed)
    yield at_least(
        f"{kind.name}: the right remedy", exact / helped, "share", 0.95, against=f"{exact} of {helped}"
    )


def _gains(where: str, here: Iterable[Done]) -> Iterator[Row]:
    """Yield what fresh rows say of the key: the gain of recalibrating, and what retraining adds to it."""
    known = [(each.cheaper, each.further) for each in here if each.cheaper is not None]
    if known:
        cheaper, further = np.mean(known, axis=0)
        said = f"retraining adds {further:.2f}; mean of {len(known)} runs"
        yield Row(f"{where}: recalibrating truly gains", float(cheaper), "margins", said)


def _limited(name: str, right: int, whole: int, target: float) -> Iterator[Row]:
    low = float(beta.ppf(0.05, right, whole - right + 1)) if right else 0.0
    yield at_least(name, right / max(whole, 1), "share", target, against=f"{right} of {whole}")
    yield at_least(f"{name}, lower 95 % limit", low, "share", target, against="Clopper-Pearson")


def main() -> None:
    """Run all and write benchmarks/results/retraining.json."""
    said = ", ".join(f"{kind.runs} with {kind.name}" for kind in KINDS)
    notes = f"Seeded runs of each world: {said}; limits are one-sided. Fresh are {FRESH:,} rows for each act."
    publish("retraining", list(proofs()), notes=notes)


if __name__ == "__main__":
    main()
