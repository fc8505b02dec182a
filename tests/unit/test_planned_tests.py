"""Planned alternatives: golden numbers of the boundaries, and the oracles of the fixed-horizon tests."""

import math

import numpy as np
import pytest
from scipy.stats import mannwhitneyu
from statsmodels.stats.weightstats import ttost_paired

from policies.accumulators import Moments, TernaryCounts
from policies.errors import ColumnsError, PlanError
from policies.fixed_horizon import auc, delong, exact_mcnemar, tost, wilson
from policies.group_sequential import constant_bounds, crossing, spending_bounds, spent
from policies.planning import expected_units, fixed_size, suited_grid


def even(looks):
    return [k / looks for k in range(1, looks + 1)]


@pytest.mark.parametrize(
    ("looks", "chance"), [(2, 0.0831), (3, 0.1073), (4, 0.1262), (5, 0.1417), (10, 0.1934), (20, 0.2479)]
)
def test_the_error_of_repeated_looks_is_that_of_armitage_mcpherson_and_rowe(looks, chance):
    assert crossing([1.959964] * looks, even(looks)) == pytest.approx(chance, abs=6e-5)


def test_a_hundred_looks_at_five_percent_err_in_37_percent():
    assert crossing([1.959964] * 100, even(100)) == pytest.approx(0.3736, abs=6e-5)


@pytest.mark.parametrize(
    ("looks", "pocock", "final"),
    [(2, 2.1783, 1.9774), (3, 2.2895, 2.0040), (4, 2.3613, 2.0243), (5, 2.4132, 2.0401), (10, 2.555, 2.0865)],
)
def test_the_classical_constants(looks, pocock, final):
    assert constant_bounds(looks, "pocock") == pytest.approx([pocock] * looks, abs=6e-5)
    falling = constant_bounds(looks, "obrien-fleming")
    assert falling[-1] == pytest.approx(final, abs=6e-5)
    assert falling[0] == pytest.approx(falling[-1] * math.sqrt(looks))


def test_quadratic_spending_gives_the_bounds_of_spotify_confidence():
    bounds = spending_bounds(even(100), "quadratic")
    golden = [4.56479, 3.24636, 2.81485, 2.51988, 2.28523]
    assert [bounds[k] for k in (0, 24, 49, 74, 99)] == pytest.approx(golden, abs=5e-4)


@pytest.mark.parametrize("kind", ["obrien-fleming", "pocock", "quadratic"])
@pytest.mark.parametrize("times", [[0.3, 0.35, 0.8, 1.0], [0.1, 0.9], [1.0]])
def test_spending_bounds_spend_exactly_what_they_may_at_uneven_looks(kind, times):
    bounds = spending_bounds(times, kind)
    assert crossing(bounds, times) == pytest.approx(spent(kind, times[-1], 0.05), abs=1e-7)
    assert crossing(bounds, times, drift=2.8) > 0.6
    assert spent(kind, 1.0, 0.05) == pytest.approx(0.05)
    assert kind != "obrien-fleming" or list(bounds) == sorted(bounds, reverse=True)


def test_the_group_sequential_test_holds_its_level_in_simulation():
    rng, times = np.random.default_rng(12), np.array(even(5))
    walks = rng.standard_normal((20_000, 5)).cumsum(axis=1) / np.sqrt(np.arange(1, 6))
    for kind in ("obrien-fleming", "pocock"):
        rate = (np.abs(walks) >= spending_bounds(times.tolist(), kind)).any(axis=1).mean()
        assert rate == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / 20_000))


@pytest.mark.parametrize("times", [[], [0.5, 0.5], [0.0, 1.0], [0.5, 1.1], [float("nan")], [0.001] * 201])
def test_times_that_do_not_rise_are_refused(times):
    with pytest.raises(PlanError):
        spending_bounds(times, "pocock")
    with pytest.raises(PlanError):
        spending_bounds([1.0], "pocock", alpha=0.0)


def test_mcnemar_is_the_binomial_test():
    assert exact_mcnemar(TernaryCounts(30, 100, 10)).p == pytest.approx(0.0022214337732293643)
    assert exact_mcnemar(TernaryCounts(0, 5, 0)) == (
        "exact McNemar",
        0.0,
        None,
        "no pair differs",
        "exact",
        True,
    )
    assert exact_mcnemar(TernaryCounts.empty()).point is None


