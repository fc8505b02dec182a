"""What a plan registers beside its metrics' gates, certified: arms, pairs, quantiles and planned tests.

What a simulation cannot know is named, with the reason.
"""

import math
from collections.abc import Callable, Iterator
from functools import cache
from statistics import NormalDist

import numpy as np

from harness.certify.procedures import Asked, Measured, Procedure, judged
from harness.certify.scenarios import step_of
from harness.certify.simulate import cells_of, log_mean, units_per_look
from harness.certify.worlds import Assumed, world
from policies.accumulators import Moments, TernaryCounts
from policies.columns import Floats, Ints
from policies.completeness import excess_capital
from policies.evalues import share_mismatches
from policies.fixed_horizon import exact_mcnemar, tost
from policies.intake_plan import ArmsPlan, CompletenessPlan
from policies.metric_plan import MetricPlan
from policies.options import declared
from policies.plan import Plan
from policies.quantiles import share_log_e

_CHUNK = 250
_THIRDS = 3
_ENDS = 2
_SCORES = "its error rate depends on scores and groups, which no option describes; see DeLong in --shipped"
_SHARE = "its error rate depends on the true share, which no option describes; see Wilson in --shipped"

_VARIANCE = "such figures rest on symmetry and on large numbers, which no option describes"


def registered_procedures(plan: Plan, assumed: Assumed, looks: int) -> Iterator[Procedure]:
    """Yield what the plan registers beside its metrics' gates."""
    judge = {"runs": assumed.runs, "looks": looks}
    if isinstance(plan.arms, ArmsPlan):
        asked = Asked(
            f"shares of arms by {plan.arms.feature}",
            "fair arms called unfair",
            plan.arms.alpha,
            "a z of each arm at each look",
        )
        yield judged(asked, _arms(plan.arms, assumed, looks), **judge)
    if isinstance(plan.completeness, CompletenessPlan):
        asked = Asked(
            f"completeness of pairs, {len(plan.completeness.levels) + 1} cells",
            "a cell at its limit is named",
            plan.completeness.alpha,
            "a z of each cell at each look",
        )
        yield judged(asked, _pairs(plan.completeness, assumed, looks), **judge)
    for metric in plan.metrics:
        for share in declared(metric.quantiles) or ():
            asked = Asked(
                f"quantile {share:g} of {metric.name}",
                "it lies outside at some look",
                plan.policy.alpha,
                "order statistics at each look",
            )
            yield judged(asked, _quantile(share, plan.policy.alpha, assumed, looks), **judge)
        yield from _planned_once(plan, metric, assumed)


def not_certified(plan: Plan, assumed: Assumed) -> tuple[str, ...]:
    """Return what the plan registers and no row counts, each with the reason."""
    found = []
    for metric in plan.metrics:
        why = {
            "delong": _SCORES,
            "wilson": _SHARE,
            **dict.fromkeys(("obrien-fleming", "pocock"), _too_early(plan, metric, assumed)),
        }
        found += [f"{test} of {metric.name}: {why[test]}" for test in _planned(metric) if why.get(test)]
        if declared(metric.covariates):
            found.append(f"{metric.name} adjusted: no option says how its covariates move with it")
        if declared(metric.prior) is not None:
            found.append(f"posterior of {metric.name}: it is only reported, and claims no error rate")
        if declared(metric.planned_variance) is not None:
            found.append(f"{metric.name} by its planned variance: {_VARIANCE}")
        if metric.identification != "direct":
            found.append(f"{metric.name}: no option says what hides its outcomes")
    return tuple(found)


def _planned(metric: MetricPlan) -> tuple[str, ...]:
    return declared(metric.planned) or ()


def _too_early(plan: Plan, metric: MetricPlan, assumed: Assumed) -> str:
    units, step = declared(metric.planned_units) or 0, units_per_look(plan, assumed)
    return f"its {units} planned units are fewer than one look has, {step}" if units < step else ""


def _chunks(runs: int) -> Iterator[tuple[int, int]]:
    return ((start, min(_CHUNK, runs - start)) for start in range(0, runs, _CHUNK))


def _z(tail: float) -> float:
    return NormalDist().inv_cdf(1.0 - tail)


def _arms(arms: ArmsPlan, assumed: Assumed, looks: int) -> Measured:
    shares, wanted, z_wanted = np.array(arms.shares), -math.log(arms.alpha), _z(arms.alpha / 2.0)
    n, wrong, fooled = assumed.per_look * np.arange(1, looks + 1), 0, 0
    for start, runs in _chunks(assumed.runs):
        rng = np.random.default_rng([assumed.seed, 1_004, start])
        came = rng.multinomial(assumed.per_look, shares, (runs, looks)).cumsum(axis=1)
        wrong += int((share_mismatches(came, arms.shares) >= wanted).any(axis=1).sum())
        spread = np.sqrt(np.maximum(n[:, np.newaxis] * shares * (1.0 - shares), 1e-12))
        z = np.abs(came - n[:, np.newaxis] * shares) / spread
        fooled += int((z >= z_wanted).any(axis=(1, 2)).sum())
    return Measured(wrong / assumed.runs, fooled / assumed.runs)


