"""The drift answer: drift when it is significant *and* material, else ok, else not enough data."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from policies.checks import refuse
from policies.drift.exact import as_mean
from policies.drift.plan import CATEGORIES, NUMBERS, DriftRule, FeaturePlan, MonitorPlan, Role
from policies.drift.reference import Reference
from policies.drift.state import FeatureState, WindowState
from policies.drift.tested import Tested, tests_of
from policies.errors import EvidenceMismatch
from policies.figures import tidy

Answer = Literal["ok", "drift", "not enough data"]


class Moved(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One way in which a feature may have moved: its distribution, or the share of rows without a value.

    `effect` is what it moved beyond chance: Kolmogorov's distance for numbers, total variation for
    categories, a difference of shares for presence; all from 0 to 1. `margin` is what matters. `p` is
    corrected for all tests of the look (Holm 1979). From `visible` on, any distance would be significant.
    """

    what: Literal["distribution", "presence"]
    effect: float
    margin: float
    p: float
    visible: float
    significant: bool

    @property
    def drifted(self) -> bool:
        """Return whether the movement is both significant and material."""
        return self.significant and self.effect >= self.margin


class FeatureDrift(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The answer on one feature with its figures. `rank` is importance times the effect beyond the margin."""

    feature: str
    role: Role
    answer: Answer
    reason: str
    moved: tuple[Moved, ...]
    rank: float
    rows: tuple[int, int]
    mean: tuple[float | None, float | None]
    learned: bool


class Drift(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The answer of one look: per role, and every feature, what matters most to the model first.

    The ranking says what to show. It raises no alarm, and no drift retrains anything (docs/adr/0015).
    """

    answers: dict[Role, Answer]
    features: tuple[FeatureDrift, ...]
    alpha: float


def compare(
    window: WindowState,
    reference: Reference,
    plan: MonitorPlan,
    *,
    weekday: int | None = None,
    importance: Mapping[str, float] | None = None,
) -> Drift:
    """Return how a window stands against the reference.

    `weekday` (0 for Monday) names the days it is like; None compares with all days, which suits windows of
    whole weeks.

    A feature that moves as it always did is called drift at most at the chosen rate, whatever its rows.
    With fewer days than `min_days` that usual movement is not known: an effect must then be shown beyond
    the floor.
    `importance` weighs features for the ranking alone, 1 where none is given.

    Raises:
        EvidenceMismatch: the window or the reference belongs to another plan.
        PlanError: an importance is negative, not finite, or of no watched feature.
    """
    for found in (window.plan, reference.plan):
        if found != plan.digest:
            raise EvidenceMismatch("the plan", found, plan.digest)
    weights = _weights(plan, importance or {})
    pool = reference.pool(weekday)
    tests = [
        test
        for feature in plan.features
        for test in tests_of(
            feature,
            (pool.features[feature.name], window.features[feature.name]),
            reference.variation[feature.name],
            plan,
        )
    ]
    corrected = holm([test.p for test in tests])
    moved: dict[str, list[Moved]] = {}
    for test, p in zip(tests, corrected, strict=True):
        moved.setdefault(test.feature.name, []).append(_moved(test, p, plan.rule))
    rows = [
        _feature(
            feature,
            (pool.features[feature.name], window.features[feature.name]),
            tuple(moved.get(feature.name, ())),
            weights.get(feature.name, 1.0),
            plan.rule,
            learned=reference.variation[feature.name].days >= plan.rule.min_days,
        )
        for feature in plan.features
    ]
    rows.sort(key=lambda row: (row.answer != "drift", -row.rank, row.feature))
    roles = sorted({feature.role for feature in plan.features})
    answers = {role: _overall([row.answer for row in rows if row.role == role]) for role in roles}
    return Drift(answers, tuple(rows), tidy(plan.rule.alpha))


def holm(chances: Sequence[float]) -> list[float]:
    """Return the chances corrected for their number (Holm 1979): valid under any dependence.

    >>> holm([0.01, 0.04, 0.03])
    [0.03, 0.06, 0.06]
    """
    order = sorted(range(len(chances)), key=chances.__getitem__)
    corrected, reached = [0.0] * len(chances), 0.0
    for place, index in enumerate(order):
        reached = max(reached, min(1.0, (len(chances) - place) * chances[index]))
        corrected[index] = reached
    return corrected


def _moved(test: Tested, p: float, rule: DriftRule) -> Moved:
    return Moved(
        what=test.what,
        effect=tidy(test.effect),
        margin=tidy(test.margin),
        p=tidy(p),
        visible=tidy(min(test.visible, 1.0)),
        significant=p <= rule.alpha,
    )


def _feature(
    feature: FeaturePlan,
    states: tuple[FeatureState, FeatureState],
    moved: tuple[Moved, ...],
    weight: float,
    rule: DriftRule,
    *,
    learned: bool,
) -> FeatureDrift:
    drifted = [each for each in moved if each.drifted]
    shape = next((each for each in moved if each.what == "distribution"), None)
    answer: Answer
    if drifted:
        answer, reason = "drift", " ".join(_said(feature, each) for each in drifted)
    elif feature.type not in NUMBERS + CATEGORIES and all(state.rows for state in states):
        answer, reason = "ok", f"{feature.name}: of type {feature.type} presence alone is watched."
    elif shape is None:
        answer, reason = "not enough data", f"{feature.name}: no values to compare on both sides."
    elif shape.visible > max(rule.visible, shape.margin):
        answer = "not enough data"
        reason = f"{feature.name}: so few rows show no effect below {shape.visible:.3g} for sure."
    else:
        answer, reason = "ok", _said(feature, shape)
    beyond = max((max(each.effect - each.margin, 0.0) for each in drifted), default=0.0)
    means = [tidy(mean) if (mean := _mean(feature, state)) is not None else None for state in states]
    return FeatureDrift(
        feature=feature.name,
        role=feature.role,
        answer=answer,
        reason=reason,
        moved=moved,
        rank=tidy(weight * beyond),
        rows=(states[0].rows, states[1].rows),
        mean=(means[0], means[1]),
        learned=learned,
    )


def _said(feature: FeaturePlan, moved: Moved) -> str:
    noun = "its distribution" if moved.what == "distribution" else "the share of rows without a value"
    return (
        f"{feature.name}: {noun} moved by {moved.effect:.3g}, material from {moved.margin:.3g} on; "
        f"chance of that without cause {moved.p:.2g}."
    )


def _mean(feature: FeaturePlan, state: FeatureState) -> float | None:
    return as_mean(state.total, state.present) if feature.type in NUMBERS else None


def _overall(answers: Sequence[Answer]) -> Answer:
    """Return drift when one drifted, ok when one was seen well, else that there is not enough data."""
    for answer in ("drift", "ok"):
        if answer in answers:
            return answer
    return "not enough data"


def _weights(plan: MonitorPlan, importance: Mapping[str, float]) -> dict[str, float]:
    known = {feature.name for feature in plan.features}
    for name, weight in importance.items():
        if name not in known:
            refuse(f"importance.{name}", weight, f"one of {', '.join(sorted(known))}", "Correct the name.")
        if not 0.0 <= weight < math.inf:
            refuse(f"importance.{name}", weight, "a finite number of at least 0", "Correct it.")
    return dict(importance)
