"""The posterior of a difference, for readers who ask what to believe: report_only, no gate reads it.

It answers another question than an e-value, leans on a prior and on a normal approximation, and is not valid
at looks that were chosen by what was seen.
"""

import math

import msgspec
from scipy.special import ndtr, ndtri

from policies.estimate import Validity
from policies.evidence import Evidence
from policies.figures import tidy
from policies.metric_plan import MetricPlan
from policies.plan import Plan
from policies.sample import sample_of

_LEVEL = 0.95


class Posterior(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to believe of a metric's mean difference, in its unit; above 0 the challenger is better.

    `low` and `high` hold 95 % of it, `better` is the chance of a difference above 0. `prior` is the
    registered spread of the normal prior around 0.
    """

    metric: str
    prior: float
    mean: float
    spread: float
    low: float
    high: float
    better: float
    validity: Validity = "report_only"
    assumption: str = "differences of units are independent, their mean is normal, and the prior is yours"


def posteriors(evidence: Evidence, plan: Plan) -> tuple[Posterior, ...]:
    """Return the posterior of each metric that registered a prior; of no unit it is the prior."""
    return tuple(
        _posterior(evidence, metric, metric.prior, plan)
        for metric in plan.metrics
        if isinstance(metric.prior, float) and metric.identification == "direct"
    )


def _posterior(evidence: Evidence, metric: MetricPlan, prior: float, plan: Plan) -> Posterior:
    """Return the conjugate normal posterior. One unit of the largest difference is added to the variance.

    Without it a sample of ties would have none, and be believed without doubt.
    """
    moments = sample_of(evidence.metrics[metric.name], metric, plan).moments
    count, clip = moments.count, plan.clip(metric.name)
    mean = 0.0 if moments.mean is None else float(moments.mean) / plan.scale
    squares = moments.squares / plan.scale**2
    variance = max(squares - count * mean * mean, 0.0) + clip * clip
    precision = 1.0 / prior**2 + count * (count + 1) / variance
    centre = mean * count * (count + 1) / variance / precision
    spread = math.sqrt(1.0 / precision)
    reach = float(ndtri(0.5 + _LEVEL / 2.0)) * spread
    return Posterior(
        metric=metric.name,
        prior=prior,
        mean=tidy(centre),
        spread=tidy(spread),
        low=tidy(centre - reach),
        high=tidy(centre + reach),
        better=tidy(float(ndtr(centre / spread))),
    )
