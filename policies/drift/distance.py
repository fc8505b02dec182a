"""Distances between two windows from their integer counts, and how likely chance alone gives them.

Every distance from bins is at most that between the rows themselves, so tests from bins err to the safe side.
`variation` is the feature's own day-to-day variance (policies/drift/variation.py): it widens what chance is
allowed, so that an ordinary day is not news however many rows it has.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import kolmogorov, ndtr
from scipy.stats import beta, binom, chi2, hypergeom

from policies.columns import Ints

KS_SQUARE = math.pi**2 / 12.0  # what the square of Kolmogorov's statistic expects by chance
BRIDGE_VARIANCE = 0.25  # the largest variance of a Brownian bridge: it rules the tail
_LEAST_EXPECTED = 5.0
_SURE = 1e-6  # the chance that a limit of the reference's own share is wrong; added to what is reported


class Counts(NamedTuple):
    """A test of homogeneity over categories: chi-square, degrees of freedom, distance in total variation.

    `noise` is the distance that chance alone would give; categories with few rows are taken together.
    """

    statistic: float
    freedom: int
    distance: float
    noise: float


def effective(n: int, m: int) -> float:
    """Return the size nm/(n+m) that two samples are worth when they are compared; 0 of nothing."""
    return n * m / (n + m) if n and m else 0.0


def ks_distance(a: Ints, b: Ints) -> float:
    """Return the largest difference of two cumulative distributions over the same ordered bins, 0 to 1.

    >>> ks_distance(np.array([1, 0]), np.array([0, 3]))
    1.0
    """
    n, m = int(a.sum()), int(b.sum())
    if not n or not m:
        return 0.0
    return float(np.abs(np.cumsum(a) / n - np.cumsum(b) / m).max())


def ks_chance(distance: float, size: float, variation: float) -> float:
    """Return the chance of at least this distance when only noise and the usual variation are at work."""
    return float(kolmogorov(distance * math.sqrt(size / (1.0 + size * variation))))


def rank_shift(a: Ints, b: Ints) -> tuple[float, float]:
    """Return P(b above a) + P(tie)/2 - 1/2 and its variance when both are alike (Mann and Whitney 1947).

    >>> rank_shift(np.array([5]), np.array([7]))
    (0.0, 0.0)
    """
    n, m = int(a.sum()), int(b.sum())
    if not n or not m:
        return 0.0, 0.0
    below = np.cumsum(a) - a
    above = float(((below + a / 2.0) * (b / m)).sum()) / n
    ties = (a + b).astype(np.float64)
    whole = float(n + m)
    tied = float((ties**3 - ties).sum()) / (whole * (whole - 1.0))
    return above - 0.5, max(whole + 1.0 - tied, 0.0) / (12.0 * n * m)


def rank_chance(shift: float, variance: float, variation: float) -> float:
    """Return the chance of a shift at least that far to either side."""
    spread = math.sqrt(variance + variation)
    return 1.0 if spread == 0.0 else 2.0 * float(ndtr(-abs(shift) / spread))


def compare_counts(a: Ints, b: Ints) -> Counts:
    """Return how two samples over the same categories differ; both counts are used as samples.

    Categories whose expected count is below 5 on either side are taken together as one.
    """
    n, m = int(a.sum()), int(b.sum())
    if not n or not m:
        return Counts(0.0, 0, 0.0, 0.0)
    whole = a + b
    rare = whole * (min(n, m) / (n + m)) < _LEAST_EXPECTED
    pooled = [np.append(each[~rare], each[rare].sum()).astype(np.float64) for each in (a, b)]
    kept = pooled[0] + pooled[1] > 0
    first, second = pooled[0][kept], pooled[1][kept]
    share = (first + second) / (n + m)
    difference = first / n - second / m
    size = effective(n, m)
    noise = math.sqrt(2.0 / math.pi / size) * float(np.sqrt(share * (1.0 - share)).sum()) / 2.0
    statistic = size * float((difference**2 / share).sum())
    return Counts(statistic, int(kept.sum()) - 1, float(np.abs(difference).sum()) / 2.0, noise)


def counts_chance(found: Counts, size: float, variation: float) -> float:
    """Return the chance of at least this chi-square when only noise and the usual variation are at work."""
    if not found.freedom:
        return 1.0
    return float(chi2.sf(found.statistic / (1.0 + size * variation), found.freedom))


def share_chance(parts: tuple[int, int], wholes: tuple[int, int], variation: float) -> float:
    """Return the chance that two shares of rows (reference, now) differ that much, to either side.

    Without variation it is Fisher's exact test, doubled; with it the larger of that and the scaled z.
    """
    (k, j), (m, n) = parts, wholes
    if not m or not n or k + j in (0, m + n):
        return 1.0
    law = hypergeom(m + n, k + j, n)
    exact = min(1.0, 2.0 * min(float(law.cdf(j)), float(law.sf(j - 1))))
    share, size = (k + j) / (m + n), effective(m, n)
    z = abs(j / n - k / m) / math.sqrt(share * (1.0 - share) / size + variation)
    return max(exact, 2.0 * float(ndtr(-z)))


def ks_chance_beyond(distance: float, size: float, floor: float) -> float:
    """Return the chance of at least this distance when the true one is at most `floor`."""
    return float(kolmogorov(math.sqrt(size) * max(distance - floor, 0.0)))


def counts_chance_beyond(found: Counts, size: float, floor: float) -> float:
    """Return a bound on the chance of this distance when the true total variation is at most `floor`.

    Hoeffding's bound for each of the 2**k sets of categories, added up: for any sample size.
    """
    if not found.freedom:
        return 1.0
    log_chance = (found.freedom + 1) * math.log(2.0) - 2.0 * size * max(found.distance - floor, 0.0) ** 2
    return math.exp(min(log_chance, 0.0))


def share_chance_beyond(parts: tuple[int, int], wholes: tuple[int, int], floor: float) -> float:
    """Return a bound on the chance of this share when it truly moved by at most `floor`."""
    (k, j), (m, n) = parts, wholes
    if not m or not n:
        return 1.0
    high = 1.0 if k == m else float(beta.isf(_SURE, k + 1, m - k))
    low = 0.0 if k == 0 else float(beta.ppf(_SURE, k, m - k + 1))
    rise = float(binom.sf(j - 1, n, min(1.0, high + floor)))
    fall = float(binom.cdf(j, n, max(0.0, low - floor)))
    return min(1.0, 2.0 * (min(rise, fall) + _SURE))


def debiased(distance: float, noise_square: float) -> float:
    """Return a distance without what chance adds to it on average."""
    return math.sqrt(max(distance * distance - noise_square, 0.0))
