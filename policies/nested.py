"""Sequences are nested in alpha: what a smaller alpha leaves out, a larger one does too, in every sample.

Checked on the ends that an estimate tells, rounding and search included, for every sample of up to twelve
ternary outcomes.
"""

from collections.abc import Callable, Iterator
from typing import get_args

import msgspec
import numpy as np

from policies.accumulators import Moments, TernaryCounts
from policies.enumeration import N_MAX
from policies.evalues import grid
from policies.policy_plan import GridPlan
from policies.sample import Method, Sample

ALPHAS = (0.01, 0.05, 0.1, 0.2, 0.4)
Ends = Callable[[TernaryCounts, float], tuple[float, float]]


class Nested(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One kind of sequence over every sample; `levels` of alpha were held against each other."""

    sequence: str
    samples: int
    levels: int
    holds: bool


def nested(n_max: int = N_MAX) -> tuple[Nested, ...]:
    """Return for each kind of sequence whether its ends are nested and hold the mean, up to `n_max` outcomes.

    >>> [each.holds for each in nested(1)]
    [True, True, True]
    """
    return tuple(checked_ends(method, ends_of(method), n_max) for method in get_args(Method))


def checked_ends(name: str, ends: Ends, n_max: int) -> Nested:
    """Return whether these ends are nested in every sample."""
    count, holds = 0, True
    for counts in _samples(n_max):
        count += 1
        mean = (counts.better - counts.worse) / max(counts.count, 1)
        outer = (-1.0, 1.0)
        for alpha in ALPHAS:  # from the smallest on, each interval lies in the one before it
            low, high = ends(counts, alpha)
            holds = holds and outer[0] <= low <= mean <= high <= outer[1]
            outer = low, high
    return Nested(name, count, len(ALPHAS), holds)


def ends_of(method: Method) -> Ends:
    """Return the ends of the sequence that an estimate tells, for differences of -1, 0 and 1."""
    default = GridPlan()
    bets = grid(default.size, default.low, default.high)

    def ends(counts: TernaryCounts, alpha: float) -> tuple[float, float]:
        b, z, c = counts.better, counts.level, counts.worse
        values = np.repeat([1.0, 0.0, -1.0], [b, z, c])
        sample = Sample(method, 1, 0, Moments(counts.count, b - c, b + c), counts, values, bets)
        return sample.lower(alpha / 2.0), -sample.lower(alpha / 2.0, swapped=True)

    return ends


def _samples(n_max: int) -> Iterator[TernaryCounts]:
    for n in range(n_max + 1):
        for b in range(n + 1):
            for c in range(n - b + 1):
                yield TernaryCounts(b, n - b - c, c)
