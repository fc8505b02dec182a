"""Each metric: its values, and what it does with what cannot be used. New metrics are found by themselves."""

import math

import pytest

from policies.errors import ColumnsError, OutOfBounds, PlanError
from policies.fold import fold
from policies.groups import GROUPED
from policies.metrics import METRICS, OUTCOME
from policies.serving import SERVING
from tests.support.pairs import paired, plan

NEEDS = {
    "accuracy": {"threshold": 0.5},
    "absolute_error": {"bound": 2.0},
    "squared_error": {"bound": 2.0},
    "cost": {"threshold": 0.5, "cost": [0.0, 1.0, 5.0, 0.0]},
    "profit": {"threshold": 0.5, "gain": [4.0, -1.0, -2.0, 0.5]},
    "ratio": {"threshold": 0.7, "gain": [1.0, 0.0, 0.0, 0.0], "per": [1.0, 1.0, 0.0, 0.0], "reference": 0.25},
    "pinball": {"bound": 2.0, "quantile": 0.75},
    "decision_rate": {"threshold": 0.7},
}


SCORED = [name for name in METRICS if name not in {*GROUPED, *SERVING, OUTCOME}]


def plan_of(name, **changes):
    metric = {"name": name, **NEEDS.get(name, {}), **changes}
    context = METRICS[name].direction == "lower" and name in {"flips", "failed"}
    extra = [{"name": "brier"}] if context else []
    return plan(metric | ({"role": "context"} if context else {}), *extra)


def evidence(name, table, **changes):
    chosen = plan_of(name, **changes)
    found = fold(table, chosen).metrics[name]
    assert found.rows == found.used + sum(found.reasons.values())
    return found, chosen.scale


ROW = ([0.8], [0.6], [1.0])


@pytest.mark.parametrize(
    ("name", "champion", "challenger"),
    [
        ("brier", 0.04, 0.16),
        ("log_loss", -math.log(0.8), -math.log(0.6)),
        ("accuracy", 1.0, 1.0),
        ("absolute_error", 0.2, 0.4),
        ("squared_error", 0.04, 0.16),
        ("cost", 0.0, 0.0),
        ("failed", 0.0, 0.0),
        ("profit", 4.0, 4.0),
        ("ratio", 0.75, 0.0),
        ("pinball", 0.15, 0.3),
        ("decision_rate", 1.0, 0.0),
    ],
)
def test_values_of_one_row(name, champion, challenger):
    found, scale = evidence(name, paired(*ROW))
    assert found.champion / scale == pytest.approx(champion, abs=1 / scale)
    assert found.challenger / scale == pytest.approx(challenger, abs=1 / scale)


@pytest.mark.parametrize("name", SCORED)
def test_every_metric_is_oriented_so_that_a_better_challenger_is_above_zero(name):
    if METRICS[name].direction == "lower" and name in {"flips", "failed"}:
        table = paired([0.9], [None], [1.0], champion_decision=["a"], challenger_decision=[None])
        assert evidence(name, table)[0].moments.total <= 0
        return
    better = paired([0.1, 0.9], [0.9, 0.1], [1.0, 0.0])
    worse = paired([0.9, 0.1], [0.1, 0.9], [1.0, 0.0])
    if name == "decision_rate":
        better, worse = paired([0.9], [0.1], [1.0]), paired([0.1], [0.9], [1.0])
    assert evidence(name, better)[0].moments.total > 0
    assert evidence(name, worse)[0].moments.total < 0
    assert evidence(name, better)[0].moments.negated() == evidence(name, worse)[0].moments


@pytest.mark.parametrize("name", SCORED)
def test_every_metric_takes_an_empty_table(name):
    found, _ = evidence(name, paired([], [], []))
    assert (found.rows, found.used, found.reasons) == (0, 0, {})


@pytest.mark.parametrize("name", SCORED)
def test_every_metric_counts_all_ties_as_no_difference(name):
    table = paired(
        [0.3] * 5,
        [0.3] * 5,
        [0.0, 1.0, 0.0, 1.0, 1.0],
        champion_decision=["a"] * 5,
        challenger_decision=["a"] * 5,
    )
    found, _ = evidence(name, table)
    assert (found.used, found.moments.total, found.moments.squares) == (5, 0, 0)


