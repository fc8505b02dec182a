"""Off-policy estimates: exact by enumeration, merged to the byte, near the truth, and stopped by name."""

import itertools
import math

import numpy as np
import pyarrow as pa
import pytest

from policies.accumulators import GridCapital, Moments
from policies.bounds import exploration_share, manski
from policies.errors import ColumnsError, EvidenceMismatch, PlanError
from policies.logged import STAKES, LoggedEvidence, LoggedPlan, fold_logged
from policies.off_policy import effective_size, log_e_above, lower_end, off_policy
from tests.support.bandits import VALUES, logged

PLAN = LoggedPlan(weight_max=50.0, clip=50.0)


def test_an_e_value_expects_at_most_one_under_its_null_for_every_n():
    weights, chances = np.array([0.2, 3.0]), (0.7142857142857143, 0.2857142857142857)  # they average 1
    for chance in (0.1, 0.3):
        outcomes = [
            (p * (chance if r else 1 - chance), w * r)
            for p, w in zip(chances, weights, strict=True)
            for r in (0, 1)
        ]
        for n in range(7):
            expected = 0.0
            for path in itertools.product(outcomes, repeat=n):
                capital = GridCapital.of(np.array([d for _, d in path]), STAKES)
                expected += math.prod(p for p, _ in path) * math.exp(log_e_above(capital, chance))
            assert expected <= 1 + 1e-12
            assert expected == pytest.approx(1.0, abs=1e-9)  # a fair game


def test_each_step_is_fair_for_a_value_without_upper_bound():
    rng = np.random.default_rng(2)
    drawn = rng.lognormal(0.0, 1.5, 400_000)
    for null in (drawn.mean(), drawn.mean() * 1.1):
        assert np.mean((1 + STAKES[:, None] * drawn) / (1 + STAKES[:, None] * null)) <= 1 + 1e-12


def test_the_lower_end_is_the_largest_rejected_null_and_nested():
    capital = GridCapital.of(np.random.default_rng(4).exponential(0.3, 2_000), STAKES)
    ends = [lower_end(capital, alpha) for alpha in (0.001, 0.05, 0.3)]
    assert ends == sorted(ends)
    assert 0.0 < ends[0] < ends[2] < 0.33
    for alpha, end in zip((0.001, 0.05, 0.3), ends, strict=True):
        assert log_e_above(capital, end) >= -math.log(alpha)
        assert log_e_above(capital, end + 1e-6) < -math.log(alpha)
    assert lower_end(GridCapital.empty(STAKES.size), 0.05) == 0.0


@pytest.mark.parametrize("parts", [1, 7, 64])
def test_shuffled_partitions_give_the_same_bytes(parts):
    rows = logged(2_000, seed=1)
    whole = fold_logged(rows, PLAN).to_json()
    rng = np.random.default_rng(parts)
    pieces = [
        fold_logged(rows.take(pa.array(ix)), PLAN) for ix in np.array_split(rng.permutation(2_000), parts)
    ]
    rng.shuffle(pieces)
    assert LoggedEvidence.empty(PLAN).merge(*pieces).to_json() == whole


def test_the_truth_is_near_every_point_and_inside_the_ends():
    found = off_policy(fold_logged(logged(60_000, seed=5), PLAN), PLAN)
    assert found.state == "estimated"
    for point in (found.ips, found.snips, found.doubly_robust):
        assert point == pytest.approx(VALUES["target"], abs=0.03)
    assert found.logged == pytest.approx(VALUES["logged"], abs=0.01)
    assert found.low < VALUES["target"] < found.high
    assert found.log_better > math.log(20)
    assert found.log_worse < 0


def test_a_weight_beyond_the_maximum_an_impossible_propensity_and_missing_support_stop():
    bad = pa.table(
        {
            "propensity": [0.0, 1.5, float("nan"), 0.001, 0.5],
            "target": [1.0, 1.0, 1.0, 1.0, 0.5],
            "reward": [1.0, 1.0, 1.0, 1.0, float("nan")],
            "unsupported": [0.0, 0.0, 0.0, 0.0, 0.1],
        }
    )
    evidence = fold_logged(bad, PLAN)
    assert evidence.reasons == {"propensity_invalid": 3, "weight_beyond_maximum": 1, "reward_missing": 1}
    found = off_policy(evidence, PLAN)
    assert (found.state, found.used, found.low, found.high, found.log_better) == (
        "NOT_IDENTIFIABLE", 0, None, None, None,
    )  # fmt: skip
    assert len(found.stops) == 4


