"""The tests of one look: what each feature allows, with its effect, its margin and its chance."""

import math
from typing import Literal, NamedTuple

from scipy.stats import chi2

from policies.drift import distance as chance
from policies.drift.plan import CATEGORIES, NUMBERS, DriftRule, FeaturePlan, MonitorPlan
from policies.drift.state import FeatureState
from policies.drift.variation import Variation, distances


class Tested(NamedTuple):
    """One test of a feature before it is corrected for its siblings; `Moved` says what the fields mean."""

    feature: FeaturePlan
    what: Literal["distribution", "presence"]
    effect: float
    margin: float
    p: float
    visible: float


def tests_of(
    feature: FeaturePlan, states: tuple[FeatureState, FeatureState], variation: Variation, plan: MonitorPlan
) -> list[Tested]:
    """Return the tests that this feature allows. One that could not reject is left out (Tarone 1990)."""
    learned = variation.days >= plan.rule.min_days
    tests = []
    if feature.type in NUMBERS + CATEGORIES and states[0].present and states[1].present:
        test = _numbers if feature.type in NUMBERS else _categories
        tests += test(feature, states, variation if learned else None, plan)
    found = distances(*states)
    if any(found.absent) and all(found.rows):
        tests.append(_presence(feature, found.absent, found.rows, variation if learned else None, plan.rule))
    return tests


def _numbers(
    feature: FeaturePlan,
    states: tuple[FeatureState, FeatureState],
    variation: Variation | None,
    plan: MonitorPlan,
) -> list[Tested]:
    """Return the test of a number: the wider of a change of shape (Kolmogorov) and a shift in rank."""
    found, rule = distances(*states), plan.rule
    effect = chance.debiased(found.ks, chance.KS_SQUARE / found.size)
    level = rule.alpha / (2.0 * len(plan.features))
    reach = math.sqrt(math.log(2.0 * (2.0 if variation else 1.0) / level) / 2.0)
    if variation is None:
        p = chance.ks_chance_beyond(found.ks, found.size, rule.floor)
        visible = rule.floor + reach / math.sqrt(found.size)
        return [Tested(feature, "distribution", effect, rule.floor, p, visible)]
    p = 2.0 * min(
        chance.ks_chance(found.ks, found.size, variation.ks),
        chance.rank_chance(found.shift, found.shift_variance, variation.rank),
    )
    margin = max(rule.floor, rule.spread * math.sqrt(chance.BRIDGE_VARIANCE * variation.ks))
    visible = reach * math.sqrt(1.0 / found.size + variation.ks)
    return [Tested(feature, "distribution", effect, margin, min(p, 1.0), visible)]


def _categories(
    feature: FeaturePlan,
    states: tuple[FeatureState, FeatureState],
    variation: Variation | None,
    plan: MonitorPlan,
) -> list[Tested]:
    rule = plan.rule
    found = chance.compare_counts(states[0].levels, states[1].levels)
    size = chance.effective(states[0].present, states[1].present)
    effect = chance.debiased(found.distance, found.noise**2)
    level = rule.alpha / (2.0 * len(plan.features))
    if variation is None:
        p = chance.counts_chance_beyond(found, size, rule.floor)
        reach = math.sqrt(((found.freedom + 1) * math.log(2.0) - math.log(level)) / (2.0 * size))
        return [Tested(feature, "distribution", effect, rule.floor, p, rule.floor + reach)]
    p = chance.counts_chance(found, size, variation.counts)
    margin = max(rule.floor, rule.spread * math.sqrt(variation.counts) / 2.0)
    critical = float(chi2.isf(level, max(found.freedom, 1)))
    visible = math.sqrt(critical * (1.0 / size + variation.counts)) / 2.0
    return [Tested(feature, "distribution", effect, margin, p, visible)]


def _presence(
    feature: FeaturePlan,
    absent: tuple[int, int],
    rows: tuple[int, int],
    variation: Variation | None,
    rule: DriftRule,
) -> Tested:
    effect = abs(absent[1] / rows[1] - absent[0] / rows[0])
    if variation is None:
        p = chance.share_chance_beyond(absent, rows, rule.presence_floor)
        return Tested(feature, "presence", effect, rule.presence_floor, p, 0.0)
    p = chance.share_chance(absent, rows, variation.presence)
    margin = max(rule.presence_floor, rule.spread * math.sqrt(variation.presence))
    return Tested(feature, "presence", effect, margin, p, 0.0)
