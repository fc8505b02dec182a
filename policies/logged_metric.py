"""A registered metric whose outcome is seen for the action that was taken alone (`logged_action`).

The champion's decision is the logged action and its propensity the chance that it had. The challenger's value
is an off-policy estimate: a decision weighs 1/propensity where the challenger decides the same, else nothing.
"""

from typing import NamedTuple

import msgspec
import numpy as np
import pyarrow as pa

from policies.columns import Columns, Floats, Mask
from policies.evalues import mixture
from policies.evidence import MetricEvidence
from policies.figures import tidy
from policies.logged import LoggedEvidence, fold_logged
from policies.metric_plan import MetricPlan
from policies.off_policy import OffPolicy, capital_above, lower_end, off_policy
from policies.own import own_columns
from policies.plan import Plan
from policies.rules import Hypothesis
from policies.usable import Reasons

PROPENSITY = "propensity"


class LoggedFigures(NamedTuple):
    """What is told of the metric; above 0 favours the challenger. None where it is stopped."""

    found: OffPolicy
    point: float | None
    low: float | None
    high: float | None
    champion: float | None
    challenger: float | None


def fold_logged_metric(read: Columns, metric: MetricPlan, plan: Plan) -> MetricEvidence:
    """Return the evidence of a `logged_action` metric.

    A decision needs both decisions and a reward; what propensity and weight it has is counted by the
    evidence itself (policies/logged.py).
    """
    values = metric.kind.values(read, metric)
    reasons = Reasons(read.rows)
    reasons.usable, reasons.counts = values.usable.copy(), dict(values.reasons)
    for name, side in (("champion", read.champion), ("challenger", read.challenger)):
        reasons.leave(f"{name}_decision_missing", side.decision_missing)
    usable = reasons.usable
    low, high = metric.span
    reward = (values.champion[usable] - low) / (high - low)
    outside = int(np.count_nonzero((reward < 0.0) | (reward > 1.0)))
    reward = np.clip(reward if metric.direction == "higher" else 1.0 - reward, 0.0, 1.0)
    propensity = read.numbers(PROPENSITY)[usable]
    differs = read.decisions_differ[usable]
    columns = {
        "propensity": propensity,
        "target": np.where(differs, 0.0, 1.0),
        "reward": reward,
        # What was certain left no chance for what the challenger would have decided.
        "unsupported": np.where(differs & (propensity == 1.0), 1.0, 0.0),
    }
    columns |= _predicted(read, metric, usable)
    logged = fold_logged(pa.table(columns), plan.logged(metric))
    return msgspec.structs.replace(
        MetricEvidence.empty(),
        rows=read.rows,
        used=logged.weights.count,
        reasons=dict(sorted(_added(reasons.counts, logged.reasons).items())),
        outside=outside,
        logged=logged,
    )


def _predicted(read: Columns, metric: MetricPlan, usable: Mask) -> dict[str, Floats]:
    """Return the model's rewards of what was decided and of what the challenger decides, oriented."""
    if not metric.predictor:
        return {}
    low, high = metric.span
    sides = [(read.numbers(name)[usable] - low) / (high - low) for name in own_columns(metric.predictor)]
    if metric.direction == "lower":
        sides = [1.0 - side for side in sides]
    return {"predicted_logged": sides[0], "predicted_target": sides[1]}


def _added(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in one.keys() | other.keys()}


def logged_figures(logged: LoggedEvidence, metric: MetricPlan, plan: Plan) -> LoggedFigures:
    """Return the estimate: the point is that of inverse propensities, the ends hold at every look at once."""
    found = off_policy(logged, plan.logged(metric))
    if found.stops or not found.used:
        return LoggedFigures(found, None, None, None, None, None)
    assert found.ips is not None
    assert found.logged is not None
    low, high = metric.span
    width, half = high - low, plan.policy.alpha / 2.0
    above = lower_end(logged.capitals["better"], half) - 1.0
    below = lower_end(logged.capitals["worse"], half) - 1.0
    return LoggedFigures(
        found,
        point=tidy(width * (found.ips - found.logged)),
        low=tidy(width * max(above, -1.0)),
        high=tidy(-width * max(below, -1.0)),
        champion=tidy(_in_unit(found.logged, metric)),
        challenger=tidy(_in_unit(found.ips, metric)),
    )


def _in_unit(reward: float, metric: MetricPlan) -> float:
    low, high = metric.span
    return low + (high - low) * (reward if metric.direction == "higher" else 1.0 - reward)


def logged_capital(logged: LoggedEvidence, hypothesis: Hypothesis, metric: MetricPlan) -> Floats:
    """Return the log capital of each stake against the hypothesis' null; of two nulls that of the smaller.

    The difference is E[(w - 1) r], so 1 + (w - 1) r has mean 1 plus the difference, and 1 + (w - 1)(1 - r)
    mean 1 minus it.
    """
    low, high = metric.span
    margin = (metric.margin or 0.0) / (high - low)
    better, worse = logged.capitals["better"], logged.capitals["worse"]
    if hypothesis == "equivalence":
        sides = (capital_above(better, 1.0 - margin), capital_above(worse, 1.0 - margin))
        return min(sides, key=mixture)
    if hypothesis == "harm":
        return capital_above(worse, 1.0 + margin)
    shift = {"superiority": 0.0, "noninferiority": -margin, "advantage": margin}[hypothesis]
    return capital_above(better, 1.0 + shift)
