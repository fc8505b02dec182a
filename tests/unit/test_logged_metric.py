"""A metric seen for the logged action alone: the truth is near, harm and gain are shown, bad logs stop."""

import math
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from policies import Evidence, decide, estimate, fold
from policies.errors import PlanError
from policies.logged import LoggedPlan, fold_logged
from policies.off_policy import off_policy
from tests.support.pairs import integrity, paired, plan

CHANCES = {"left": 0.2, "right": 0.5}
BANDIT = Path(__file__).parents[1] / "support" / "open_bandit"
OUTCOME = {"name": "outcome", "identification": "logged_action", "bound": 1.0, "weight_max": 10.0}


def logs(rows, *, challenger="right", seed=3, explored=0.1, **columns):
    """Nine in ten decisions go left, one in ten right; the outcome depends on what was decided."""
    rng = np.random.default_rng(seed)
    right = rng.random(rows) < explored
    live = np.where(right, "right", "left")
    label = (rng.random(rows) < np.where(right, CHANCES["right"], CHANCES["left"])).astype(float)
    table = paired(
        [None] * rows,
        [None] * rows,
        label.tolist(),
        champion_decision=live.tolist(),
        challenger_decision=[challenger] * rows,
    )
    propensity = columns.get("propensity", np.where(right, explored, 1.0 - explored))
    return table.append_column("propensity", pa.array(propensity, pa.float64(), from_pandas=True))


def verdict(table, chosen):
    return decide(fold(table, chosen), chosen, integrity=integrity(table.num_rows))


def gate(found, name="outcome: propensities"):
    return next(each for each in found.gates if each.name == name)


def test_the_truth_is_near_every_point_and_within_the_ends():
    chosen = plan(OUTCOME)
    found = estimate(fold(logs(40_000), chosen), chosen)[0]
    logged = 0.9 * CHANCES["left"] + 0.1 * CHANCES["right"]
    assert found.champion == pytest.approx(logged, abs=0.01)
    assert found.challenger == pytest.approx(CHANCES["right"], abs=0.03)
    assert found.off_policy.snips == pytest.approx(CHANCES["right"], abs=0.03)
    assert found.low < CHANCES["right"] - logged < found.high
    assert found.low > 0
    assert found.off_policy.effective == pytest.approx(4_000, rel=0.1)


@pytest.mark.parametrize(
    ("challenger", "changes", "state"),
    [
        ("right", {}, "PROMOTE"),
        ("left", {}, "REJECT"),
        ("right", {"direction": "lower"}, "REJECT"),
        ("left", {"margin": 0.05, "role": "primary"}, "HOLD"),
    ],
)
def test_gain_is_promoted_and_harm_is_rejected(challenger, changes, state):
    assert verdict(logs(20_000, challenger=challenger), plan(OUTCOME | changes)).state == state


def test_not_worse_is_shown_by_its_margin():
    chosen = plan(OUTCOME | {"margin": 0.05}, name="noninferiority")
    assert verdict(logs(60_000, challenger="left"), chosen).state == "PROMOTE"
    narrow = plan(OUTCOME | {"margin": 0.02}, name="noninferiority")  # it loses the 0.03 that exploring gains
    assert verdict(logs(60_000, challenger="left"), narrow).state != "PROMOTE"


def test_profit_of_the_logged_action_is_read_by_cell():
    profit = {"name": "profit", "gain": [2.0, -1.0, 0.0, 0.0], "positive_decision": "right"}
    chosen = plan(profit | {"identification": "logged_action", "weight_max": 10.0})
    found = estimate(fold(logs(60_000), chosen), chosen)[0]
    right, left = 2.0 * 0.5 - 1.0 * 0.5, 0.0
    assert found.challenger == pytest.approx(right, abs=0.06)
    assert found.champion == pytest.approx(0.1 * right + 0.9 * left, abs=0.02)
    assert found.low < right - found.champion < found.high


def test_few_effective_decisions_wait():
    found = verdict(logs(300, seed=5), plan(OUTCOME))
    assert found.state == "HOLD"
    assert gate(found).state == "waits"
    assert "equal weight" in gate(found).reason


def broken(rows, where, value):
    propensity = np.where(np.random.default_rng(3).random(rows) < 0.1, 0.1, 0.9)
    propensity[where] = value
    return logs(rows, propensity=propensity)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "without a propensity"),
        (1.5, "without a propensity"),
        (-0.1, "without a propensity"),
        (float("nan"), "without a propensity"),
        (0.0001, "above the declared maximum"),
    ],
)
def test_an_impossible_propensity_or_weight_stops(value, words):
    rows = 5_000
    right = np.flatnonzero(np.random.default_rng(3).random(rows) < 0.1)
    found = verdict(broken(rows, right[:1], value), plan(OUTCOME))
    assert found.state == "NOT_IDENTIFIABLE"
    assert words in found.reasons[0]
    only = found.estimates[0]
    assert only.point is only.low is only.high is only.challenger is None
    assert all(test.log_e is None for test in only.tested)


