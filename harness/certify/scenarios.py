"""The truths that a policy is tried under: at each of its limits, where acting is wrong, and beyond them."""

from collections.abc import Iterator
from typing import Literal, NamedTuple

from harness.certify.worlds import Assumed
from policies.estimate import null_of
from policies.metric_plan import MetricPlan
from policies.plan import Plan
from policies.rules import RULES


class Truth(NamedTuple):
    """One truth: the mean difference of each metric, in its unit, and what would be wrong to do there.

    `subject` is the metric that the naive test is shown on. `rare`: its losses are rare and large.
    """

    name: str
    means: dict[str, float]
    wrong: Literal["PROMOTE", "REJECT"] | None
    right: Literal["PROMOTE", "REJECT"] | None
    subject: str
    rare: bool = False


def truths(plan: Plan, assumed: Assumed) -> Iterator[Truth]:
    """Yield what the plan is tried under."""
    effect = {metric.name: effect_of(metric, plan, assumed) for metric in plan.gating}
    good = {metric.name: _good(metric, plan, effect[metric.name]) for metric in plan.gating}
    limit = {metric.name: _limit(metric, plan) for metric in plan.gating}
    combined = [metric.name for metric in plan.combined]
    first = next(metric for metric in plan.gating if metric.role == "primary")
    if combined:
        means = good | {name: limit[name] for name in combined}
        yield Truth(f"no more than the limit: {', '.join(combined)}", means, "PROMOTE", None, first.name)
    for metric in plan.gating:
        if metric.name not in combined:
            means = good | {metric.name: limit[metric.name]}
            yield Truth(f"no more than the limit: {metric.name}", means, "PROMOTE", None, metric.name)
    if not first.kind.ternary and first.name not in combined:
        means = good | {first.name: limit[first.name]}
        name = f"the same, by rare losses of {first.name}"
        yield Truth(name, means, "PROMOTE", None, first.name, rare=True)
    yield Truth("what should be found", good, None, "PROMOTE", first.name)
    if RULES[plan.policy.name].rejects:
        edge = {metric.name: -(metric.margin or 0.0) for metric in plan.gating}
        yield Truth("at the edge of harm, every metric", edge, "REJECT", None, first.name)
        worse = good | {first.name: edge[first.name] - effect[first.name]}
        # Where one metric is enough, another that is better may promote as rightly as this one rejects.
        wrong: Literal["PROMOTE"] | None = None if first.name in combined else "PROMOTE"
        yield Truth(f"harm on {first.name}", worse, wrong, "REJECT", first.name)


def effect_of(metric: MetricPlan, plan: Plan, assumed: Assumed) -> float:
    """Return the effect that should be found, in the metric's unit; a declared one is scaled by the clips."""
    first = next(each for each in plan.gating if each.role == "primary")
    if assumed.effect is not None:
        return assumed.effect * plan.clip(metric.name) / plan.clip(first.name)
    return assumed.discordance * step_of(metric, plan, assumed) / 15.0


def step_of(metric: MetricPlan, plan: Plan, assumed: Assumed) -> float:
    """Return by how much two models differ on a decision where they do, in the metric's unit."""
    kind = metric.kind
    largest = kind.limit(metric)
    step = largest if kind.ternary else assumed.size * largest
    return min(step, plan.clip(metric.name)) if plan.unit.kind == "request" else step


def _limit(metric: MetricPlan, plan: Plan) -> float:
    """Return the largest difference at which it would be wrong to act on this metric."""
    return null_of(RULES[plan.policy.name].hypotheses(metric.role)[0], metric.margin or 0.0)


def _good(metric: MetricPlan, plan: Plan, effect: float) -> float:
    """Return a difference that the policy should act on."""
    hypothesis = RULES[plan.policy.name].hypotheses(metric.role)[0]
    if hypothesis in ("noninferiority", "equivalence"):
        return 0.0
    return null_of(hypothesis, metric.margin or 0.0) + effect
