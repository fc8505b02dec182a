"""Confidence sequences: the true difference lies inside at all looks, and verdicts hold their level."""

import math

import numpy as np
import pytest

from policies import Look, decide, fold
from policies.accumulators import Moments, TernaryCounts
from policies.evalues import grid
from policies.naive import naive_paired_z
from policies.sample import Sample
from tests.support.pairs import integrity, paired, plan

ALPHA = 0.1
RUNS = 200
TOLERANCE = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)
NONE = np.zeros(0)


def sample(method, better, level, worse):
    n, total, squares = better + level + worse, better - worse, better + worse
    bets = grid(16, 0.01, 0.3)
    return Sample(method, 1, 0, Moments(n, total, squares), TernaryCounts(better, level, worse), NONE, bets)


@pytest.mark.parametrize("method", ["betting grid over counts", "three-sum mixture"])
@pytest.mark.parametrize("mean", [0.0, 0.05, -0.6])
def test_the_truth_leaves_the_sequence_at_most_alpha_of_the_time(method, mean):
    rng = np.random.default_rng(round(1000 + 100 * mean))
    spread = max(0.2, abs(mean))
    odds = [(spread + mean) / 2, 1 - spread, (spread - mean) / 2]
    missed = 0
    for _ in range(RUNS):
        counts = rng.multinomial(80, odds, size=6).cumsum(axis=0)
        intervals = [sample(method, *map(int, row)) for row in counts]
        missed += any(
            mean < each.lower(ALPHA / 2) or mean > -each.lower(ALPHA / 2, swapped=True) for each in intervals
        )
    assert missed / RUNS <= TOLERANCE


def test_a_verdict_promotes_an_equal_challenger_at_most_alpha_of_the_time_and_the_naive_z_more_often():
    chosen = plan({"name": "brier"}, alpha=ALPHA)
    rng = np.random.default_rng(12)
    runs, looks, per_look = 100, 10, 100
    stops = [per_look * (k + 1) for k in range(looks)]
    promoted = naive = 0
    for _ in range(runs):
        noise = rng.normal(0, 0.1, size=(2, looks * per_look))
        live, other = np.clip(0.4 + noise, 0, 1)
        label = (rng.random(looks * per_look) < 0.4).astype(float)
        table = paired(live.tolist(), other.tolist(), label.tolist())
        evidence, previous = None, []
        state = "HOLD"
        for k in range(looks):
            part = fold(table.slice(k * per_look, per_look), chosen)
            evidence = part if evidence is None else evidence.merge(part)
            found = decide(evidence, chosen, integrity=integrity(looks * per_look), previous=previous)
            previous.append(Look.of(k + 1, found.estimates))
            state = found.state
        promoted += state == "PROMOTE"
        scores = naive_paired_z(table, chosen.metrics[0], stops)
        naive += any(z is not None and z >= 1.2816 for z in scores)
    assert promoted / runs <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)
    assert naive / runs > 0.2


def test_the_naive_z_has_no_value_where_there_is_none():
    chosen = plan({"name": "brier"}).metrics[0]
    assert naive_paired_z(paired([], [], []), chosen) == [None]
    assert naive_paired_z(paired([0.1, 0.1], [0.2, 0.2], [0.0, 0.0]), chosen, [0, 1, 2]) == [None, None, None]
