"""How much a feature moves from day to day anyway, learned by comparing each reference day with the others.

What a day differs beyond sampling noise is that day's own movement. Its variance is estimated by moments and
raised to an upper 95 % limit, because few days are known; all of it is put into one direction, which is the
worst case for the tail. A day is left out of the pool that it is compared with, by subtraction.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from scipy.stats import chi2

from policies.drift.distance import (
    BRIDGE_VARIANCE,
    KS_SQUARE,
    compare_counts,
    effective,
    ks_distance,
    rank_shift,
)
from policies.drift.plan import NUMBERS, FeaturePlan
from policies.drift.state import FeatureState

_CONFIDENCE = 0.95


class Variation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Day-to-day variances of one feature over `days` reference days, each on its own scale.

    `ks` and `counts` multiply the size of a comparison; `rank` is of the shift in rank, `presence` of the
    share of rows without a value.
    """

    days: int
    ks: float = 0.0
    rank: float = 0.0
    counts: float = 0.0
    presence: float = 0.0


class Distances(NamedTuple):
    """How one window of a feature differs from a pool, on every scale that applies."""

    size: float
    ks: float
    shift: float
    shift_variance: float
    statistic: float
    freedom: int
    absent: tuple[int, int]
    rows: tuple[int, int]


def distances(pool: FeatureState, now: FeatureState) -> Distances:
    """Return the distances between the reference's pool and a window; both histograms serve a number."""
    counts = compare_counts(pool.levels, now.levels)
    shift, variance = (
        rank_shift(pool.edges, now.edges) if pool.edges.size else rank_shift(pool.bits, now.bits)
    )
    return Distances(
        size=effective(pool.present, now.present),
        ks=max(ks_distance(pool.bits, now.bits), ks_distance(pool.edges, now.edges)),
        shift=shift,
        shift_variance=variance,
        statistic=counts.statistic,
        freedom=counts.freedom,
        absent=(pool.rows - pool.present, now.rows - now.present),
        rows=(pool.rows, now.rows),
    )


def learn(
    plan: FeaturePlan, days: Sequence[tuple[str, FeatureState]], pools: Mapping[str, FeatureState]
) -> Variation:
    """Return the variation of one feature over its days, each named with the pool that holds it.

    Days without a value, or alone in their pool, teach nothing.
    """
    found = [distances(pools[pool].subtract(day), day) for pool, day in days]
    valued = [each for each in found if each.size > 0.0]
    number = plan.type in NUMBERS
    return Variation(
        days=len(valued),
        ks=_excess(valued, lambda d: (d.ks**2 - KS_SQUARE / d.size) / BRIDGE_VARIANCE) if number else 0.0,
        rank=_excess(valued, lambda d: d.shift**2 - d.shift_variance) if number else 0.0,
        counts=0.0 if number else _excess(valued, lambda d: (d.statistic - d.freedom) / d.size),
        presence=_excess((each for each in found if all(each.rows)), _presence_excess),
    )


def _presence_excess(found: Distances) -> float:
    (k, j), (m, n) = found.absent, found.rows
    share = (k + j) / (m + n)
    return float((j / n - k / m) ** 2 - share * (1.0 - share) / effective(m, n))


def _excess(found: Iterable[Distances], of: Callable[[Distances], float]) -> float:
    """Return the upper limit of a variance whose daily estimates these are; 0 when chance explains them."""
    values = [of(each) for each in found]
    if not values:
        return 0.0
    raised = len(values) / float(chi2.ppf(1.0 - _CONFIDENCE, len(values)))
    return raised * max(sum(values) / len(values), 0.0)
