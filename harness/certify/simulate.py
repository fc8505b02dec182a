"""Many experiments at once: the e-values of a plan over runs and looks, and the verdicts they lead to.

A unit's log capital comes from the functions that gate (policies/sample.py), one cell of its distribution at
a time; capital adds up over units, so counts of cells are all that a run needs.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.certify.worlds import Assumed, Floats, World
from policies.accumulators import Moments, TernaryCounts
from policies.estimate import null_of
from policies.evalues import grid, mcnemar_prior, mcnemar_sides
from policies.metric_plan import MetricPlan
from policies.options import declared
from policies.plan import Plan
from policies.rules import RULES, Hypothesis
from policies.sample import Method, Sample, method_of

Flags = npt.NDArray[np.bool_]
Counts = npt.NDArray[np.int64]


class Runs(NamedTuple):
    """Where each run is decided: the look, from 1, or 0 for never. Shape (runs,)."""

    promoted: Counts
    rejected: Counts


def cells_of(chosen: World, units: int, looks: int, runs: int, rng: np.random.Generator) -> Counts:
    """Return how many units of each value a run has seen by each look, shape (runs, looks, cells)."""
    drawn: Counts = rng.multinomial(units, chosen.chances, size=(runs, looks))
    return np.cumsum(drawn, axis=1, out=drawn)


def decided(plan: Plan, seen: Mapping[str, tuple[World, Counts]], assumed: Assumed) -> Runs:
    """Return where the plan's policy promotes and rejects; integrity, coverage and slices are to pass."""
    rule, combined = RULES[plan.policy.name], {metric.name for metric in plan.combined}
    wanted = -math.log(plan.policy.alpha)
    looks = next(iter(seen.values()))[1].shape[1]
    enough = _enough(plan, assumed, looks)
    passes = np.broadcast_to(enough, next(iter(seen.values()))[1].shape[:2]).copy()
    rejects = np.zeros_like(passes)
    among: list[Floats] = []
    for metric in plan.gating:
        chosen, counts = seen[metric.name]
        promoting = rule.hypotheses(metric.role)[0]
        log_e = log_e_of(plan, metric, promoting, chosen, counts)
        if metric.name in combined:
            among.append(log_e)
        else:
            passes &= np.maximum.accumulate(log_e, axis=1) >= wanted
        if "harm" in metric.hypotheses:
            harm = log_e_of(plan, metric, "harm", chosen, counts)
            rejects |= np.maximum.accumulate(harm, axis=1) >= wanted
    if among:
        passes &= _one_is_enough(np.stack(among), plan)
    promoted, rejected = first(passes & ~rejects), first(rejects)
    # What happens first concludes: a run that was promoted is not looked at again.
    earlier = (promoted > 0) & ((rejected == 0) | (promoted < rejected))
    return Runs(np.where(earlier, promoted, 0), np.where(earlier, 0, rejected))


def _enough(plan: Plan, assumed: Assumed, looks: int) -> Flags:
    units = units_per_look(plan, assumed) * np.arange(1, looks + 1)
    decisions = assumed.per_look * np.arange(1, looks + 1)
    found: Flags = (units >= plan.policy.min_units) & (decisions >= plan.policy.min_decisions)
    return found


def units_per_look(plan: Plan, assumed: Assumed) -> int:
    """Return how many independent units mature between two looks."""
    return assumed.per_look if plan.unit.kind == "request" else assumed.per_look // assumed.cluster


def _one_is_enough(logs: Floats, plan: Plan) -> Flags:
    """Return where one of the metrics is shown at its corrected level; see policies/combined.py."""
    if plan.combination == "average":
        mean = log_mean(logs, axis=0)
        shown: Flags = np.maximum.accumulate(mean, axis=1) >= -math.log(plan.policy.alpha)
        return shown
    best = np.maximum.accumulate(logs.max(axis=0), axis=1)
    found: Flags = best >= math.log(logs.shape[0] / plan.policy.alpha)
    return found


