"""Error rates under 100 looks: what is called exact holds its level, and the naive test beside it does not.

Paired accuracy at 15 % discordance, 100 looks of 400 decisions, no difference: 4,000 seeded runs. Tolerance:
alpha plus three standard errors of a rate of alpha. The e-values are those that gate, computed per run from
the same sums by array formulas, and checked against the scalar functions on some runs.
"""

import math

import numpy as np
import pytest
from scipy.special import betainc, betaln, logsumexp

from policies.accumulators import TernaryCounts
from policies.evalues import (
    betting_ternary,
    fan,
    grid,
    mcnemar_prior,
    mcnemar_side,
    mixture,
    sequential_mcnemar,
    two_sided,
)
from policies.policy_plan import GridPlan

ALPHA = 0.05
LOOKS, PER_LOOK, RUNS = 100, 400, 4_000
DISCORDANT = 0.15
TOLERANCE = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / RUNS)
DEFAULT = GridPlan()
BETS = grid(DEFAULT.size, DEFAULT.low, DEFAULT.high)
LIMIT = -math.log(ALPHA)


def paths(effect, seed, runs=RUNS):
    """Better and worse counts at each look, shape (runs, looks)."""
    rng = np.random.default_rng(seed)
    better, worse = (DISCORDANT + effect) / 2, (DISCORDANT - effect) / 2
    counts = rng.multinomial(PER_LOOK, [better, worse, 1 - DISCORDANT], size=(runs, LOOKS))
    return counts[..., 0].cumsum(axis=1), counts[..., 1].cumsum(axis=1)


def betting(better, worse):
    won, lost = np.log1p(BETS), np.log1p(-BETS)
    capital = better[..., None] * won + worse[..., None] * lost  # a level pair neither wins nor loses
    return logsumexp(capital, axis=-1) - math.log(BETS.size)


def three_sums(better, worse):
    psi = -np.log1p(-BETS) - BETS
    capital = (better - worse)[..., None] * BETS - (better + worse)[..., None] * psi
    return logsumexp(capital, axis=-1) - math.log(BETS.size)


def mcnemar(better, worse, a):
    return betaln(a + better, a + worse) - betaln(a, a) + (better + worse) * math.log(2)


def naive_z(better, worse):
    n = PER_LOOK * np.arange(1, LOOKS + 1)
    total = better - worse
    return total / np.sqrt(better + worse - total**2 / n)


PRIOR = mcnemar_prior(DISCORDANT * 11_773, ALPHA)


def both_sides(one_sided):
    return lambda b, c: np.logaddexp(one_sided(b, c), one_sided(c, b)) - math.log(2)


def mcnemar_one_side(better, worse):
    likelier = np.maximum(betainc(PRIOR + worse, PRIOR + better, 0.5), 1e-300)
    return mcnemar(better, worse, PRIOR) + math.log(2) + np.log(likelier)


EXACT = {
    "sequential McNemar, one side": mcnemar_one_side,
    "sequential McNemar": lambda b, c: mcnemar(b, c, PRIOR),
    "betting grid, one side": betting,
    "betting grid, both sides": both_sides(betting),
    "three sums, one side": three_sums,
    "three sums, both sides": both_sides(three_sums),
}


@pytest.fixture(scope="module")
def null():
    return paths(0.0, seed=20130201)


@pytest.mark.parametrize("name", EXACT)
def test_an_exact_e_value_promotes_an_equal_challenger_at_most_alpha_of_the_time(name, null):
    rate = float((EXACT[name](*null).max(axis=1) >= LIMIT).mean())
    assert rate <= TOLERANCE


def test_the_naive_paired_z_promotes_or_rejects_an_equal_challenger_a_third_of_the_time(null):
    rate = float((np.abs(naive_z(*null)).max(axis=1) >= 1.96).mean())
    assert 0.25 < rate < 0.45  # the exact rate is .3736 (Armitage, McPherson and Rowe 1969)


def test_the_array_formulas_are_the_functions_that_gate(null):
    better, worse = (counts[:3] for counts in null)
    for run, look in ((0, 0), (1, 50), (2, 99)):
        b, c = int(better[run, look]), int(worse[run, look])
        n = PER_LOOK * (look + 1)
        scalar = mixture(betting_ternary(TernaryCounts(b, n - b - c, c), 0.0, BETS))
        swapped = mixture(betting_ternary(TernaryCounts(c, n - b - c, b), 0.0, BETS))
        assert betting(better, worse)[run, look] == pytest.approx(scalar, abs=1e-9)
        assert EXACT["betting grid, both sides"](better, worse)[run, look] == pytest.approx(
            two_sided(scalar, swapped), abs=1e-9
        )
        assert three_sums(better, worse)[run, look] == pytest.approx(
            mixture(fan(n, b - c, b + c, 0.0, BETS)), abs=1e-9
        )
        one_side = mcnemar_one_side(np.array(b), np.array(c))
        assert one_side == pytest.approx(mcnemar_side(b, c, PRIOR), abs=1e-9)
        assert mcnemar(b, c, PRIOR) == pytest.approx(sequential_mcnemar(b, c, PRIOR), abs=1e-9)


def test_one_percentage_point_is_found_in_time():
    better, worse = paths(0.01, seed=7, runs=4_000)
    crossed = EXACT["betting grid, both sides"](better, worse) >= LIMIT
    stopped = np.where(crossed.any(axis=1), crossed.argmax(axis=1) + 1, LOOKS) * PER_LOOK
    assert float(crossed.any(axis=1).mean()) >= 0.97
    assert float(stopped.mean()) <= 14_500


@pytest.mark.parametrize("margin", [0.01])
def test_noninferiority_holds_its_level_at_the_margin(margin):
    better, worse = paths(-margin, seed=11, runs=4_000)
    level = PER_LOOK * np.arange(1, LOOKS + 1) - better - worse
    stake = BETS / (1.0 - margin)
    capital = (
        better[..., None] * np.log1p(stake * (1 + margin))
        + level[..., None] * np.log1p(stake * margin)
        + worse[..., None] * np.log1p(-BETS)
    )
    log_e = logsumexp(capital, axis=-1) - math.log(BETS.size)
    assert float((log_e.max(axis=1) >= LIMIT).mean()) <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / 2_000)


@pytest.mark.parametrize("discordant", [0.15, 0.002], ids=["usual", "rare losses"])
def test_a_thousand_looks_spend_no_more_than_alpha(discordant):
    runs, looks, per_look = 1_000, 1_000, 100
    rng = np.random.default_rng(41)
    false = dict.fromkeys(EXACT, 0)
    for _ in range(5):
        drawn = rng.multinomial(per_look, [discordant / 2] * 2 + [1 - discordant], size=(runs // 5, looks))
        better, worse = drawn[..., 0].cumsum(axis=1), drawn[..., 1].cumsum(axis=1)
        for name, log_e in EXACT.items():
            false[name] += int((log_e(better, worse).max(axis=1) >= LIMIT).sum())
    most = ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / runs)
    assert {name: count / runs for name, count in false.items() if count / runs > most} == {}