@pytest.mark.parametrize("name", ["brier", "log_loss", "accuracy", "absolute_error", "squared_error", "cost"])
def test_what_is_not_a_number_is_left_with_its_reason(name):
    nan, inf = float("nan"), float("inf")
    table = paired(
        [0.1, nan, 0.1, None, 0.1, 0.1, 0.1],
        [0.2, 0.2, inf, 0.2, None, 0.2, 0.2],
        [0.0, 0.0, 0.0, 0.0, 0.0, nan, inf],
    )
    found, _ = evidence(name, table)
    assert found.used == 1
    assert found.reasons == {
        "challenger_missing": 1,
        "challenger_not_a_number": 1,
        "champion_missing": 1,
        "champion_not_a_number": 1,
        "label_infinite": 1,
        "label_missing": 1,
    }


@pytest.mark.parametrize("name", ["brier", "log_loss", "accuracy", "cost"])
def test_a_label_that_is_neither_0_nor_1_is_left_with_its_reason(name):
    found, _ = evidence(name, paired([0.1, 0.1], [0.2, 0.2], [0.5, 1.0]))
    assert (found.used, found.reasons) == (1, {"label_outside": 1})


@pytest.mark.parametrize("name", ["brier", "log_loss"])
def test_a_probability_beyond_0_and_1_is_left_with_its_reason(name):
    found, _ = evidence(name, paired([1.1, 0.1, 0.1], [0.2, -0.1, 0.2], [0.0, 0.0, 1.0]))
    assert (found.used, found.reasons) == (1, {"challenger_outside": 1, "champion_outside": 1})


def test_a_value_beyond_the_bound_is_clipped_and_counted_or_refused_as_declared():
    table = paired([0.0, 0.0], [9.0, 1.0], [0.0, 0.0])
    found, scale = evidence("absolute_error", table, bound=2.0)
    assert (found.outside, found.challenger / scale) == (1, 3.0)
    with pytest.raises(OutOfBounds, match=r"1 values .* furthest seen at 9\.0.* from 0 to 2\.0") as refused:
        evidence("absolute_error", table, bound=2.0, outside="refuse")
    assert (refused.value.metric, refused.value.count) == ("absolute_error", 1)


def test_log_loss_stops_at_its_epsilon():
    found, scale = evidence("log_loss", paired([0.0], [1.0], [1.0]), epsilon=0.01)
    assert found.champion / scale == pytest.approx(-math.log(0.01), abs=1 / scale)
    assert found.challenger / scale == pytest.approx(-math.log(0.99), abs=1 / scale)


def test_the_difference_is_clipped_per_request_and_counted():
    found, scale = evidence("brier", paired([0.5, 0.5], [1.0, 0.51], [1.0, 1.0]), clip=0.1)
    assert found.clipped == 1
    assert found.moments.total / scale == pytest.approx(0.1 + 0.25 - 0.49**2, abs=2 / scale)


def test_accuracy_reads_the_named_decision_before_the_score():
    table = paired([0.9], [0.9], [1.0], champion_decision=["on_time"], challenger_decision=["late"])
    found, _ = evidence("accuracy", table, threshold=None, positive_decision="late")
    assert (found.ternary.better, found.ternary.level, found.ternary.worse) == (1, 0, 0)


def test_flips_compare_decisions_or_scores_at_the_threshold():
    table = paired(
        [0.4, 0.6], [0.6, 0.7], [0.0, 1.0], champion_decision=["a", "a"], challenger_decision=["a", "b"]
    )
    by_decision, scale = evidence("flips", table)
    by_score, _ = evidence("flips", table, threshold=0.5)
    assert by_decision.challenger == by_score.challenger == scale
    unknown, _ = evidence("flips", paired([0.4], [None], [0.0]), threshold=0.5)
    assert unknown.reasons == {"not_compared": 1}


def test_failed_counts_decisions_without_any_answer():
    table = paired([0.4, 0.4], [None, 0.4], [0.0, None], champion_decision=["a", "a"])
    found, scale = evidence("failed", table)
    assert (found.used, found.challenger) == (2, scale)


def test_cost_charges_each_cell():
    table = paired([1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 1.0, 0.0])
    found, scale = evidence("cost", table, cost=[1.0, 2.0, 4.0, 0.0])
    assert (found.champion / scale, found.challenger / scale) == (1 + 2 + 4 + 0, 4 + 0 + 1 + 2)


