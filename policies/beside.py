"""Figures that many know, beside the gate: each with what it may say. No gate reads them.

They come with a registered `planned_variance`. The self-normalised e-value is exact where differences are
symmetric. The asymptotic sequence abstains behind its own gate. The planned tests are right at one look at
the planned size, and at any other they promote too often.
"""

import math

import msgspec
import numpy as np
from msgspec import UNSET, UnsetType

from policies.accumulators import TernaryCounts
from policies.asymptotic import asymptotic_sequence
from policies.estimate import Validity
from policies.evalues import self_normalised
from policies.evidence import Evidence, MetricEvidence
from policies.figures import tidy
from policies.fixed_horizon import Planned, exact_mcnemar, tost
from policies.fold import difference_sign
from policies.metric_plan import MetricPlan
from policies.options import declared
from policies.plan import Plan
from policies.sample import Sample, sample_of


class Beside(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One figure of a metric: an e-value's logarithm, a sequence in the metric's unit, or a p-value.

    All are two-sided. `reasons` say why there is none. `z` and `bound` are of a planned look: at |z| of at
    least `bound` it tells the models apart.
    """

    metric: str
    method: str
    validity: Validity
    assumption: str
    log_e: float | None = None
    low: float | None = None
    high: float | None = None
    p: float | None = None
    reasons: tuple[str, ...] = ()
    # Unset and not null, so that the verdicts before them keep their bytes.
    z: float | UnsetType = UNSET
    bound: float | UnsetType = UNSET


def beside(evidence: Evidence, plan: Plan) -> tuple[Beside, ...]:
    """Return the figures of each metric that registered a planned variance."""
    found: list[Beside] = []
    for metric in plan.metrics:
        if declared(metric.planned_variance) is not None and metric.identification == "direct":
            own = evidence.metrics[metric.name]
            sample = sample_of(own, metric, plan)
            found += [_symmetric(sample, metric, plan), _asymptotic(sample, own, metric, plan)]
            if declared(metric.planned) is None:  # else they are named there
                found += _planned(sample, metric, plan)
    return tuple(found)


def _symmetric(sample: Sample, metric: MetricPlan, plan: Plan) -> Beside:
    units, variance = declared(metric.planned_units), declared(metric.planned_variance)
    assert units is not None
    assert variance is not None  # checked when the plan was made
    rate = 2.0 * math.log(1.0 / plan.policy.alpha)
    rho = units * variance / (rate + math.log1p(rate))
    total, squares = sample.moments.total / plan.scale, sample.moments.squares / plan.scale**2
    return Beside(
        metric=metric.name,
        method="self-normalised",
        validity="exact_if_symmetric",
        assumption="given the units before it, a unit's difference is symmetric about 0",
        log_e=tidy(self_normalised(total, squares, rho)),
    )


def _asymptotic(sample: Sample, own: MetricEvidence, metric: MetricPlan, plan: Plan) -> Beside:
    units = declared(metric.planned_units)
    assert units is not None
    counts, largest = sample.ternary, sample.clip
    if plan.unit.kind != "request":
        means, _ = own.units.means(difference_sign(metric), sample.clip)
        counts, largest = TernaryCounts.of(means), int(np.abs(means).max(initial=0))
    told = Beside(
        metric=metric.name,
        method="asymptotic sequence",
        validity="asymptotic",
        assumption="units are independent and alike, and there are enough of them",
        reasons=("the signs of single differences are not kept",),
    )
    if plan.unit.kind == "request" and not metric.kind.ternary:
        return told
    signs = counts.better, counts.worse
    found = asymptotic_sequence(sample.moments, signs, largest, alpha=plan.policy.alpha, planned=units)
    if found.low is None or found.high is None:
        return msgspec.structs.replace(told, reasons=found.reasons)
    low, high = tidy(found.low / plan.scale), tidy(found.high / plan.scale)
    return msgspec.structs.replace(told, low=low, high=high, reasons=())


def _planned(sample: Sample, metric: MetricPlan, plan: Plan) -> list[Beside]:
    tests: list[Planned] = []
    if metric.kind.ternary and plan.unit.kind == "request":
        tests.append(exact_mcnemar(sample.ternary))
    if metric.margin is not None:
        tests.append(tost(sample.moments, metric.margin * plan.scale))
    return [planned_once(test, metric) for test in tests]


def planned_once(test: Planned, metric: MetricPlan) -> Beside:
    """Return the figure of a test that is right at a single look."""
    return Beside(
        metric=metric.name,
        method=f"{test.method}, planned once",
        validity=test.validity,
        assumption=f"this is the only look, and it was planned at {metric.planned_units} units",
        p=None if test.p is None else tidy(test.p),
        reasons=(test.reason,) if test.reason else (),
    )
