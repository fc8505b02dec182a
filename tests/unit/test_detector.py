"""The detector and the expected performance by example: order, bounds, golden figures, what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.accumulators import Moments
from policies.drift.detector import Baseline, Detector, DetectorPlan, LossDay, baseline_of, detect
from policies.drift.reliability import (
    BINS,
    BLIND,
    Reliability,
    calibration_shift,
    expected_performance,
)
from policies.errors import ColumnsError, EvidenceMismatch, PlanError
from policies.fixed import to_fixed

BINARY = DetectorPlan()


def binary(number, count, failed, plan=BINARY):
    return LossDay(number, Moments(count, failed * plan.scale, failed * plan.scale**2))


def of(number, values, plan):
    return LossDay(number, Moments.of(to_fixed(np.asarray(values, dtype=np.float64), plan.scale)))


def test_the_limit_is_above_the_mean_and_comes_nearer_with_data():
    few, many = (baseline_of([binary(1, n, n // 10)], BINARY) for n in (100, 10_000))
    assert few.mean == many.mean == 0.1
    assert 0.1 < many.limit < few.limit < 0.2
    assert few.validity == "exact"
    by_day = DetectorPlan(unit="day")
    found = baseline_of([binary(i, 100, 8 + i % 5) for i in range(30)], by_day)
    assert found.mean < found.limit < 0.12
    assert found.validity == "asymptotic"


def test_a_baseline_without_a_loss_has_a_limit_above_zero():
    for plan in (BINARY, DetectorPlan(unit="day"), DetectorPlan(losses="bounded")):
        assert baseline_of([binary(i, 50, 0) for i in range(10)], plan).limit > 0.0


def test_a_rise_alarms_within_days_and_says_when():
    baseline = baseline_of([binary(i, 200, 20) for i in range(60)], BINARY)
    days = [binary(100 + i, 200, 20 if i < 30 else 30) for i in range(80)]
    found = detect(days[::-1], BINARY, baseline)
    assert found.alarm is not None
    assert 131 <= found.alarm <= 160
    assert found == detect(days, BINARY, baseline)
    assert detect(days[:30], BINARY, baseline).alarm is None


@pytest.mark.parametrize(
    "plan",
    [DetectorPlan(losses="bounded"), DetectorPlan(unit="day"), DetectorPlan(losses="bounded", unit="day")],
)
def test_bounded_losses_and_days_alarm_too(plan):
    rng = np.random.default_rng(4)

    def day(number, mean):
        found = rng.beta(mean * 20, (1 - mean) * 20, 300)
        return of(number, rng.random(300) < mean if plan.losses == "binary" else found, plan)

    baseline = baseline_of([day(i, 0.1) for i in range(60)], plan)
    quiet = detect([day(100 + i, 0.1) for i in range(60)], plan, baseline)
    risen = detect([day(100 + i, 0.2) for i in range(60)], plan, baseline)
    assert quiet.alarm is None
    assert risen.alarm is not None


def test_step_by_step_with_json_between_is_one_run():
    baseline = Baseline(0.1, 0.11, 30, 3000, "exact")
    days = [binary(i, 100, 10 + i) for i in range(10)]
    found = Detector.start(BINARY, baseline)
    for day in days:
        found = Detector.from_json(found.to_json()).step(day)
    assert found.to_json() == detect(days, BINARY, baseline).to_json()
    with pytest.raises(EvidenceMismatch, match="the day"):
        found.step(days[0])
    with pytest.raises(EvidenceMismatch, match="format"):
        Detector.from_json(found.to_json().replace(b'"format":1', b'"format":2'))


def test_a_day_without_losses_changes_no_capital():
    baseline = Baseline(0.1, 0.11, 30, 3000, "exact")
    found = Detector.start(BINARY, baseline).step(binary(1, 0, 0))
    assert found.log_level == 0.0  # M was 0; one more day starts one more bet


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 6), st.floats(0.05, 0.95), st.sampled_from(["request", "day"]))
def test_each_day_is_a_fair_bet_at_the_limit(count, rate, unit):
    """E[e] <= 1 when each loss is 1 with the limit's probability: all outcomes of a day enumerated."""
    plan = DetectorPlan(unit=unit, bets=3)
    detector = Detector.start(plan, Baseline(rate, rate, 1, 1, "exact"))
    expected = 0.0
    for failed in range(count + 1):
        chance = math.comb(count, failed) * rate**failed * (1 - rate) ** (count - failed)
        level = detector.step(binary(1, count, failed, plan)).log_level
        expected += chance * math.exp(level)
    assert expected <= 1.0 + 1e-9