def test_profit_gains_and_loses_by_cell():
    table = paired([1.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0], [1.0, 0.0, 1.0, 0.0])
    found, scale = evidence("profit", table)
    assert (found.champion / scale, found.challenger / scale) == (4 - 1 - 2 + 0.5, -2 + 0.5 + 4 - 1)
    assert found.outside == found.clipped == 0


def test_a_ratio_is_above_its_reference_exactly_where_its_mean_is_above_zero():
    score, label = [0.9, 0.9, 0.9, 0.1, 0.9], [1.0, 1.0, 0.0, 1.0, 0.0]  # precision 2/4
    for reference, sign in ((0.49, 1), (0.5, 0), (0.51, -1)):
        found, _ = evidence("ratio", paired([0.0] * 5, score, label), reference=reference)
        assert (found.challenger > 0) - (found.challenger < 0) == sign
        assert found.champion == 0  # it decides nothing, so it has no precision to gain by


def test_pinball_is_smallest_at_the_quantile():
    label = [float(k) / 100 for k in range(101)]
    losses = {
        q: evidence("pinball", paired([0.0] * 101, [q] * 101, label), quantile=0.75)[0].challenger
        for q in (0.65, 0.75, 0.85)
    }
    assert min(losses, key=losses.__getitem__) == 0.75


def test_options_that_came_later_leave_the_plans_before_them_as_they_were():
    assert plan(NEEDS["cost"] | {"name": "cost"}, grid=[16, 0.01, 0.3]).to_json() == (
        b'{"metrics":[{"bound":null,"clip":null,"cost":[0.0,1.0,5.0,0.0],"direction":"lower","epsilon":1e-06,'
        b'"hypotheses":["superiority","harm"],"identification":"direct","margin":null,"name":"cost",'
        b'"outside":"clip","positive_decision":null,"role":"primary","threshold":0.5}],"policy":{"alpha":0.05,'
        b'"grid":[16,0.01,0.3],"max_failed_share":0.01,"max_looks":100,"max_noise_difference":null,'
        b'"max_noise_share":0.01,"max_repeats":0.05,"min_coverage":0.8,"min_decisions":1,"min_units":1,'
        b'"name":"promotion"},"scale":16777216,"unit":{"kind":"request","timezone":null}}'
    )
    declared = plan({"name": "ratio", **NEEDS["ratio"]})
    assert type(declared).from_json(declared.to_json()) == declared


@pytest.mark.parametrize(
    ("metric", "key"),
    [
        ({"name": "profit", "threshold": 0.5}, "metrics.gain"),
        ({"name": "profit", "threshold": 0.5, "gain": [1, 1, 1, 1]}, "metrics.gain"),
        ({"name": "profit", "threshold": 0.5, "gain": [1, float("nan"), 1, 1]}, "metrics.gain"),
        ({"name": "ratio", **NEEDS["ratio"], "per": [0, 0, 0, 0]}, "metrics.per"),
        ({"name": "ratio", **NEEDS["ratio"], "per": [1, -1, 0, 0]}, "metrics.per"),
        ({"name": "ratio", **NEEDS["ratio"], "reference": float("inf")}, "metrics.reference"),
        ({"name": "ratio", **NEEDS["ratio"], "gain": [1, 1, 0, 0], "reference": 1.0}, "metrics.gain"),
        ({"name": "pinball", "bound": 1.0}, "metrics.quantile"),
        ({"name": "pinball", "bound": 1.0, "quantile": 1.0}, "metrics.quantile"),
        ({"name": "decision_rate"}, "metrics.threshold"),
        ({"name": "absolute_error"}, "metrics.bound"),
        ({"name": "cost", "threshold": 0.5}, "metrics.cost"),
        ({"name": "accuracy"}, "metrics.threshold"),
        ({"name": "log_loss", "epsilon": 0.5}, "metrics.epsilon"),
        ({"name": "cost", "threshold": 0.5, "cost": [0, -1, 0, 0]}, "metrics.cost"),
    ],
)
def test_a_metric_without_what_it_needs_is_refused(metric, key):
    with pytest.raises(PlanError) as refused:
        plan(metric)
    assert refused.value.key == key


def test_an_absent_or_mistyped_column_is_named():
    table = paired(*ROW)
    with pytest.raises(ColumnsError, match='"label" is absent'):
        fold(table.drop_columns(["label"]), plan())
    texts = table.set_column(table.column_names.index("label"), "label", table.column("decision_id"))
    with pytest.raises(ColumnsError, match='"label" is string'):
        fold(texts, plan())
