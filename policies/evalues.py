"""E-values: capital that a sceptic of the null would have won by fair bets (docs/adr/0008).

All functions return natural logarithms. Under the null an e-value expects at most 1 at every sample
size, so the chance that it *ever* reaches 1/alpha is at most alpha (Ville 1939): looking again is free.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
from scipy.special import betainc, betaln, gammaln

from policies.accumulators import GridCapital, Moments, TernaryCounts
from policies.columns import Floats, Ints

LN2 = math.log(2.0)
_TINIEST = 1e-300  # a smaller chance is taken for none: that only lowers an e-value


@cache
def grid(size: int, low: float, high: float) -> Floats:
    """Return `size` bets, geometric from `low` to `high`, each a share of the largest possible bet.

    >>> grid(3, 0.01, 0.25).round(3).tolist()
    [0.01, 0.05, 0.25]
    """
    bets: Floats = np.geomspace(low, high, size)
    bets.flags.writeable = False  # it is shared
    return bets


def sequential_mcnemar(better: int, worse: int, a: float) -> float:
    """Return the log e-value against P(better) = P(worse), two-sided; exact.

    The beta(a, a) mixture of binomial likelihoods over the discordant pairs (Robbins 1970; Howard et al.
    2021): ln B(a+b, a+c) - ln B(a, a) + (b+c) ln 2.

    >>> round(sequential_mcnemar(30, 10, 0.5), 9)
    3.154614025
    """
    return float(betaln(a + better, a + worse) - betaln(a, a)) + (better + worse) * LN2


def mcnemar_side(better: int, worse: int, a: float) -> float:
    """Return the log e-value against P(better) <= P(worse) given the past; exact.

    The mixture of `sequential_mcnemar` over the half of the prior in which better is likelier. The mean of
    both sides is the two-sided e-value.

    >>> round(two_sided(mcnemar_side(30, 10, 0.5), mcnemar_side(10, 30, 0.5)), 9)
    3.154614025
    """
    likelier = float(betainc(a + worse, a + better, 0.5))  # the posterior chance that better is likelier
    return sequential_mcnemar(better, worse, a) + LN2 + math.log(max(likelier, _TINIEST))


def mcnemar_sides(better: Ints, worse: Ints, a: float) -> Floats:
    """Return `mcnemar_side` of arrays of counts.

    >>> bool(mcnemar_sides(np.array([30]), np.array([10]), 0.5)[0] == mcnemar_side(30, 10, 0.5))
    True
    """
    likelier = np.maximum(betainc(a + worse, a + better, 0.5), _TINIEST)
    mixed = betaln(a + better, a + worse) - betaln(a, a) + (better + worse) * LN2
    log_e: Floats = mixed + LN2 + np.log(likelier)
    return log_e


def mcnemar_prior(discordant: float, alpha: float) -> float:
    """Return the `a` that serves best when about `discordant` discordant pairs are planned.

    >>> round(mcnemar_prior(2 * 7.9363, 0.05), 3)
    1.0
    """
    log_inverse = 2.0 * math.log(1.0 / alpha)
    return discordant / 2.0 / (log_inverse + math.log1p(log_inverse))


def betting_ternary(counts: TernaryCounts, null: float, bets: Floats) -> Floats:
    """Return the log capital of each bet against E[D | past] <= null, for D in {-1, 0, 1}; exact.

    Bet k stakes bets[k] of the largest stake 1/(null+1): from counts alone, at no cost per row.
    """
    stake = bets / (null + 1.0)
    capital: Floats = (
        counts.better * np.log1p(stake * (1.0 - null))
        + counts.level * np.log1p(-stake * null)
        + counts.worse * np.log1p(-bets)
    )
    return capital


def betting_values(values: Floats, null: float, bets: Floats) -> Floats:
    """Return the log capital of each bet against E[D | past] <= null, for D in [-1, 1]; exact.

    Waudby-Smith and Ramdas (2024), with a fixed grid in place of adaptive bets, so that the result does
    not depend on the order of the units. Each unit's logarithm is rounded down (`GridCapital`).
    """
    return np.array(GridCapital.of((values - null) / (null + 1.0), bets).log_capital())


def betting_search(values: Floats, bets: Floats) -> Callable[[float], Floats]:
    """Return `betting_values` as a function of the null, unrounded: a search rounds its own answer outwards.

    A search asks a dozen times, so every step of it writes into one buffer.
    """
    gains, won, stakes = np.empty(values.size), np.empty((bets.size, values.size)), bets[:, np.newaxis]

    def capital(null: float) -> Floats:
        np.subtract(values, null, out=gains)
        np.divide(gains, null + 1.0, out=gains)
        np.multiply(stakes, gains, out=won)
        np.add(won, 1.0, out=won)
        np.log(won, out=won)
        summed: Floats = np.add.reduce(won, axis=1)
        return summed

    return capital


def fan(count: int, total: float, squares: float, null: float, bets: Floats) -> Floats:
    """Return the log capital of each bet against E[D | past] <= null from three sums, for D >= -1; exact.

    Fan, Grama and Liu (2015): exp(bet s - psi(bet) v) with psi(x) = -ln(1-x) - x, s and v the sum and sum of
    squares of (D - null)/(null + 1). Needs the bound on one side only.

    >>> round(mixture(fan(400, 20, 60, 0.0, grid(16, 0.01, 0.3))), 9)
    1.654746315
    """
    reach = null + 1.0
    drift = (total - count * null) / reach
    spread = (squares - 2.0 * null * total + count * null * null) / reach**2
    psi = -np.log1p(-bets) - bets
    capital: Floats = bets * drift - psi * max(spread, 0.0)
    return capital


def fan_moments(moments: Moments, clip: int, null: float, bets: Floats) -> Floats:
    """Return `fan` of integer moments whose values lie in [-clip, clip]."""
    return fan(moments.count, moments.total / clip, moments.squares / clip**2, null, bets)


def mixture(capital: Floats) -> float:
    """Return the log of the mean capital over the grid: the e-value that gates.

    >>> mixture(np.zeros(16))
    0.0
    """
    logs: list[float] = capital.tolist()
    top = max(logs)
    # Sixteen numbers: scipy's general logsumexp takes forty times as long, and was most of a look.
    return top + math.log(math.fsum([math.exp(log - top) for log in logs]) / len(logs))


def two_sided(log_e_plus: float, log_e_minus: float) -> float:
    """Return the log of the mean of two one-sided e-values: an e-value against "no difference"."""
    return float(np.logaddexp(log_e_plus, log_e_minus)) - LN2


def self_normalised(total: float, squares: float, rho: float) -> float:
    """Return the log e-value against "D is symmetric about 0", two-sided.

    De la Pena (1999), Robbins (1970). Exact when the differences are symmetric given the past, as between
    exchangeable models; asymptotic else, so it never gates.

    >>> round(self_normalised(30, 100, 12.60051), 6)
    2.901375
    """
    return 0.5 * math.log(rho / (squares + rho)) + total * total / (2.0 * (squares + rho))


def share_mismatch(counts: Sequence[int], shares: Sequence[float], weight: float = 100.0) -> float:
    """Return the log e-value against "categories come with these shares" (Lindon and Malek 2022); exact.

    >>> round(share_mismatch([5300, 4700], [0.5, 0.5]), 9)
    15.524011683
    """
    return float(share_mismatches(np.asarray(counts), shares, weight))


def share_mismatches(counts: Ints, shares: Sequence[float], weight: float = 100.0) -> Floats:
    """Return `share_mismatch` of arrays of counts, a category each along the last axis.

    >>> share_mismatches(np.array([[5300, 4700], [0, 0]]), [0.5, 0.5]).round(9).tolist()
    [15.524011683, 0.0]
    """
    observed, expected = counts.astype(np.float64), np.asarray(shares, dtype=np.float64)
    prior = weight * expected
    found = gammaln(prior + observed).sum(axis=-1) - gammaln((prior + observed).sum(axis=-1))
    log_prior = float(gammaln(prior).sum() - gammaln(prior.sum()))
    log_e: Floats = found - log_prior - observed @ np.log(expected)
    return log_e


def effective_sample_size(weights: Sequence[float]) -> float:
    """Return Kish's effective sample size: how many equal weights would be worth as much.

    >>> round(effective_sample_size([1, 1, 1, 5]), 7)
    2.2857143
    """
    values = np.asarray(weights, dtype=np.float64)
    squares = float(values @ values)
    return float(values.sum()) ** 2 / squares if squares else 0.0
