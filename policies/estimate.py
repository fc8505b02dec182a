"""Estimates: what evidence says about each metric, with its validity and what that validity rests on."""

import math
from collections.abc import Sequence
from typing import Literal

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from policies.adjusted import Adjusted, adjusted
from policies.blocked import Blocked, bounds_of, filled
from policies.columns import Floats
from policies.evalues import mcnemar_prior, mcnemar_side, mixture
from policies.evidence import Evidence, MetricEvidence
from policies.figures import more_needed, tidy
from policies.logged import LoggedEvidence
from policies.logged_metric import logged_capital, logged_figures
from policies.metric_plan import MetricPlan
from policies.off_policy import OffPolicy
from policies.options import declared
from policies.plan import Plan
from policies.rules import Hypothesis, Role
from policies.sample import Sample, sample_of

Validity = Literal["exact", "exact_if_symmetric", "asymptotic", "report_only"]

UNIT_NOUNS = {"request": "decisions", "column": "units", "day": "days"}
ASSUMPTIONS = {
    "request": "given the decisions before it, no decision's expected difference is above the null",
    "column": "given the units before it, no unit's expected mean difference is above the null",
    "day": "given the days before it, no day's expected mean difference is above the null",
}


class Tested(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One registered hypothesis: the null, in the metric's unit, and the evidence against it.

    `superiority` tests "better by at most 0", `noninferiority` "worse by at least the margin", `harm`
    "not worse (by more than the margin)", `equivalence` "better or worse by at least the margin",
    `advantage` "better by at most the margin". `log_e`
    is the natural logarithm of the e-value, None of nothing. `more_units` projects the units still needed
    at the present rate, None when more of the same
    will not show it.
    """

    hypothesis: Hypothesis
    null: float
    log_e: float | None
    more_units: int | None
    method: str
    validity: Validity
    assumption: str


class Estimate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of one metric. Differences are oriented: above 0 means the challenger is better.

    `point` is the mean over units of the clipped difference; `low` and `high` its confidence sequence at
    `level`, valid at all looks at once; `champion` and `challenger` are means over decisions. All in the
    metric's unit, None where there is no data or the metric is not identified. `off_policy` is set for a
    metric that is estimated from propensities: there `units` are decisions, and `clip` is that of weights.
    `blocked` holds the bounds of a metric of blocked outcomes, whose point is not known as long as any is.
    `adjusted` is the difference adjusted for covariates, where the plan registers some.
    """

    metric: str
    role: Role
    direction: str
    unit: str
    units: int
    decisions: int
    point: float | None
    low: float | None
    high: float | None
    level: float
    champion: float | None
    challenger: float | None
    clip: float
    clipped: int
    outside: int
    reasons: dict[str, int]
    validity: Validity
    tested: tuple[Tested, ...]
    # Unset and not null, so that the verdicts before it keep their bytes.
    off_policy: OffPolicy | UnsetType = UNSET
    blocked: Blocked | UnsetType = UNSET
    adjusted: Adjusted | UnsetType = UNSET


class Look(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a verdict needs of an earlier look: its number, from 1, and log e by metric and hypothesis.

    `units` are those of each metric: when a planned look was.
    """

    number: int
    log_e: dict[str, dict[str, float]]
    units: dict[str, int] = {}

    @classmethod
    def of(cls, number: int, estimates: Sequence[Estimate]) -> "Look":
        """Return the look that these estimates make."""
        found: dict[str, dict[str, float]] = {
            each.metric: {str(test.hypothesis): test.log_e for test in each.tested if test.log_e is not None}
            for each in estimates
        }
        units = {each.metric: each.units for each in estimates}
        return cls(number, {metric: tests for metric, tests in found.items() if tests}, units)


def estimate(evidence: Evidence, plan: Plan) -> tuple[Estimate, ...]:
    """Return one estimate per metric of the plan, in its order.

    Raises:
        EvidenceMismatch: the evidence was folded under another plan or scale.
    """
    evidence.check(plan)
    return tuple(_of_metric(evidence.metrics[metric.name], metric, plan) for metric in plan.metrics)


def _of_metric(evidence: MetricEvidence, metric: MetricPlan, plan: Plan) -> Estimate:
    if metric.off_policy:
        return _logged(evidence, metric, plan)
    if metric.bounded:
        return _bounded(evidence, metric, plan)
    return _estimate(evidence, metric, plan)


def _bounded(evidence: MetricEvidence, metric: MetricPlan, plan: Plan) -> Estimate:
    """Return what holds whatever was blocked: what promotes from the worst case, harm from the best."""
    worst, best = (
        _estimate(filled(evidence, metric, plan, favourable=favourable), metric, plan)
        for favourable in (False, True)
    )
    if worst.point is None or best.point is None:
        return worst
    bounds = bounds_of((worst.point, best.point), evidence, metric, plan)
    tests = zip(worst.tested, best.tested, strict=True)
    return msgspec.structs.replace(
        worst,
        point=None if bounds.unseen else worst.point,
        high=best.high,
        champion=None,  # what a model alone was worth is hidden even where both decide alike
        challenger=None,
        tested=tuple(other if test.hypothesis == "harm" else test for test, other in tests),
        blocked=bounds,
    )


def _estimate(evidence: MetricEvidence, metric: MetricPlan, plan: Plan) -> Estimate:
    sample = sample_of(evidence, metric, plan)
    units, used = sample.moments.count, evidence.used
    seen = units > 0 and (metric.identification == "direct" or metric.bounded)
    clip = plan.clip(metric.name)
    mean = sample.moments.mean
    half = plan.policy.alpha / 2.0
    return Estimate(
        metric=metric.name,
        role=metric.role,
        direction=metric.direction,
        unit=plan.unit.kind,
        units=units,
        decisions=used,
        point=tidy(mean / plan.scale) if seen and mean is not None else None,
        low=tidy(clip * sample.lower(half)) if seen else None,
        high=tidy(-clip * sample.lower(half, swapped=True)) if seen else None,
        level=tidy(1.0 - plan.policy.alpha),
        champion=tidy(evidence.champion / used / plan.scale) if seen else None,
        challenger=tidy(evidence.challenger / used / plan.scale) if seen else None,
        clip=clip,
        clipped=sample.clipped,
        outside=evidence.outside,
        reasons=evidence.reasons,
        validity="report_only" if metric.role == "context" else "exact",
        tested=tuple(_tested(sample, name, metric, plan, seen=seen) for name in metric.hypotheses),
        adjusted=UNSET if isinstance(evidence.gram, UnsetType) else adjusted(evidence.gram, metric, plan),
    )


def _tested(sample: Sample, hypothesis: Hypothesis, metric: MetricPlan, plan: Plan, *, seen: bool) -> Tested:
    clip, margin = plan.clip(metric.name), metric.margin or 0.0
    capital = _capital(sample, hypothesis, margin / clip) if seen else np.zeros(1)
    wanted, method = -math.log(plan.policy.alpha), str(sample.method)
    planned = declared(metric.discordant_pairs)
    if planned is not None:
        method = "sequential McNemar"
        counts, prior = sample.ternary, mcnemar_prior(planned, plan.policy.alpha)
        signs = (counts.worse, counts.better) if hypothesis == "harm" else (counts.better, counts.worse)
        capital = np.array([mcnemar_side(*signs, prior)])
    return Tested(
        hypothesis=hypothesis,
        null=tidy(null_of(hypothesis, margin)),
        log_e=tidy(mixture(capital)) if seen else None,
        more_units=more_needed(capital, sample.moments.count, wanted) if seen else None,
        method=method,
        validity="exact",
        assumption=ASSUMPTIONS[plan.unit.kind],
    )


def _logged(evidence: MetricEvidence, metric: MetricPlan, plan: Plan) -> Estimate:
    """Return the estimate of a metric that is seen for the logged action alone."""
    logged = evidence.logged
    if isinstance(logged, UnsetType):
        logged = LoggedEvidence.empty(plan.logged(metric))
    figures, wanted = logged_figures(logged, metric, plan), -math.log(plan.policy.alpha)
    tested = []
    for hypothesis in metric.hypotheses:
        capital = logged_capital(logged, hypothesis, metric)
        seen = figures.point is not None
        tested.append(
            Tested(
                hypothesis=hypothesis,
                null=tidy(null_of(hypothesis, metric.margin or 0.0)),
                log_e=tidy(mixture(capital)) if seen else None,
                more_units=more_needed(capital, evidence.used, wanted) if seen else None,
                method="weighted betting grid",
                validity="exact",
                assumption=figures.found.assumption,
            )
        )
    return Estimate(
        metric=metric.name,
        role=metric.role,
        direction=metric.direction,
        unit=plan.unit.kind,
        units=evidence.used,
        decisions=evidence.used,
        point=figures.point,
        low=figures.low,
        high=figures.high,
        level=tidy(1.0 - plan.policy.alpha),
        champion=figures.champion,
        challenger=figures.challenger,
        clip=plan.logged(metric).clip,
        clipped=0,
        outside=evidence.outside,
        reasons=evidence.reasons,
        validity="report_only" if metric.role == "context" else "exact",
        tested=tuple(tested),
        off_policy=figures.found,
    )


def null_of(hypothesis: Hypothesis, margin: float) -> float:
    """Return the difference that the hypothesis denies, in the metric's unit."""
    if hypothesis == "advantage":
        return margin
    return 0.0 if hypothesis == "superiority" else -margin


def _capital(sample: Sample, hypothesis: Hypothesis, margin: float) -> Floats:
    """Return the log capital of each bet against the null; `margin` is scaled by the clip.

    Equivalence denies two nulls, worse and better by the margin. The smaller e-value is one against either:
    whichever is true, it is not above the e-value of that side (intersection-union, Berger 1982).
    """
    if hypothesis == "equivalence":
        sides = (sample.capital(-margin), sample.capital(-margin, swapped=True))
        return min(sides, key=mixture)
    scaled = {"superiority": 0.0, "noninferiority": -margin, "harm": margin, "advantage": margin}[hypothesis]
    return sample.capital(scaled, swapped=hypothesis == "harm")
