"""Planned alternatives: familiar tests, right where their looks were planned. No gate reads them.

A metric names them under `planned`, with the units that are planned. Group-sequential bounds need less data
than a sequence for any look, with a normal limit, and only when no look's time was chosen by what was seen.
The others are right at one look. Beside them stand the quantiles of both models' values, which are exact.
"""

import math
from collections.abc import Callable, Sequence

import msgspec
from msgspec import UnsetType

from policies.beside import Beside, planned_once
from policies.estimate import Look
from policies.evidence import Evidence, MetricEvidence
from policies.figures import tidy
from policies.fixed_horizon import Planned, exact_mcnemar, stratified_delong, tost, wilson
from policies.group_sequential import LOOKS_MAX, spending_bounds
from policies.metric_plan import MetricPlan
from policies.options import declared
from policies.plan import Plan
from policies.quantiles import Histogram, quantile_sequence
from policies.rank_sums import SCALE, RankSums
from policies.rules import Alternative
from policies.sample import Sample, sample_of

_FEWEST = 2


class _Planning(msgspec.Struct, frozen=True):
    """What a planned test reads: the metric's evidence and sample, and the looks before this one."""

    own: MetricEvidence
    sample: Sample
    metric: MetricPlan
    plan: Plan
    previous: Sequence[Look]


def alternatives(evidence: Evidence, plan: Plan, previous: Sequence[Look]) -> tuple[Beside, ...]:
    """Return the planned tests and the quantiles that metrics registered."""
    found: list[Beside] = []
    for metric in plan.metrics:
        own, names = evidence.metrics[metric.name], declared(metric.planned) or ()
        if names:
            given = _Planning(own, sample_of(own, metric, plan), metric, plan, previous)
            found += [figure for name in names for figure in _TESTS[name](given)]
        found += _quantiles(own, metric, plan)
    return tuple(found)


def _group_sequential(kind: Alternative) -> Callable[[_Planning], list[Beside]]:
    """Return the test at this look's share of the planned units, by the bounds of all looks so far."""
    assert kind in {"obrien-fleming", "pocock"}

    def test(given: _Planning) -> list[Beside]:
        units = declared(given.metric.planned_units)
        assert units is not None  # checked when the plan was made
        told = Beside(
            metric=given.metric.name,
            method=f"group-sequential, {kind}, planned looks",
            validity="asymptotic",
            assumption=f"units are independent and many, {units} of them are planned, and no look's time "
            "was chosen by what was seen",
        )
        z, reason = paired_z(given.sample)
        seen = {look.units.get(given.metric.name, 0) for look in given.previous}
        times = sorted(count for count in {*seen, given.sample.moments.count} if count)
        if times and times[-1] > units:
            reason = f"{times[-1]} units, planned were {units}"
        elif len(times) > LOOKS_MAX:
            reason = f"{len(times)} looks, there are bounds for {LOOKS_MAX}"
        if reason or z is None:
            return [msgspec.structs.replace(told, reasons=(reason,))]
        shares = tuple(count / units for count in times)
        bound = spending_bounds(shares, kind, given.plan.policy.alpha)[-1]
        return [msgspec.structs.replace(told, z=tidy(z), bound=tidy(bound))]

    return test


def paired_z(sample: Sample) -> tuple[float | None, str]:
    """Return the mean over its standard error, or None and why there is none."""
    count, total, squares = sample.moments.count, sample.moments.total, sample.moments.squares
    if count < _FEWEST:
        return None, f"{count} units, a variance needs two"
    spread = count * squares - total * total  # in integers: of floats it would be below 0 for large means
    if not spread:
        return None, "all differences are alike"
    return total / math.sqrt(spread / (count - 1)), ""


def _mcnemar(given: _Planning) -> list[Beside]:
    return [planned_once(exact_mcnemar(given.sample.ternary), given.metric)]


def _tost(given: _Planning) -> list[Beside]:
    margin = given.metric.margin
    assert margin is not None  # checked when the plan was made
    return [planned_once(tost(given.sample.moments, margin * given.plan.scale), given.metric)]


def _delong(given: _Planning) -> list[Beside]:
    ranks = given.own.ranks
    sums = RankSums(0, 0, 0) if isinstance(ranks, UnsetType) else ranks
    return [planned_once(stratified_delong(sums.groups, sums.difference, sums.variance, SCALE), given.metric)]


def _wilson(given: _Planning) -> list[Beside]:
    """Return the interval of each model's share."""
    used, found = given.own.used, []
    for model, total in (("champion", given.own.champion), ("challenger", given.own.challenger)):
        told = planned_once(Planned(f"Wilson, {model}", None, None), given.metric)
        if not used:
            found.append(msgspec.structs.replace(told, reasons=("no decision was used",)))
            continue
        low, high = wilson(total // given.plan.scale, used, given.plan.policy.alpha)
        found.append(msgspec.structs.replace(told, low=tidy(low), high=tidy(high)))
    return found


_TESTS: dict[Alternative, Callable[[_Planning], list[Beside]]] = {
    "obrien-fleming": _group_sequential("obrien-fleming"),
    "pocock": _group_sequential("pocock"),
    "mcnemar": _mcnemar,
    "tost": _tost,
    "delong": _delong,
    "wilson": _wilson,
}


def _quantiles(own: MetricEvidence, metric: MetricPlan, plan: Plan) -> list[Beside]:
    """Return the sequence of each registered quantile of each model's values."""
    spread, found = own.spread, []
    for share in declared(metric.quantiles) or ():
        for model in ("champion", "challenger"):
            seen = Histogram.empty() if isinstance(spread, UnsetType) else getattr(spread, model)
            low, high = quantile_sequence(seen, share, plan.policy.alpha)
            reached = math.isfinite(high)
            found.append(
                Beside(
                    metric=metric.name,
                    method=f"quantile {share:g}, {model}",
                    validity="exact",
                    assumption="given the decisions before it, each lies below the quantile alike often",
                    low=tidy(low),
                    high=tidy(high) if reached else None,
                    reasons=() if reached else (f"{seen.count} decisions do not bound it from above yet",),
                )
            )
    return found