def test_a_certain_decision_leaves_no_chance_for_another():
    found = verdict(logs(5_000, explored=0.0, propensity=np.ones(5_000)), plan(OUTCOME))
    assert found.state == "NOT_IDENTIFIABLE"
    assert "explore those actions" in found.reasons[0]


def test_propensities_that_were_not_used_raise_the_alarm():
    rows = 20_000
    right = np.random.default_rng(3).random(rows) < 0.1
    found = verdict(logs(rows, propensity=np.where(right, 0.2, 0.8)), plan(OUTCOME))
    assert found.state == "NOT_IDENTIFIABLE"
    assert "not those used" in found.reasons[0]


def test_what_cannot_be_used_is_left_with_its_reason():
    table = paired(
        [None] * 4,
        [None] * 4,
        [1.0, None, 1.0, 1.0],
        champion_decision=["left", "left", None, "left"],
        challenger_decision=["left", "left", "left", None],
    ).append_column("propensity", pa.array([0.9] * 4))
    found = fold(table, plan(OUTCOME)).metrics["outcome"]
    assert (found.rows, found.used) == (4, 1)
    assert found.reasons == {
        "label_missing": 1,
        "champion_decision_missing": 1,
        "challenger_decision_missing": 1,
    }


@pytest.mark.parametrize("parts", [1, 7, 64])
def test_shuffled_partitions_give_the_same_bytes(parts):
    table, chosen = logs(3_000), plan(OUTCOME)
    order = np.random.default_rng(parts).permutation(3_000)
    pieces = [fold(table.take(pa.array(rows)), chosen) for rows in np.array_split(order, parts)]
    merged = Evidence.empty(chosen).merge(*pieces)
    assert merged.to_json() == fold(table, chosen).to_json()
    assert Evidence.from_json(merged.to_json()) == merged
    assert merged.merge(Evidence.empty(chosen)) == merged


def test_of_nothing_nothing_is_told():
    chosen = plan(OUTCOME)
    found = decide(Evidence.empty(chosen), chosen, integrity=integrity(0, window_stop=1))
    assert found.state == "HOLD"
    assert found.estimates[0].point is None


@pytest.mark.parametrize(
    ("changes", "unit", "key"),
    [
        ({"weight_max": 0.5}, "request", "logged.weight_max"),
        ({"weight_clip": 20.0}, "request", "logged.clip"),
        ({}, "column", "unit.kind"),
        ({"identification": "direct"}, "request", "metrics.outcome.identification"),
    ],
)
def test_a_plan_that_cannot_be_estimated_is_refused(changes, unit, key):
    with pytest.raises(PlanError) as refused:
        plan(OUTCOME | changes, unit=unit)
    assert refused.value.key == key


def test_a_group_metric_has_no_propensity():
    with pytest.raises(PlanError, match="identification"):
        plan({"name": "auc", "identification": "logged_action", "weight_max": 2.0}, unit="column")


def bandit(name):
    """Item, click and propensity of each impression of the Open Bandit data."""
    return np.loadtxt(BANDIT / f"{name}_men.csv.gz", delimiter=",", skiprows=1).T


def test_the_open_bandit_log_of_one_policy_tells_the_clicks_of_the_other():
    _, click, propensity = bandit("bts")
    rows = pa.table({"propensity": propensity, "target": np.full(click.size, 1 / 34), "reward": click})
    uniform = bandit("random")[1].mean()
    found = off_policy(
        fold_logged(rows, LoggedPlan(weight_max=200.0, clip=200.0)), LoggedPlan(weight_max=200.0, clip=200.0)
    )
    assert found.state == "estimated"
    assert found.low < uniform < found.high
    assert found.ips == pytest.approx(uniform, abs=0.003)
    assert found.snips == pytest.approx(uniform, abs=0.003)
    assert found.log_weights < math.log(20)  # the recorded propensities are believed
    assert 500 < found.effective < 1_000


def test_open_bandit_propensities_that_are_doubled_are_found():
    item, click, propensity = bandit("random")
    target = (item == 11).astype(float)
    for factor, stopped in ((1.0, False), (0.25, True)):
        rows = pa.table({"propensity": propensity * factor, "target": target, "reward": click})
        declared = LoggedPlan(weight_max=140.0, clip=140.0)
        assert bool(off_policy(fold_logged(rows, declared), declared).stops) == stopped