def test_tost_is_that_of_statsmodels():
    values = np.random.default_rng(6).integers(-900, 1_000, 400)
    wanted = ttost_paired(values.astype(float), np.zeros(400), -100.0, 100.0)[0]
    assert tost(Moments.of(values), 100.0).p == pytest.approx(wanted, rel=1e-9)
    far = Moments.of(values % 2 + 10**9)  # a float variance would be noise here
    assert tost(far, 1e9 + 0.5).p == pytest.approx(tost(Moments.of(values % 2), 0.5).p, rel=1e-3)
    assert tost(Moments(3, 30, 300), 1.0).reason == "all differences are alike"
    assert tost(Moments(1, 1, 1), 1.0).p is None
    with pytest.raises(PlanError):
        tost(far, 0.0)


def test_wilson_of_nothing_is_everything():
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(10, 20) == pytest.approx((0.2992980, 0.7007020), abs=1e-7)
    with pytest.raises(ColumnsError):
        wilson(3, 2)


def scored(rows, seed, noise):
    rng = np.random.default_rng(seed)
    label = (rng.random(rows) < 0.3).astype(float)
    return label, *(np.round(label + rng.normal(0, each, rows), 1) for each in noise)


def test_auc_is_mann_whitney_with_ties():
    label, score, _ = scored(500, 1, (1.0, 1.0))
    wanted = mannwhitneyu(score[label == 1], score[label == 0]).statistic / (sum(label) * sum(1 - label))
    assert auc(score, label) == pytest.approx(wanted)
    assert auc(score, np.ones(500)) is None


def test_delong_is_its_definition_by_all_pairs():
    label, live, other = scored(120, 2, (1.0, 0.8))
    x, y = label == 1, label == 0
    wins = [(s[x][:, None] > s[y][None, :]) + 0.5 * (s[x][:, None] == s[y][None, :]) for s in (live, other)]
    difference = wins[1] - wins[0]
    variance = difference.mean(axis=1).var(ddof=1) / x.sum() + difference.mean(axis=0).var(ddof=1) / y.sum()
    found = delong(live, other, label)
    assert found.point == pytest.approx(difference.mean())
    assert found.p == pytest.approx(math.erfc(abs(found.point) / math.sqrt(2 * variance)))
    assert found.planned_once


def test_delong_holds_its_level_for_equal_models():
    rng, rejected = np.random.default_rng(3), 0
    for _ in range(400):
        label = (rng.random(200) < 0.3).astype(float)
        shared = label + rng.normal(0, 1, 200)
        live, other = (shared + rng.normal(0, 0.7, 200) for _ in range(2))
        rejected += delong(live, other, label).p < 0.05
    assert rejected / 400 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 400)


def test_delong_of_too_little_or_alike_says_so():
    label, live, _ = scored(50, 4, (1.0, 1.0))
    assert delong(live, live, label).reason == "both models rank alike"
    assert delong(live, live, np.ones(50)).p is None
    with pytest.raises(ColumnsError):
        delong(live, live, label + 0.5)
    with pytest.raises(ColumnsError):
        delong(live, np.full(50, np.nan), label)


def test_sizes_of_one_planned_look():
    assert fixed_size(0.01, discordant=0.15) == pytest.approx(11_773, abs=5)
    assert fixed_size(0.02, discordant=0.15) == pytest.approx(2_943, abs=5)
    for bad in ({"effect": 0.0}, {"effect": 0.2}, {"discordant": 0.0}, {"power": 1.0}, {"alpha": 0.5}):
        with pytest.raises(PlanError):
            fixed_size(**{"effect": 0.01, "discordant": 0.15, **bad})


def test_expected_units_are_those_of_a_simulation_and_a_suited_grid_needs_fewer():
    default = expected_units(0.01, discordant=0.15)
    assert default == pytest.approx(12_419, rel=0.06)  # benchmarks/policies.py, mean of 8,000 runs
    suited = expected_units(0.01, discordant=0.15, grid=suited_grid(0.01, discordant=0.15))
    assert suited < 0.95 * default
    assert expected_units(0.0, discordant=0.15, null=-0.01) < expected_units(
        0.0, discordant=0.15, null=-0.005
    )
    assert expected_units(0.0, discordant=0.15, null=0.01) is None