def log_e_of(plan: Plan, metric: MetricPlan, hypothesis: Hypothesis, chosen: World, counts: Counts) -> Floats:
    """Return the log e-value of one hypothesis at each look of each run, shape (runs, looks)."""
    planned = declared(metric.discordant_pairs)
    if planned is not None:
        better, worse = (counts[..., side(chosen.values)].sum(axis=-1) for side in (_above, _below))
        signs = (worse, better) if hypothesis == "harm" else (better, worse)
        return mcnemar_sides(*signs, mcnemar_prior(planned, plan.policy.alpha))
    null = null_of(hypothesis, metric.margin or 0.0) / plan.clip(metric.name)
    if hypothesis == "equivalence":
        sides = [log_e_at(plan, metric, chosen, counts, null, swapped=swapped) for swapped in (False, True)]
        return np.minimum(*sides)
    swapped = hypothesis == "harm"
    return log_e_at(plan, metric, chosen, counts, -null if swapped else null, swapped=swapped)


def _above(values: Floats) -> Flags:
    found: Flags = values > 0.0
    return found


def _below(values: Floats) -> Flags:
    found: Flags = values < 0.0
    return found


def log_e_at(
    plan: Plan,
    metric: MetricPlan,
    chosen: World,
    counts: Counts,
    null: float,
    *,
    swapped: bool = False,
    interval: bool = False,
) -> Floats:
    """Return the log e-value against a scaled null at each look of each run, shape (runs, looks).

    `interval`: with the bets of the confidence sequence in place of those of the gate.
    """
    each = [_one(plan, metric, value) for value in chosen.values]
    at = [one.search(swapped=swapped) if interval else partial(one.capital, swapped=swapped) for one in each]
    capital: Floats = np.array([of_one(null) for of_one in at])
    return log_mean(counts @ capital, axis=-1)


def _one(plan: Plan, metric: MetricPlan, value: float) -> Sample:
    """Return the sample of one unit."""
    clip = round(plan.clip(metric.name) * plan.scale)
    kept = np.array([round(value * plan.scale)], dtype=np.int64).clip(-clip, clip)
    bets = grid(plan.policy.grid.size, plan.policy.grid.low, plan.policy.grid.high)
    method: Method = method_of(plan.unit.kind, ternary=metric.kind.ternary)
    counted = TernaryCounts.of(kept) if method == "betting grid over counts" else TernaryCounts.empty()
    return Sample(method, clip, 0, Moments.of(kept), counted, kept / clip, bets)


def log_mean(logs: Floats, axis: int) -> Floats:
    """Return the log of the mean of exponentials along an axis."""
    top = logs.max(axis=axis, keepdims=True)
    mean: Floats = np.log(np.exp(logs - top).mean(axis=axis)) + np.squeeze(top, axis=axis)
    return mean


def first(flags: Flags) -> Counts:
    """Return the first look, from 1, at which a flag is set; 0 where it never is."""
    found: Counts = np.where(flags.any(axis=1), flags.argmax(axis=1) + 1, 0)
    return found


def naive(plan: Plan, metric: MetricPlan, chosen: World, counts: Counts, assumed: Assumed) -> Counts:
    """Return where a paired z over decisions, read as if each look were the only one, would promote.

    It tests the same null as the gate, one-sided at alpha, and takes decisions of one unit for independent.
    """
    null = null_of(RULES[plan.policy.name].hypotheses(metric.role)[0], metric.margin or 0.0)
    each = 1 if plan.unit.kind == "request" else assumed.cluster
    n = np.maximum(each * counts.sum(axis=-1), 1)
    total = each * (counts @ chosen.values) - n * null
    squares = counts @ chosen.values**2 if each == 1 else n * chosen.square
    spread = np.sqrt(np.maximum(squares - (total + n * null) ** 2 / n, 1e-12))
    shown: Flags = total / spread >= _z(plan.policy.alpha)
    return first(shown)


def _z(alpha: float) -> float:
    """Return the normal quantile of 1 - alpha."""
    from statistics import NormalDist

    return NormalDist().inv_cdf(1.0 - alpha)
