"""Golden numbers, and the proof by enumeration that no e-value expects more than 1 under its null."""

import math

import numpy as np
import pytest

from policies.accumulators import GridCapital, TernaryCounts
from policies.evalues import (
    betting_search,
    betting_ternary,
    betting_values,
    effective_sample_size,
    fan,
    grid,
    mcnemar_prior,
    mixture,
    self_normalised,
    sequential_mcnemar,
    share_mismatch,
    two_sided,
)

BETS = grid(16, 0.01, 0.3)
WIDE = grid(24, 0.002, 0.95)
N_MAX = 12


@pytest.mark.parametrize(
    ("found", "golden"),
    [
        (sequential_mcnemar(30, 10, 0.5), 3.154614025),
        (sequential_mcnemar(60, 40, 10.0), 0.782343315),
        (mixture(fan(400, 20, 60, 0.0, BETS)), 1.654746315),
        (mixture(fan(400, 20, 60, -0.01, BETS)), 2.382078094),
        (mixture(betting_ternary(TernaryCounts(40, 340, 20), 0.0, BETS)), 1.930842898),
        (share_mismatch([5300, 4700], [0.5, 0.5]), 15.524011683),
        (effective_sample_size([1, 1, 1, 5]), 2.2857143),
    ],
)
def test_formulas_give_the_golden_numbers(found, golden):
    assert found == pytest.approx(golden, abs=1e-7 if golden == 2.2857143 else 1e-9)


def test_self_normalised_gives_its_golden_number_at_the_digits_of_its_tuning():
    assert self_normalised(30, 100, 12.60051) == pytest.approx(2.901375011, abs=2e-8)


def test_the_prior_of_the_planned_discordant_pairs():
    assert mcnemar_prior(2 * 7.9363, 0.05) == pytest.approx(1.0, abs=1e-4)


def ternary_distribution(n, better, worse):
    """Yield every (b, z, c) of n trials with its probability."""
    for b in range(n + 1):
        for c in range(n - b + 1):
            ways = math.comb(n, b) * math.comb(n - b, c)
            yield (
                TernaryCounts(b, n - b - c, c),
                ways * better**b * worse**c * (1 - better - worse) ** (n - b - c),
            )


@pytest.mark.parametrize("null", [-0.3, -0.01, 0.0, 0.01, 0.3])
@pytest.mark.parametrize("discordant", [0.05, 0.15, 0.5, 1.0])
@pytest.mark.parametrize("bets", [BETS, WIDE], ids=["narrow", "wide"])
def test_betting_and_three_sums_expect_at_most_one_for_every_n_and_mean_up_to_the_null(
    null, discordant, bets
):
    for mean in (null, null - 0.05, null - 0.3):
        better, worse = (discordant + mean) / 2, (discordant - mean) / 2
        if better < 0 or worse < 0:
            continue
        for n in range(N_MAX + 1):
            betting = sums = 0.0
            for counts, probability in ternary_distribution(n, better, worse):
                b, c = counts.better, counts.worse
                betting += probability * math.exp(mixture(betting_ternary(counts, null, bets)))
                sums += probability * math.exp(mixture(fan(n, b - c, b + c, null, bets)))
            assert betting <= 1 + 1e-12
            assert sums <= 1 + 1e-12
            if mean == null:
                assert betting == pytest.approx(1.0, abs=1e-12)  # a fair game: nothing is given away


@pytest.mark.parametrize("a", [0.5, 1.0, 10.0])
@pytest.mark.parametrize("discordant", [0.05, 0.5, 1.0])
def test_sequential_mcnemar_expects_exactly_one_under_its_null(a, discordant):
    for n in range(N_MAX + 1):
        expected = sum(
            p * math.exp(sequential_mcnemar(k.better, k.worse, a))
            for k, p in ternary_distribution(n, discordant / 2, discordant / 2)
        )
        assert expected == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("null", [-0.2, 0.0, 0.2])
def test_each_step_is_a_supermartingale_from_every_state(null):
    better, worse = (0.4 + null) / 2, (0.4 - null) / 2
    for b in range(7):
        for c in range(7 - b):
            for z in range(3):
                now = math.exp(mixture(betting_ternary(TernaryCounts(b, z, c), null, BETS)))
                then = sum(
                    p * math.exp(mixture(betting_ternary(TernaryCounts(b + i, z + j, c + k), null, BETS)))
                    for p, i, j, k in ((better, 1, 0, 0), (worse, 0, 0, 1), (1 - better - worse, 0, 1, 0))
                )
                assert then <= now * (1 + 1e-12)


def test_self_normalised_expects_at_most_one_for_symmetric_differences():
    for n in range(N_MAX + 1):
        expected = sum(
            p * math.exp(self_normalised(k.better - k.worse, k.better + k.worse, 5.0))
            for k, p in ternary_distribution(n, 0.2, 0.2)
        )
        assert expected <= 1 + 1e-12


def test_counts_and_values_agree_and_rounding_only_costs():
    values = np.array([1.0] * 40 + [0.0] * 340 + [-1.0] * 20)
    for null in (-0.01, 0.0, 0.02):
        exact = betting_ternary(TernaryCounts(40, 340, 20), null, BETS)
        rounded = betting_values(values, null, BETS)
        assert (rounded <= exact + 1e-12).all()
        assert np.allclose(rounded, exact, atol=400 * 2.0**-40 + 1e-11)


def test_a_search_asks_again_without_a_trace_and_lies_above_what_is_rounded_down():
    values = np.linspace(-1.0, 1.0, 61)
    capital = betting_search(values, BETS)
    asked = {null: capital(null).tolist() for null in (0.3, -0.5, 0.0)}
    for null, found in asked.items():
        gains = np.multiply.outer(BETS, (values - null) / (null + 1.0))
        assert capital(null).tolist() == found == np.log(1.0 + gains).sum(axis=1).tolist()
        assert (betting_values(values, null, BETS) <= np.array(found) + 1e-12).all()


def test_no_unit_is_capital_one():
    assert mixture(betting_values(np.zeros(0), 0.0, BETS)) == 0.0
    assert GridCapital.of(np.zeros(0), BETS) == GridCapital.empty(16)
    assert mixture(fan(0, 0, 0, 0.0, BETS)) == 0.0
    assert sequential_mcnemar(0, 0, 1.0) == 0.0


def test_two_sided_is_the_mean_of_both_sides():
    assert two_sided(math.log(3), math.log(1)) == pytest.approx(math.log(2))


def test_a_mixture_of_huge_and_tiny_capital_is_finite():
    assert mixture(np.array([5000.0, -5000.0])) == pytest.approx(5000.0 - math.log(2))
