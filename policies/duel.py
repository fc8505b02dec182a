"""A duel: what one contender shows against the champion and against the champion recalibrated."""

import math
from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

from policies.evalues import mixture
from policies.evidence import Evidence
from policies.figures import more_needed, tidy
from policies.metric_plan import MetricPlan
from policies.plan import Plan
from policies.sample import Sample, sample_of

SliceState = Literal["not worse", "worse", "unknown"]


class Margins(Protocol):
    """What a duel reads of the rule."""

    @property
    def margin(self) -> float:
        """How much better a contender must be, in the metric's unit."""

    @property
    def slice_margin(self) -> float:
        """How much worse it may be on a slice, in the metric's unit."""


class Pairs(Protocol):
    """What a duel reads of a contender."""

    @property
    def champion(self) -> Evidence:
        """The contender against the champion."""

    @property
    def rival(self) -> Evidence | None:
        """The contender against the champion recalibrated."""

    @property
    def slices(self) -> Mapping[str, Evidence]:
        """The contender against the champion on each guarded slice."""


class Duel(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The figures of one contender; gains are above 0 where it is better, in the metric's unit.

    `low` is the gain that is sure at this level. The e-values are against "better by at most the margin".
    `slices` are the guarded slices, and the guardrail metrics by their own margins.
    """

    name: str
    units: int
    gain: float | None
    low: float | None
    log_e_champion: float
    beats_champion: bool
    rival_gain: float | None
    log_e_rival: float | None
    beats_rival: bool
    slices: dict[str, SliceState]
    said: str


def duel(name: str, pairs: Pairs, plan: Plan, margins: Margins, level: float) -> Duel:
    """Return what one contender shows at error level `level`.

    Raises:
        EvidenceMismatch: evidence was folded under another plan.
    """
    metric = next(each for each in plan.metrics if each.role == "primary")
    limit = -math.log(level)
    clip = plan.clip(metric.name)
    champion = _sample(pairs.champion, metric, plan)
    capital = champion.capital(margins.margin / clip)
    log_e = mixture(capital)
    rival = None if pairs.rival is None else _sample(pairs.rival, metric, plan)
    log_e_rival = None if rival is None else rival.log_e(margins.margin / clip)
    guarded = {
        each: _slice(_sample(evidence, metric, plan), margins.slice_margin / clip, limit)
        for each, evidence in sorted(pairs.slices.items())
    }
    guarded |= _guardrails(pairs.champion, plan, limit)
    gain, units = _gain(champion, plan), champion.moments.count
    shown = "nothing to compare" if gain is None else f"{gain:+.4g} a decision, e-value {_e(log_e):.3g}"
    more = more_needed(capital, units, limit) if units else None
    return Duel(
        name=name,
        units=units,
        gain=gain,
        low=tidy(champion.lower(level) * clip) if units else None,
        log_e_champion=tidy(log_e),
        beats_champion=log_e >= limit,
        rival_gain=None if rival is None else _gain(rival, plan),
        log_e_rival=None if log_e_rival is None else tidy(log_e_rival),
        beats_rival=log_e_rival is not None and log_e_rival >= limit,
        slices=guarded,
        said=f"{name}: {shown} of {1.0 / level:.3g} after {units} units" + _outlook(more),
    )


def _outlook(more: int | None) -> str:
    """Return what more of the same would do, as the end of a sentence."""
    if more is None:
        return "; more of the same will not show it."
    return f"; about {more} more would show it." if more else "."


def _guardrails(evidence: Evidence, plan: Plan, limit: float) -> dict[str, SliceState]:
    """Return how each guardrail metric stands over all decisions, by its own margin."""
    return {
        each.name: _slice(_sample(evidence, each, plan), (each.margin or 0.0) / plan.clip(each.name), limit)
        for each in plan.metrics
        if each.role == "guardrail"
    }


def _sample(evidence: Evidence, metric: MetricPlan, plan: Plan) -> Sample:
    evidence.check(plan)
    return sample_of(evidence.metrics[metric.name], metric, plan)


def _gain(sample: Sample, plan: Plan) -> float | None:
    mean = sample.moments.mean
    return None if mean is None else tidy(mean / plan.scale)


def _slice(sample: Sample, margin: float, limit: float) -> SliceState:
    """Return how a slice stands: both answers are e-values at the same level."""
    if sample.log_e(-margin) >= limit:
        return "not worse"
    return "worse" if sample.log_e(margin, swapped=True) >= limit else "unknown"


def _e(log_e: float) -> float:
    return math.exp(min(log_e, 700.0))