def _pairs(pairs: CompletenessPlan, assumed: Assumed, looks: int) -> Measured:
    """Return how often a cell is named when each lacks answers at its limit; decisions are spread alike."""
    cells, limit = len(pairs.levels) + 1, pairs.limit
    each = max(assumed.per_look // cells, 1)
    n, wrong, fooled = each * np.arange(1, looks + 1)[:, np.newaxis], 0, 0
    for start, runs in _chunks(assumed.runs):
        rng = np.random.default_rng([assumed.seed, 1_005, start])
        missing = rng.binomial(each, limit, (runs, looks, cells)).cumsum(axis=1)
        largest = np.zeros((runs, looks))
        for cell in range(cells):  # a cell at a time: all their stakes at once would not fit
            log_e = log_mean(excess_capital(missing[..., cell], n[:, 0], limit), axis=-1)
            largest = np.maximum(largest, log_e)
        # Holm names a cell first when the largest reaches as many times 1/alpha as there are cells.
        wrong += int((largest >= math.log(cells / pairs.alpha)).any(axis=1).sum())
        z = (missing - n * limit) / np.sqrt(n * limit * (1.0 - limit))
        fooled += int((z >= _z(pairs.alpha)).any(axis=(1, 2)).sum())
    return Measured(wrong / assumed.runs, fooled / assumed.runs)


def _quantile(share: float, alpha: float, assumed: Assumed, looks: int) -> Measured:
    """Return how often the true quantile is left out; that is easiest when it is the edge of a bin."""
    rng = np.random.default_rng([assumed.seed, 1_006])
    below = rng.binomial(assumed.per_look, share, (assumed.runs, looks)).cumsum(axis=1)
    n = assumed.per_look * np.arange(1, looks + 1)
    logs = np.stack([share_log_e(below[:, k], int(seen), share) for k, seen in enumerate(n)], axis=1)
    z = np.abs(below - n * share) / np.sqrt(n * share * (1.0 - share))
    wrong = (logs >= math.log(_ENDS / alpha)).any(axis=1)
    return Measured(float(wrong.mean()), float((z >= _z(alpha / 2.0)).any(axis=1).mean()))


def _planned_once(plan: Plan, metric: MetricPlan, assumed: Assumed) -> Iterator[Procedure]:
    """Yield the tests of one look at the planned size, beside the same test at each third of it."""
    tests: dict[str, tuple[str, str, Callable[[MetricPlan, Plan, Ints, Floats], float]]] = {
        "mcnemar": ("exact McNemar", "equal models told apart", _mcnemar),
        "tost": ("TOST", "models apart by the margin called alike", _tost),
    }
    for name, (title, wrong_is, p_value) in tests.items():
        if name not in _planned(metric):
            continue
        asked = Asked(
            f"{title} of {metric.name}",
            wrong_is,
            plan.policy.alpha,
            "the same at each third",
            "exact" if name == "mcnemar" else "asymptotic",
            planned=True,
        )
        mean = 0.0 if name == "mcnemar" else -(metric.margin or 0.0)
        chosen = world(mean, assumed, clip=plan.clip(metric.name), step=step_of(metric, plan, assumed))
        third = max((declared(metric.planned_units) or 0) // _THIRDS, 1)
        rng = np.random.default_rng([assumed.seed, 1_007, len(name)])
        counts = cells_of(chosen, third, _THIRDS, assumed.runs, rng)
        p = np.array([[p_value(metric, plan, look, chosen.values) for look in run] for run in counts])
        found = p < plan.policy.alpha
        measured = Measured(float(found[:, -1].mean()), float(found.any(axis=1).mean()))
        yield judged(asked, measured, runs=assumed.runs, looks=1)


def _mcnemar(metric: MetricPlan, plan: Plan, counts: Ints, values: Floats) -> float:
    del metric, plan  # signs need no scale
    better, worse = int(counts[values > 0.0].sum()), int(counts[values < 0.0].sum())
    return _exact(better, int(counts.sum()) - better - worse, worse)


@cache  # many runs end with the same counts, and each test takes a tenth of a millisecond
def _exact(better: int, level: int, worse: int) -> float:
    p = exact_mcnemar(TernaryCounts(better, level, worse)).p
    return 1.0 if p is None else p


def _tost(metric: MetricPlan, plan: Plan, counts: Ints, values: Floats) -> float:
    fixed = [round(value * plan.scale) for value in values.tolist()]
    drawn = list(zip(counts.tolist(), fixed, strict=True))
    moments = Moments(
        int(counts.sum()), sum(n * value for n, value in drawn), sum(n * value * value for n, value in drawn)
    )
    p = tost(moments, (metric.margin or 0.0) * plan.scale).p
    return 1.0 if p is None else p
