"""Quality rules, read from counters: type, range, missing share, unseen level, stale share, freshness.

A share is broken when it is above its limit by more than chance allows, so that one null in twenty rows is
not an incident; a limit of 0 is broken by the first value. All rules of one look share the look's alpha.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec
from scipy.stats import binom

from policies.drift.plan import CATEGORIES, FeaturePlan, MonitorPlan
from policies.drift.state import FeatureState, WindowState
from policies.figures import tidy

Answer = Literal["ok", "broken", "not enough data"]
RULES = ("type", "range", "missing", "unseen", "stale")


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One rule and how it stands. `feature` is None where the rule is about the whole stream."""

    rule: str
    answer: Answer
    reason: str
    feature: str | None = None
    value: float | None = None
    limit: float | None = None


class Freshness(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How old the newest event is: instants in microseconds since 1970, `newest_us` None for no event."""

    newest_us: int | None
    now_us: int
    limit_us: int


def check_quality(
    window: WindowState, plan: MonitorPlan, *, freshness: Freshness | None = None
) -> tuple[Finding, ...]:
    """Return one finding per feature and rule that applies, and one on freshness when it is asked for.

    >>> from policies.drift import FeaturePlan
    >>> plan = MonitorPlan(features=(FeaturePlan(name="age", type="int64"),))
    >>> check_quality(WindowState.empty(plan), plan)[0].answer
    'not enough data'
    """
    alpha = plan.rule.alpha / (len(plan.features) * len(RULES))
    found = [
        finding
        for feature in plan.features
        for finding in _feature(feature, window.features[feature.name], alpha)
    ]
    return (*found, _freshness(freshness)) if freshness is not None else tuple(found)


def broken(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Return the findings that forbid to trust the window."""
    return tuple(finding for finding in findings if finding.answer == "broken")


def _feature(plan: FeaturePlan, state: FeatureState, alpha: float) -> Iterator[Finding]:
    held = state.rows - state.count("null")
    mistyped = state.count("mistyped")
    yield _share(plan, "type", (mistyped, held, f"values are no {plan.type}"), 0.0, alpha)
    if plan.low is not None or plan.high is not None:
        outside = state.count("below") + state.count("above")
        said = f"values lie outside {plan.low} to {plan.high}"
        yield _share(plan, "range", (outside, state.present, said), plan.max_outside, alpha)
    missing = sum(count for name, count in state.absences().items() if name != "mistyped")
    said = "rows have no finite value" if plan.edges else "rows have no value"
    yield _share(plan, "missing", (missing, state.rows, said), plan.max_missing, alpha)
    if plan.type in CATEGORIES and plan.levels and (plan.closed or plan.max_unseen):
        unseen = int(state.levels[len(plan.levels) :].sum())
        said = f"values are none of the {len(plan.levels)} known levels"
        yield _share(plan, "unseen", (unseen, state.present, said), plan.max_unseen, alpha)
    stale = state.count("status_stale")
    yield _share(plan, "stale", (stale, state.rows, "values were served stale"), plan.max_stale, alpha)


def _share(plan: FeaturePlan, rule: str, parts: tuple[int, int, str], limit: float, alpha: float) -> Finding:
    count, whole, said = parts
    if not whole:
        reason = f"{plan.name}: there is nothing to count."
        return Finding(rule=rule, feature=plan.name, answer="not enough data", limit=limit, reason=reason)
    share = count / whole
    answer: Answer = "ok"
    if share > limit:
        chance = float(binom.sf(count - 1, whole, limit))
        answer = "broken" if chance <= alpha else "not enough data"
    reason = f"{plan.name}: {count} of {whole} {said}, allowed is a share of {limit:.3g}"
    reason += "; so few rows may do that by chance." if answer == "not enough data" else "."
    return Finding(rule=rule, feature=plan.name, answer=answer, value=tidy(share), limit=limit, reason=reason)


def _freshness(found: Freshness) -> Finding:
    limit = found.limit_us / 1e6
    if found.newest_us is None:
        return Finding(rule="freshness", answer="broken", limit=limit, reason="No event has ever arrived.")
    age = (found.now_us - found.newest_us) / 1e6
    if age < 0.0:
        reason = f"The newest event lies {-age:.6g} s in the future: compare the clocks."
    else:
        reason = f"The newest event is {age:.6g} s old, allowed are {limit:.6g} s."
    fresh = 0.0 <= age <= limit
    return Finding(
        rule="freshness", answer="ok" if fresh else "broken", value=tidy(age), limit=limit, reason=reason
    )