def test_propensities_that_were_not_used_raise_the_alarm_and_true_ones_do_not():
    honest = logged(4_000, seed=9)
    assert off_policy(fold_logged(honest, PLAN), PLAN).log_weights < math.log(20)
    for factor in (0.7, 1.4):
        column = np.clip(honest.column("propensity").to_numpy() * factor, 0.001, 1.0)
        wrong = honest.set_column(0, "propensity", pa.array(column))
        found = off_policy(fold_logged(wrong, PLAN), PLAN)
        assert found.state == "NOT_IDENTIFIABLE"
        assert "average" in found.stops[-1]


def test_thin_evidence_waits_and_says_why():
    found = off_policy(fold_logged(logged(40, seed=3), PLAN), PLAN)
    assert found.state == "waits"
    assert [wait.split()[0] for wait in found.waits] == ["worth", "one"]
    nothing = off_policy(LoggedEvidence.empty(PLAN), PLAN)
    assert (nothing.state, nothing.ips, nothing.snips, nothing.low) == ("waits", None, None, None)


def test_evidence_of_another_plan_is_refused():
    other = LoggedPlan(weight_max=50.0, clip=20.0)
    with pytest.raises(EvidenceMismatch):
        off_policy(LoggedEvidence.empty(PLAN), other)
    with pytest.raises(EvidenceMismatch):
        LoggedEvidence.empty(PLAN).merge(LoggedEvidence.empty(other))


@pytest.mark.parametrize("change", [{"weight_max": 1.0}, {"clip": 60.0}, {"alpha": 0.0}, {"low": 1.0}])
def test_a_plan_out_of_range_is_refused(change):
    with pytest.raises(PlanError):
        LoggedPlan(**{"weight_max": 50.0, "clip": 50.0, **change})


def test_rewards_outside_their_bounds_and_absent_columns_are_refused():
    table = pa.table({"propensity": [0.5], "target": [0.5], "reward": [1.5]})
    with pytest.raises(ColumnsError, match="1 rows"):
        fold_logged(table, PLAN)
    assert fold_logged(table, LoggedPlan(weight_max=50.0, clip=50.0, high=2.0)).rows == 1
    with pytest.raises(ColumnsError, match="absent"):
        fold_logged(table.drop_columns(["propensity"]), PLAN)


def test_effective_size_is_that_of_kish():
    assert effective_size(Moments(4, 8, 28)) == pytest.approx(2.2857142857)
    assert effective_size(Moments.empty()) == 0.0


def test_bounds_hold_whatever_was_not_seen():
    assert manski(5.0, 10, 0, low=0.0, high=1.0) == (0.5, 0.5, 0.0)
    blind = manski(0.0, 0, 4, low=-1.0, high=1.0)
    assert (blind.low, blind.high, blind.decides) == (-1.0, 1.0, False)
    assert manski(30.0, 90, 10, low=-1.0, high=1.0).decides
    for bad in ((0.0, 0, 0), (11.0, 10, 0)):
        with pytest.raises(ColumnsError):
            manski(*bad, low=0.0, high=1.0)
    with pytest.raises(PlanError):
        manski(0.0, 1, 1, low=1.0, high=1.0)


def test_exploration_falls_with_data_and_is_none_where_even_all_is_too_little():
    few, many = (
        exploration_share(0.02, unseen=0.1, width=1, decisions=n, alpha=0.05) for n in (10_000, 40_000)
    )
    assert few == pytest.approx(4 * many)
    assert exploration_share(0.001, unseen=0.5, width=1, decisions=1_000, alpha=0.05) is None
    for change in ({"effect": 0.0}, {"unseen": 1.1}, {"alpha": 0.5}):
        good = {"effect": 0.1, "unseen": 0.1, "width": 1.0, "decisions": 10, "alpha": 0.05}
        with pytest.raises(PlanError):
            exploration_share(**{**good, **change})