@pytest.mark.parametrize(
    "declare",
    [
        lambda: DetectorPlan(run_days=0),
        lambda: DetectorPlan(bound=2.0),
        lambda: DetectorPlan(scale=3),
        lambda: DetectorPlan(tolerance=-0.1),
        lambda: DetectorPlan(confidence=1.0),
        lambda: DetectorPlan(largest_bet=1.0),
        lambda: baseline_of([], BINARY),
        lambda: baseline_of([binary(1, 100, 10)], DetectorPlan(unit="day")),
    ],
)
def test_a_plan_or_baseline_that_cannot_be_is_refused(declare):
    with pytest.raises(PlanError, match="Expected"):
        declare()


def test_losses_of_another_kind_are_refused():
    start = Detector.start(BINARY, Baseline(0.1, 0.11, 30, 3000, "exact"))
    half = LossDay(1, Moments.of(to_fixed(np.array([0.5]), BINARY.scale)))
    for wrong in (half, binary(1, 1, 2), binary(1, 1, -1)):
        with pytest.raises(EvidenceMismatch, match="binary losses"):
            start.step(wrong)


def scored(rng, size, *, concept=0.0, labels=True):
    scores = rng.beta(2, 4, size)
    truth = np.clip(scores + concept, 0, 1)
    return scores, (rng.random(size) < truth).astype(float) if labels else np.full(size, np.nan)


def test_without_labels_the_level_is_told_and_a_changed_concept_is_not():
    rng = np.random.default_rng(7)
    reference = Reliability.of(*scored(rng, 40_000), 0.5)
    for concept, blind in ((0.0, False), (0.2, True)):
        scores, labels = scored(rng, 40_000, concept=concept)
        found = expected_performance(Reliability.of(scores, np.full(scores.size, np.nan), 0.5), reference)
        realised = float(((scores >= 0.5) == (labels == 1.0)).mean())
        assert (abs(found.accuracy - realised) > 0.05) == blind
        assert found.validity == "report_only"
        assert found.assumption == BLIND
    assert found.brier == pytest.approx(float((scores * (1 - scores)).mean()), abs=0.005)


def test_calibration_is_isotonic_and_fills_its_gaps():
    one = Reliability.of(np.array([0.1, 0.1, 0.5, 0.5, 0.9]), np.array([1.0, 0.0, 0.0, 0.0, 1.0]), 0.5)
    rates = one.calibrated()
    assert (np.diff(rates) >= 0).all()
    assert rates[0] == rates[5] == 0.25
    assert rates[-1] == 1.0
    assert np.isnan(Reliability.empty().calibrated()).all()


def test_a_moved_concept_moves_the_calibration_and_a_moved_population_does_not():
    rng = np.random.default_rng(8)
    reference = Reliability.of(*scored(rng, 20_000), 0.5)
    same = calibration_shift(reference, Reliability.of(*scored(rng, 5000), 0.5))
    moved = calibration_shift(reference, Reliability.of(*scored(rng, 5000, concept=0.1), 0.5))
    harder = rng.beta(4, 4, 5000)
    other = calibration_shift(
        reference, Reliability.of(harder, (rng.random(5000) < harder).astype(float), 0.5)
    )
    assert same.p > 0.001
    assert other.p > 0.001
    assert moved.p < 1e-6
    assert moved.signed == pytest.approx(0.1, abs=0.02)
    assert calibration_shift(reference, Reliability.empty()).p == 1.0


@settings(deadline=None, max_examples=25)
@given(
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, 1.0, math.nan])), max_size=20),
    st.integers(0, 20),
)
def test_reliability_merges_and_subtracts(pairs, cut):
    def counted(some):
        scores, labels = (np.array([pair[i] for pair in some], dtype=float) for i in (0, 1))
        return Reliability.of(scores, labels, 0.5)

    a, b, whole = counted(pairs[:cut]), counted(pairs[cut:]), counted(pairs)
    assert a.merge(b) == whole == b.merge(a)
    assert whole.subtract(b) == a
    assert sum(whole.rows) == len(pairs)
    assert len(whole.rows) == BINS


def test_what_is_no_probability_or_no_label_is_refused():
    for scores, labels in (([1.5], [1.0]), ([math.nan], [1.0]), ([0.5], [2.0])):
        with pytest.raises(ColumnsError):
            Reliability.of(np.array(scores), np.array(labels), 0.5)
    with pytest.raises(EvidenceMismatch):
        Reliability.empty().subtract(Reliability.of(np.array([0.5]), np.array([1.0]), 0.5))
