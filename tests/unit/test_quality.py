"""Quality rules by example: what is broken at once, what may be chance, and what cannot be told."""

import numpy as np
import pyarrow as pa
import pytest

from policies.drift import FeaturePlan, MonitorPlan, WindowState, check_quality, cut_feature, fold_window
from policies.drift.quality import Freshness, broken

HOUR_US = 3_600_000_000


def found(table, **limits):
    plan = MonitorPlan(features=(FeaturePlan(name="x", **{"type": "float64", **limits}),))
    return {each.rule: each for each in check_quality(fold_window(table, plan), plan)}


def column(values, kind=None):
    return pa.table({"f.x": pa.array(values, kind or pa.float64())})


def test_what_is_as_declared_is_ok():
    rules = found(column([1.0] * 99 + [None]), low=0.0, high=2.0, max_missing=0.02)
    assert {rule: each.answer for rule, each in rules.items()} == dict.fromkeys(
        ("type", "range", "missing", "stale"), "ok"
    )


@pytest.mark.parametrize(
    ("table", "limits", "rule", "value"),
    [
        (column(["a"], pa.string()), {}, "type", 1.0),
        (column([1.0, 1.0, 1.0, -1.0]), {"low": 0.0}, "range", 0.25),
        (column([1.0, 1.0, 1.0, 9.0]), {"high": 2.0}, "range", 0.25),
        (column([None, 1.0]), {"max_missing": 0.0}, "missing", 0.5),
        (column([float("nan"), 1.0]), {"max_missing": 0.0}, "missing", 0.5),
        (column([float("inf"), 1.0]), {"max_missing": 0.0}, "missing", 0.5),
        (column(["new", "a"], pa.string()), {"type": "category", "levels": ("a",)}, "unseen", 0.5),
    ],
)
def test_a_limit_of_zero_is_broken_by_the_first_value(table, limits, rule, value):
    finding = found(table, **limits)[rule]
    assert (finding.answer, finding.value) == ("broken", value)
    assert finding.reason.startswith("x: 1 of")


def test_a_share_above_its_limit_is_broken_when_chance_does_not_explain_it():
    few = found(column([None] * 2 + [1.0] * 18))["missing"]
    many = found(column([None] * 200 + [1.0] * 1800))["missing"]
    assert (few.value, few.answer) == (0.1, "not enough data")
    assert (many.value, many.answer) == (0.1, "broken")


def test_stale_values_are_counted_by_their_status():
    kind = pa.list_(pa.struct([("field", pa.string()), ("status", pa.string())]))
    stale = pa.array([[{"field": "x", "status": "stale"}]] * 50 + [None] * 50, kind)
    table = column([1.0] * 100).append_column("statuses", stale)
    assert found(table)["stale"].answer == "broken"


def test_open_vocabularies_have_no_unseen_rule():
    table = column(["new"], pa.string())
    assert "unseen" not in found(table, type="category", levels=("a",), closed=False)
    assert "unseen" not in found(table, type="category")


def test_a_new_level_among_two_thousand_is_seen_by_the_share_of_all_others():
    rng = np.random.default_rng(3)
    texts = [f"level {code}" for code in np.minimum(rng.geometric(0.003, 100_000), 2000).tolist()]
    plan = MonitorPlan(features=(cut_feature("x", "category", pa.array(texts)),))
    assert not plan.features[0].closed
    for new, answer in ((0, "ok"), (500, "broken")):
        rows = pa.table({"f.x": texts[: 10_000 - new] + ["new"] * new})
        finding = next(f for f in check_quality(fold_window(rows, plan), plan) if f.rule == "unseen")
        assert finding.answer == answer


def test_nothing_is_not_enough_data():
    plan = MonitorPlan(features=(FeaturePlan(name="x", type="float64", low=0.0),))
    findings = check_quality(WindowState.empty(plan), plan)
    assert {each.answer for each in findings} == {"not enough data"}
    assert broken(findings) == ()


@pytest.mark.parametrize(
    ("newest", "answer", "said"),
    [
        (9 * HOUR_US, "ok", "3600 s old"),
        (7 * HOUR_US, "broken", "10800 s old"),
        (11 * HOUR_US, "broken", "in the future"),
        (None, "broken", "No event"),
    ],
)
def test_freshness_is_the_age_of_the_newest_event(newest, answer, said):
    plan = MonitorPlan(features=(FeaturePlan(name="x", type="float64"),))
    fresh = Freshness(newest, 10 * HOUR_US, 2 * HOUR_US)
    finding = check_quality(WindowState.empty(plan), plan, freshness=fresh)[-1]
    assert (finding.rule, finding.answer) == ("freshness", answer)
    assert said in finding.reason
