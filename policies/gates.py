"""Gates: every rule that a verdict reads, as a row with its figure, its limit and what would change it."""

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec
from msgspec import UnsetType

from policies.estimate import UNIT_NOUNS, Estimate, Look, Tested, Validity, null_of
from policies.figures import tidy
from policies.logged import MIN_EFFECTIVE
from policies.plan import Plan
from policies.rules import RULES

State = Literal["PROMOTE", "HOLD", "REJECT", "RETRAIN", "INVALID", "NOT_IDENTIFIABLE"]
GateState = Literal["passes", "fails", "waits"]
_LOG_MAX = 700.0


class Gate(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One rule and how it stands. `leads_to` is the verdict when it fails; a gate that waits holds.

    For hypotheses `value`, `low`, `high` and `limit` are differences in the metric's unit, and the rule is
    read from `e_value` (the largest over all looks) against `e_limit`.
    """

    name: str
    rule: str
    state: GateState
    reason: str
    leads_to: State = "HOLD"
    value: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    e_value: float | None = None
    e_limit: float | None = None
    validity: Validity = "exact"
    assumption: str = ""
    metric: str | None = None
    hypothesis: str | None = None


def hypothesis_gates(estimates: Sequence[Estimate], plan: Plan, previous: Sequence[Look]) -> Iterator[Gate]:
    """Yield a gate per hypothesis that the policy reads: what promotes, and harm.

    What promotes is left out where one of several metrics is enough (policies/combined.py).
    """
    rule = RULES[plan.policy.name]
    combined = {metric.name for metric in plan.combined}
    for each in estimates:
        for test in each.tested:
            promotes = test.hypothesis == rule.hypotheses(each.role)[0] and each.metric not in combined
            if promotes or test.hypothesis == "harm":
                yield _hypothesis(each, test, plan, previous)


def _hypothesis(each: Estimate, test: Tested, plan: Plan, previous: Sequence[Look]) -> Gate:
    """Return the gate of one hypothesis. The largest e-value over all looks counts (Ville)."""
    limit = 1.0 / plan.policy.alpha
    earlier = [look.log_e.get(each.metric, {}).get(test.hypothesis) for look in previous]
    logs = [log for log in [test.log_e, *earlier] if log is not None]
    best = max(logs) if logs else None
    shown = best is not None and best >= -math.log(plan.policy.alpha)
    harm = test.hypothesis == "harm"
    largest = None if best is None else e_value(best)
    return Gate(
        name=f"{each.metric}: {test.hypothesis}",
        rule=f'the e-value for "the challenger {claim(test)}" '
        + (f"stays below {limit:.6g}" if harm else f"reaches {limit:.6g}"),
        state=("fails" if shown else "passes") if harm else ("passes" if shown else "waits"),
        leads_to="REJECT" if harm else "HOLD",
        value=each.point,
        low=each.low,
        high=each.high,
        limit=test.null,
        e_value=largest,
        e_limit=tidy(limit),
        validity=test.validity,
        assumption=test.assumption,
        metric=each.metric,
        hypothesis=test.hypothesis,
        reason=_why(each, test, largest, limit, shown=shown),
    )


def off_policy_gates(estimates: Sequence[Estimate]) -> Iterator[Gate]:
    """Yield a gate per metric that is estimated from propensities: whether anything may rest on them."""
    for each in estimates:
        found = each.off_policy
        if each.role == "context" or isinstance(found, UnsetType):
            continue
        yield Gate(
            name=f"{each.metric}: propensities",
            rule="every weight is possible, weights average 1, and enough decisions weigh alike",
            state="fails" if found.stops else "waits" if found.waits or not found.used else "passes",
            leads_to="NOT_IDENTIFIABLE" if found.stops else "HOLD",
            value=found.effective,
            limit=MIN_EFFECTIVE,
            assumption=found.assumption,
            reason=" ".join(found.stops)
            or "; ".join(found.waits)
            or f"Worth {found.effective:.6g} decisions of equal weight out of {found.used}; the largest "
            f"weight is {found.largest_share:.3g} of all.",
        )


def blocked_gates(estimates: Sequence[Estimate], plan: Plan) -> Iterator[Gate]:
    """Yield a gate per metric of blocked outcomes: whether more of the same data could decide."""
    for each in estimates:
        found = each.blocked
        if each.role == "context" or isinstance(found, UnsetType):
            continue
        null = null_of(
            RULES[plan.policy.name].hypotheses(each.role)[0], plan.metric(each.metric).margin or 0.0
        )
        open_ = found.unseen > 0 and found.low <= null < found.high
        hidden = f"{found.unseen} of {each.decisions} decisions ({found.share:.3g})"
        figures = (
            f"{hidden} hide an outcome that could tell the models apart: whatever they hide, the difference "
            f"lies from {found.low:+.4g} to {found.high:+.4g}."
        )
        share = "even all of them" if found.explore is None else f"a share of {found.explore:.3g} of them"
        remedy = "is too little for" if found.explore is None else "through would show"
        yield Gate(
            name=f"{each.metric}: blocked outcomes",
            rule="the bounds of the difference leave out one side of the null",
            state="fails" if open_ else "passes",
            leads_to="NOT_IDENTIFIABLE",
            value=found.share,
            low=found.low,
            high=found.high,
            limit=tidy(null),
            assumption="none on why an outcome is not seen",
            reason=f"{figures} Letting {share} {remedy} the registered effect in as many decisions."
            if open_
            else figures,
        )


def claim(test: Tested) -> str:
    """Return what a hypothesis says of the challenger."""
    beyond = f" by more than {abs(test.null):.6g}" if test.null else ""
    return {
        "superiority": "is better",
        "noninferiority": f"is not worse{beyond}",
        "harm": f"is worse{beyond}",
        "equivalence": f"is neither better nor worse{beyond}",
        "advantage": f"is better{beyond}",
    }[test.hypothesis]


def e_value(log: float) -> float:
    """Return the e-value of its natural logarithm, the same on every machine; at most exp(700)."""
    return tidy(math.exp(min(log, _LOG_MAX)))


def _why(each: Estimate, test: Tested, largest: float | None, limit: float, *, shown: bool) -> str:
    noun = UNIT_NOUNS[each.unit]
    if not isinstance(each.off_policy, UnsetType) and each.off_policy.stops:
        return f"{each.metric}: nothing may rest on these propensities, so nothing is estimated."
    if not isinstance(each.blocked, UnsetType) and largest is not None and each.point is None:
        figures = f"e-value {largest:.3g} of {limit:.3g} after {each.units} {noun}"
        return f"{each.metric}: {figures}, whatever is hidden."
    if largest is None or each.point is None or each.low is None or each.high is None:
        return f"{each.metric}: no matured {noun} yet."
    own = None if test.log_e is None else e_value(test.log_e)
    before = "" if own == largest else "largest "
    figures = (
        f"{each.metric}: {before}e-value {largest:.3g} of {limit:.3g} after {each.units} {noun}; "
        f"the difference is {each.point:+.4g} ({each.low:+.4g} to {each.high:+.4g})."
    )
    if shown or test.hypothesis == "harm":
        return figures
    if test.more_units is None:
        return f"{figures} More of the same will not show it."
    return f"{figures} About {test.more_units} more {noun} would show it at this rate."
