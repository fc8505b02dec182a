"""One metric's sample at a look: the scaled differences that its e-values bet on.

Which e-process serves is fixed by the plan, never by the data (docs/adr/0008): ternary metrics over
requests bet from counts, days bet on every day's value, all else uses the three sums.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

from policies.accumulators import Moments, TernaryCounts
from policies.columns import Floats
from policies.evalues import betting_search, betting_ternary, betting_values, fan_moments, grid, mixture
from policies.evidence import MetricEvidence
from policies.fold import difference_sign
from policies.metric_plan import MetricPlan
from policies.plan import Plan

Method = Literal["betting grid over counts", "betting grid over units", "three-sum mixture"]
THREE_SUM_TOP = 0.3
_RESOLUTION = 2.0**-20


@dataclass(frozen=True)
class Sample:
    """Paired differences per unit, larger is better for the challenger, in fixed point up to `clip`."""

    method: Method
    clip: int
    clipped: int
    moments: Moments
    ternary: TernaryCounts
    values: Floats  # per unit, scaled into [-1, 1]; kept for "betting grid over units" alone
    bets: Floats

    def capital(self, null: float, *, swapped: bool = False) -> Floats:
        """Return the log capital of each bet against "the mean difference is at most `null`".

        `null` is scaled by the clip, above -1 and below 1. `swapped` changes champion and challenger.
        """
        if self.method == "betting grid over units":
            return betting_values(-self.values if swapped else self.values, null, self.bets)
        return self._from_sums(self.bets, swapped=swapped)(null)

    def search(self, *, swapped: bool = False) -> Callable[[float], Floats]:
        """Return the log capital of each bet of the interval as a function of the null."""
        bets = self.interval_bets()
        if self.method == "betting grid over units":
            return betting_search(-self.values if swapped else self.values, bets)
        return self._from_sums(bets, swapped=swapped)

    def _from_sums(self, bets: Floats, *, swapped: bool) -> Callable[[float], Floats]:
        if self.method == "three-sum mixture":
            moments = self.moments.negated() if swapped else self.moments
            return lambda null: fan_moments(moments, self.clip, null, bets)
        counts = self.ternary
        if swapped:
            counts = TernaryCounts(counts.worse, counts.level, counts.better)
        return lambda null: betting_ternary(counts, null, bets)

    def log_e(self, null: float, *, swapped: bool = False) -> float:
        """Return the log e-value of the mixture over all bets."""
        return mixture(self.capital(null, swapped=swapped))

    def lower(self, alpha: float, *, swapped: bool = False) -> float:
        """Return the largest scaled null that the e-values reject at `alpha`, at least -1.

        The true mean lies above it at every look at once with probability at least 1 - alpha. Rounded
        outwards. The search stays where the e-value falls as the null rises (ADR 8), so it has one root.
        """
        if not self.moments.count:
            return -1.0
        from scipy.optimize import brentq  # it takes a second to load

        start, wanted = _monotone_from(self.method, float(self.interval_bets().max())), -math.log(alpha)
        capital = self.search(swapped=swapped)

        @cache  # the ends of the bracket are asked for again
        def excess(null: float) -> float:
            return mixture(capital(null)) - wanted

        mean, step = self._mean_and_step(wanted, swapped=swapped)
        stop = min(mean, 1.0 - _RESOLUTION)
        if stop < mean and excess(stop) >= 0.0:
            return stop
        # At the mean no bet has gained; from there the bracket widens until the null is rejected.
        low = max(mean - step, start)
        while excess(low) < 0.0:
            if low == start:
                return -1.0
            step *= 2.0
            low = max(mean - step, start)
        root = float(brentq(excess, low, stop, xtol=_RESOLUTION / 4, rtol=1e-12))
        return max(root - _RESOLUTION, -1.0)

    def _mean_and_step(self, wanted: float, *, swapped: bool) -> tuple[float, float]:
        """Return the scaled mean and about how far below it the rejected nulls begin."""
        count, total = self.moments.count, self.moments.total / self.clip
        mean = (-total if swapped else total) / count
        variance = max(self.moments.squares / self.clip**2 / count - mean * mean, 1.0 / count)
        return mean, math.sqrt(2.0 * (wanted + 1.0) * variance / count)

    def interval_bets(self) -> Floats:
        """Return the bets of the interval: those of the gate, but for the three sums none above 0.3."""
        if self.method != "three-sum mixture":
            return self.bets
        kept: Floats = self.bets[self.bets <= THREE_SUM_TOP]
        return kept if kept.size else np.array([THREE_SUM_TOP])


def _monotone_from(method: Method, top: float) -> float:
    """Return the null from which the capital of every bet up to `top` falls as the null rises.

    With y = (D - null)/(null + 1) <= (1 - null)/(null + 1), betting falls everywhere; the three-sum
    capital bet*y - psi*y*y falls while y <= bet/(2 psi), which is tightest for the largest bet.
    """
    if method != "three-sum mixture":
        return -1.0 + _RESOLUTION
    reach = top / (2.0 * (-math.log1p(-top) - top))
    return (1.0 - reach) / (1.0 + reach)


def sample_of(evidence: MetricEvidence, metric: MetricPlan, plan: Plan) -> Sample:
    """Return the sample that the evidence of one metric holds."""
    clip = round(plan.clip(metric.name) * plan.scale)
    method = method_of(plan.unit.kind, ternary=metric.kind.ternary)
    bets = grid(plan.policy.grid.size, plan.policy.grid.low, plan.policy.grid.high)
    none = np.zeros(0)
    if plan.unit.kind == "request":
        return Sample(method, clip, evidence.clipped, evidence.moments, evidence.ternary, none, bets)
    means, clipped = evidence.units.means(difference_sign(metric), clip)
    moments, nothing = Moments.of(means), TernaryCounts.empty()
    values = means / clip if method == "betting grid over units" else none
    return Sample(method, clip, clipped, moments, nothing, values, bets)


def method_of(unit: str, *, ternary: bool) -> Method:
    """Return the e-process that serves units of this kind (docs/adr/0008)."""
    if unit == "day":
        return "betting grid over units"
    return "betting grid over counts" if unit == "request" and ternary else "three-sum mixture"
