"""How often drift answers alarm: seeded windows of 30 features, the naive rule shown failing beside ours.

Twenty numbers and ten categories of 2 to 2,000 levels, 1,000 rows a day, 28 reference days. The benchmark
runs the same worlds longer, at more sizes and against other tools (`make bench-drift`).
"""

import math

import numpy as np
import pytest

from policies.accumulators import Moments
from policies.drift import check_quality, compare
from policies.drift.detector import Baseline, Detector, DetectorPlan, LossDay, baseline_of
from policies.drift.distance import compare_counts, counts_chance, effective, ks_chance, ks_distance
from tests.support.worlds import JITTER, day, past

SIZE, DAYS, WINDOWS = 1000, 28, 40
ALPHA = 1.0 / 365.0
# Three standard errors above the level: 40 windows allow one false alarm, not two.
MOST = math.floor(WINDOWS * ALPHA + 3.0 * math.sqrt(WINDOWS * ALPHA * (1.0 - ALPHA)))


@pytest.fixture(scope="module", params=[0.0, JITTER], ids=["still", "jitter"])
def world(request):
    rng = np.random.default_rng(1400)
    plan, reference = past(rng, SIZE, DAYS, jitter=request.param)
    return plan, reference, request.param


def alarms(world, kind, windows):
    plan, reference, jitter = world
    rng = np.random.default_rng([1401, len(kind)])
    found = [compare(day(rng, SIZE, kind, plan, jitter=jitter), reference, plan) for _ in range(windows)]
    return [each for each in found if each.answers["feature"] == "drift"]


@pytest.mark.parametrize("kind", ["null", "immaterial"])
def test_nothing_that_matters_raises_next_to_no_alarm(world, kind):
    assert len(alarms(world, kind, WINDOWS)) <= MOST + (kind == "immaterial")


def test_a_fifth_of_a_standard_deviation_on_two_of_thirty_is_found(world):
    found = alarms(world, "meaningful", WINDOWS)
    assert len(found) >= 0.85 * WINDOWS
    assert all({f.feature for f in each.features if f.answer == "drift"} & {"n0", "n1"} for each in found)


def test_a_broken_feature_is_named_in_its_first_window(world):
    plan, reference, jitter = world
    rng = np.random.default_rng(1402)
    for kind in ("broken", "missing"):
        for found in (compare(day(rng, SIZE, kind, plan, jitter=jitter), reference, plan) for _ in range(10)):
            assert found.features[0].feature == "n0"
            assert found.features[0].answer == "drift"
    for _ in range(10):
        window = day(rng, SIZE, "level", plan, jitter=jitter)
        named = [each.feature for each in check_quality(window, plan) if each.answer == "broken"]
        assert named == ["c2"]


def test_the_naive_rule_alarms_every_other_day(world):
    plan, reference, jitter = world
    rng = np.random.default_rng(1403)
    pool = reference.pool(None)
    alarmed = 0
    for _ in range(30):
        window = day(rng, SIZE, "null", plan, jitter=jitter)
        chances = []
        for name, state in window.features.items():
            ref = pool.features[name]
            size = effective(ref.present, state.present)
            if state.edges.size:
                chances.append(ks_chance(ks_distance(ref.edges, state.edges), size, 0.0))
            else:
                chances.append(counts_chance(compare_counts(ref.levels, state.levels), size, 0.0))
        alarmed += min(chances) < 0.05
    assert alarmed >= 12


def losses(number, count, failed, plan):
    return LossDay(number, Moments(count, failed * plan.scale, failed * plan.scale**2))


def test_the_detector_runs_at_least_as_long_as_chosen_even_at_its_limit():
    plan = DetectorPlan(run_days=40, bets=8)
    rng = np.random.default_rng(8)
    runs = []
    for _ in range(150):
        found = Detector.start(plan, Baseline(0.1, 0.1, 1, 1, "exact"))
        while found.alarm is None and found.days < 400:
            found = found.step(losses(found.days + 1, 50, int(rng.binomial(50, 0.1)), plan))
        runs.append(found.days)
    assert float(np.mean(runs)) >= 40


def test_the_detector_with_a_learned_limit_is_quiet_for_years_and_quick_when_it_matters():
    plan = DetectorPlan(bets=12)
    rng = np.random.default_rng(9)
    false, delays = 0, []
    for _ in range(10):
        past_days = [losses(i, 200, int(rng.binomial(200, 0.1)), plan) for i in range(60)]
        found = Detector.start(plan, baseline_of(past_days, plan))
        for number in range(100, 465):
            found = found.step(losses(number, 200, int(rng.binomial(200, 0.1)), plan))
        false += found.alarm is not None
        found = Detector.start(plan, found.baseline)
        for number in range(500, 600):
            found = found.step(losses(number, 200, int(rng.binomial(200, 0.15)), plan))
        delays.append(100 if found.alarm is None else found.alarm - 499)
    assert false == 0
    assert float(np.median(delays)) <= 12
