"""Metrics whose outcome is never seen where the live decision blocks: what holds whatever was not seen.

The unseen differences are set against the challenger, and for it. What the first shows is shown in any case,
and so is harm that the second shows; both are exact. Where the mean could lie on either side of the null,
more of the same data cannot tell, and the share of exploration is named that could.
"""

import numpy as np
from msgspec import UNSET, Struct, UnsetType, structs

from policies.accumulators import Moments, TernaryCounts
from policies.bounds import Bounds, exploration_share
from policies.columns import Columns, Ints, Mask
from policies.evidence import MetricEvidence, Unseen
from policies.figures import tidy
from policies.metric_plan import MetricPlan
from policies.options import declared
from policies.plan import Plan
from policies.units import PerUnit


class Blocked(Struct, frozen=True, forbid_unknown_fields=True):
    """Where the mean difference over all decisions can lie, in the metric's unit: Manski's bounds.

    `unseen` decisions have no outcome and could differ; `explore` is the share of them to let through so that
    as many decisions again would show the registered effect, None where all would be too few.
    """

    low: float
    high: float
    unseen: int
    share: float
    explore: float | None


def with_unseen(
    evidence: MetricEvidence, read: Columns, metric: MetricPlan, keys: Ints | None, unnamed: Mask | None
) -> MetricEvidence:
    """Return the evidence with the decisions that were blocked: level where both models decide alike."""
    blocked = declared(metric.blocked_decision)
    assert blocked is not None  # what makes the metric bounded
    hidden = np.isnan(read.label) & read.champion.decided(blocked)
    asked = ~read.challenger.decision_missing
    if unnamed is not None:
        asked &= ~unnamed
    differs = read.decisions_differ
    # A score has a loss of its own, whatever is decided: only what decides can be level.
    level = hidden & asked & ~differs if metric.decides else np.zeros(read.rows, dtype=np.bool_)
    unseen = hidden & asked & ~level
    counts = int(np.count_nonzero(level)), int(np.count_nonzero(unseen))
    reasons = dict(evidence.reasons)
    left = reasons.pop("label_missing", 0) - sum(counts)
    if left:
        reasons["label_missing"] = left
    moments, ternary, units, held = evidence.moments, evidence.ternary, evidence.units, PerUnit.empty()
    if keys is None:
        moments = moments.merge(Moments(counts[0], 0, 0))
        ternary = ternary.merge(TernaryCounts(0, counts[0], 0)) if metric.kind.ternary else ternary
    else:
        units, held = units.merge(_nothing(keys[level])), _nothing(keys[unseen])
    return structs.replace(
        evidence,
        used=evidence.used + sum(counts),
        reasons=dict(sorted(reasons.items())),
        moments=moments,
        ternary=ternary,
        units=units,
        unseen=Unseen(counts[1], held),
    )


def _nothing(keys: Ints) -> PerUnit:
    """Return the units of decisions that are worth nothing to either model."""
    zeros = np.zeros(keys.size, dtype=np.int64)
    return PerUnit.of(keys, zeros, zeros)


def filled(evidence: MetricEvidence, metric: MetricPlan, plan: Plan, *, favourable: bool) -> MetricEvidence:
    """Return the evidence with each unseen difference at its worst for the challenger, or at its best."""
    unseen = evidence.unseen
    if isinstance(unseen, UnsetType):
        return evidence
    clip = round(plan.clip(metric.name) * plan.scale)
    if plan.unit.kind == "request":
        count, sign = unseen.count, 1 if favourable else -1
        ternary = TernaryCounts(count, 0, 0) if favourable else TernaryCounts(0, 0, count)
        return structs.replace(
            evidence,
            moments=evidence.moments.merge(Moments(count, sign * count * clip, count * clip * clip)),
            ternary=evidence.ternary.merge(ternary) if metric.kind.ternary else evidence.ternary,
            unseen=UNSET,
        )
    oriented = 1 if favourable == (metric.direction == "higher") else -1
    reach = oriented * round(metric.kind.limit(metric) * plan.scale)
    held = unseen.units
    worst = PerUnit(held.keys, held.counts, np.zeros_like(held.counts), held.counts * reach)
    return structs.replace(evidence, units=evidence.units.merge(worst), unseen=UNSET)


def bounds_of(
    means: tuple[float, float], evidence: MetricEvidence, metric: MetricPlan, plan: Plan
) -> Blocked:
    """Return the bounds of the mean, from both cases' means, and the exploration that would decide."""
    unseen = 0 if isinstance(evidence.unseen, UnsetType) else evidence.unseen.count
    share = unseen / evidence.used
    found = Bounds(*means, share)
    effect = declared(metric.effect)
    assert effect is not None  # checked when the plan was made
    explore = exploration_share(
        effect,
        unseen=share,
        width=2.0 * plan.clip(metric.name),
        decisions=evidence.used,
        alpha=plan.policy.alpha,
    )
    return Blocked(
        tidy(found.low), tidy(found.high), unseen, tidy(share), None if explore is None else tidy(explore)
    )
