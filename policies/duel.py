"""A duel: what one contender shows against the champion and against the champion recalibrated."""

import math
from collections.abc import Mapping
from typing import Literal, Protocol

import msgspec

from policies.errors import EvidenceMismatch, PlanError
from policies.evidence import Evidence
from policies.figures import tidy
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
        PlanError: the plan has not exactly one primary metric.
        EvidenceMismatch: evidence was folded under another plan.
    """
    metric = _primary(plan)
    limit = -math.log(level)
    clip = plan.clip(metric.name)
    if max(margins.margin, margins.slice_margin) >= clip:
        largest = max(margins.margin, margins.slice_margin)
        raise PlanError(
            "retraining.margin", largest, f"below the clip, {clip!r}", "Lower it, or widen the clip."
        )
    champion = _sample(pairs.champion, metric, plan)
    log_e = champion.log_e(margins.margin / clip)
    rival = None if pairs.rival is None else _sample(pairs.rival, metric, plan)
    log_e_rival = None if rival is None else rival.log_e(margins.margin / clip)
    slices = {
        each: _slice(_sample(evidence, metric, plan), margins.slice_margin / clip, limit)
        for each, evidence in sorted(pairs.slices.items())
    }
    gain = _gain(champion, plan)
    shown = "nothing to compare" if gain is None else f"{gain:+.4g} a decision, e-value {_e(log_e):.3g}"
    return Duel(
        name=name,
        units=champion.moments.count,
        gain=gain,
        low=tidy(champion.lower(level) * clip) if champion.moments.count else None,
        log_e_champion=tidy(log_e),
        beats_champion=log_e >= limit,
        rival_gain=None if rival is None else _gain(rival, plan),
        log_e_rival=None if log_e_rival is None else tidy(log_e_rival),
        beats_rival=log_e_rival is not None and log_e_rival >= limit,
        slices=slices,
        said=f"{name}: {shown} of {1.0 / level:.3g} after {champion.moments.count} units.",
    )


def _primary(plan: Plan) -> MetricPlan:
    found = [metric for metric in plan.metrics if metric.role == "primary"]
    if len(found) != 1:
        raise PlanError(
            "metrics", [m.name for m in found], "one primary metric", "Declare the one that decides."
        )
    return found[0]


def _sample(evidence: Evidence, metric: MetricPlan, plan: Plan) -> Sample:
    if evidence.plan != plan.digest:
        raise EvidenceMismatch("the plan", evidence.plan, plan.digest)
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
