"""Blocked outcomes: what holds whatever is hidden decides, else the exploration that would is named."""

import numpy as np
import pyarrow as pa
import pytest

from policies import Evidence, decide, estimate, fold
from policies.errors import PlanError
from tests.support.pairs import integrity, paired, plan

COST = {
    "name": "cost",
    "cost": [0.0, 1.0, 1.0, 0.0],
    "positive_decision": "block",
    "identification": "blocked",
    "blocked_decision": "block",
    "effect": 0.02,
}


def world(rows, *, opened=0.0, closed=0.0, bad=0.02, caught=0.5, seed=4):
    """One in ten is blocked live and hides its label; the challenger opens some and closes some."""
    rng = np.random.default_rng(seed)
    live = rng.random(rows) < 0.1
    label = (rng.random(rows) < bad).astype(float)
    other = np.where(live, rng.random(rows) >= opened, (label == 1.0) & (rng.random(rows) < caught))
    other |= ~live & (rng.random(rows) < closed)
    names = np.array(["pass", "block"])
    return paired(
        [None] * rows,
        [None] * rows,
        [None if hidden else value for hidden, value in zip(live, label, strict=True)],
        champion_decision=names[live.astype(int)].tolist(),
        challenger_decision=names[other.astype(int)].tolist(),
        unit=[f"u{k}" for k in range(rows)],
        occurred_us=(np.arange(rows) * 3_600_000_000 // 50).tolist(),
    )


def verdict(table, chosen):
    return decide(fold(table, chosen), chosen, integrity=integrity(table.num_rows))


def gate(found):
    return next(each for each in found.gates if each.name == "cost: blocked outcomes")


def test_where_both_block_alike_nothing_is_hidden_that_could_differ():
    table = world(20_000, bad=0.1)
    found = verdict(table, plan(COST))
    only = found.estimates[0]
    assert found.state == "PROMOTE"
    assert (only.blocked.unseen, only.decisions) == (0, 20_000)
    assert only.point == only.blocked.low == only.blocked.high > 0
    assert only.champion is only.challenger is None  # the difference is known, the levels are hidden
    assert gate(found).state == "passes"


def test_a_gain_that_holds_whatever_is_hidden_is_promoted():
    found = verdict(world(20_000, bad=0.4, opened=0.1), plan(COST))
    only = found.estimates[0]
    assert found.state == "PROMOTE"
    assert only.blocked.low > 0
    assert only.point is only.challenger is None  # a point would be a guess
    assert only.low < only.blocked.low < only.blocked.high < only.high


def test_harm_that_holds_whatever_is_hidden_is_rejected():
    found = verdict(world(20_000, caught=0.0, closed=0.3, opened=0.1), plan(COST))
    assert found.state == "REJECT"
    assert found.estimates[0].blocked.high < 0


def test_bounds_on_both_sides_name_the_exploration_that_would_decide():
    found = verdict(world(20_000, opened=0.5), plan(COST))
    assert found.state == "NOT_IDENTIFIABLE"
    assert "hide an outcome" in found.reasons[0]
    share = found.estimates[0].blocked.explore
    assert 0 < share < 1
    assert f"a share of {share:.3g} of them" in found.reasons[0]
    few = verdict(world(200, opened=0.5), plan(COST))
    assert few.estimates[0].blocked.explore is None
    assert "even all of them" in few.reasons[0]


@pytest.mark.parametrize("unit", ["request", "column", "day"])
@pytest.mark.parametrize("parts", [1, 7])
def test_shuffled_partitions_give_the_same_bytes_and_every_row_is_counted(unit, parts):
    chosen = plan(COST, {"name": "accuracy", "positive_decision": "block"}, unit=unit)
    table = world(3_000, opened=0.5)
    order = np.random.default_rng(parts).permutation(3_000)
    pieces = [fold(table.take(pa.array(rows)), chosen) for rows in np.array_split(order, parts)]
    merged = Evidence.empty(chosen).merge(*pieces)
    assert merged.to_json() == fold(table, chosen).to_json()
    assert Evidence.from_json(merged.to_json()) == merged
    for found in merged.metrics.values():
        assert found.rows == found.used + sum(found.reasons.values())
    assert merged.metrics["accuracy"].reasons["label_missing"] > 200
    assert "label_missing" not in merged.metrics["cost"].reasons


@pytest.mark.parametrize("unit", ["column", "day"])
def test_units_are_bounded_as_decisions_are(unit):
    table = world(3_000, opened=0.5)
    by_unit, by_row = (
        estimate(fold(table, chosen), chosen)[0].blocked for chosen in (plan(COST, unit=unit), plan(COST))
    )
    assert by_unit.unseen == by_row.unseen
    # Days of unlike size weigh alike, so their mean is near that of decisions and not equal.
    assert (by_unit.low, by_unit.high) == pytest.approx(
        (by_row.low, by_row.high), abs=1e-6 if unit == "column" else 0.01
    )


def test_a_score_has_a_loss_of_its_own_even_where_both_decide_alike():
    brier = {"name": "brier", "identification": "blocked", "blocked_decision": "block", "effect": 0.02}
    table = paired(
        [0.4, 0.4],
        [0.5, 0.5],
        [None, 1.0],
        champion_decision=["block", "pass"],
        challenger_decision=["block", "pass"],
    )
    found = fold(table, plan(brier)).metrics["brier"]
    assert (found.used, found.unseen.count) == (2, 1)


@pytest.mark.parametrize("effect", [None, 0.0, -1.0, float("nan")])
def test_the_effect_that_exploration_should_show_must_be_declared(effect):
    declared = {key: value for key, value in COST.items() if key != "effect"}
    with pytest.raises(PlanError, match="effect"):
        plan(declared if effect is None else declared | {"effect": effect})
