"""Bad input: each a clear error or a value with its reason, never a plausible number."""

import math

import msgspec
import numpy as np
import pytest

from policies import Evidence, decide, estimate, fold
from policies.errors import EvidenceMismatch, OutOfBounds, PlanError
from tests.support.pairs import integrity, paired, plan

NAN, INF = math.nan, math.inf
EACH_UNIT = pytest.mark.parametrize("unit", ["request", "column", "day"])
METRICS = ({"name": "brier"}, {"name": "accuracy", "threshold": 0.5, "role": "context"})


def told(table, chosen):
    found = decide(fold(table, chosen), chosen, integrity=integrity(table.num_rows))
    return found, estimate(fold(table, chosen), chosen)


@EACH_UNIT
def test_no_data_tells_nothing_and_waits(unit):
    found, estimates = told(paired([], [], []), plan(*METRICS, unit=unit))
    assert found.state == "HOLD"
    assert all(each.point is each.low is each.high is None for each in estimates)


@EACH_UNIT
def test_one_unit_is_told_with_all_that_it_leaves_open(unit):
    found, estimates = told(paired([0.9], [0.1], [0.0], unit=["a"]), plan(*METRICS, unit=unit))
    assert found.state == "HOLD"
    only = estimates[0]
    assert only.units == 1
    assert -1.0 <= only.low < -0.99
    assert 0.99 < only.high <= 1.0
    assert only.tested[0].log_e < math.log(20)


@EACH_UNIT
@pytest.mark.parametrize("score", [0.0, 0.3, 1.0])
def test_all_ties_and_a_constant_metric_are_level_without_infinity(unit, score):
    rows = 500
    table = paired([score] * rows, [score] * rows, [1.0] * rows, unit=[f"u{k}" for k in range(rows)])
    found, estimates = told(table, plan({"name": "brier"}, {"name": "accuracy", "threshold": 0.5}, unit=unit))
    assert found.state == "HOLD"
    for each in estimates:
        assert each.point == 0.0
        assert -1.0 <= each.low <= 0.0 <= each.high <= 1.0
        assert all(math.isfinite(test.log_e) and test.log_e <= 0.0 for test in each.tested)


def test_scores_that_are_no_numbers_and_labels_outside_the_set_are_left_and_counted():
    table = paired(
        [NAN, INF, 0.1, 0.1, 2.0, 0.2], [0.1, 0.1, None, 0.1, 0.1, 0.3], [1.0, 1.0, 1.0, 7.0, 1.0, 1.0]
    )
    _, estimates = told(table, plan())
    only = estimates[0]
    assert only.decisions == 1
    assert only.reasons == {
        "champion_not_a_number": 2,
        "challenger_missing": 1,
        "label_outside": 1,
        "champion_outside": 1,
    }


def test_values_beyond_the_bound_are_clipped_and_counted_or_refused_as_declared():
    table = paired([0.0, 0.0], [5.0, 1.0], [0.0, 0.0])
    metric = {"name": "absolute_error", "bound": 2.0}
    assert fold(table, plan(metric)).metrics["absolute_error"].outside == 1
    with pytest.raises(OutOfBounds):
        fold(table, plan(metric | {"outside": "refuse"}))


@pytest.mark.parametrize("name", ["absolute_error", "squared_error"])
def test_a_value_beyond_all_numbers_is_beyond_the_bound_without_a_warning(name):
    table = paired([1.7e308, 0.0], [-1.7e308, 0.0], [-1e308, 0.0])
    found, (only,) = told(table, plan({"name": name, "bound": 2.0}))
    assert (found.state, only.outside, only.champion) == ("HOLD", 1, 1.0)
    with pytest.raises(OutOfBounds):
        fold(table, plan({"name": name, "bound": 2.0, "outside": "refuse"}))


@pytest.mark.parametrize("unit", ["column", "day"])
@pytest.mark.parametrize("label", [NAN, 7.0])
def test_a_part_without_a_usable_row_has_no_planned_test_and_says_so(unit, label):
    metric = {"name": "auc", "planned": ["delong"], "planned_units": 5}
    found, (only,) = told(paired([0.1], [0.2], [label], unit=["a"]), plan(metric, unit=unit))
    assert (found.state, only.units, only.point) == ("HOLD", 0, None)
    assert sum(only.reasons.values()) == 1
    (beside,) = found.beside
    assert (beside.p, bool(beside.reasons)) == (None, True)


def test_a_decision_without_its_unit_is_left_and_counted():
    found = fold(paired([0.1, 0.2], [0.2, 0.1], [0.0, 1.0], unit=["a", None]), plan(unit="column"))
    assert found.metrics["brier"].reasons == {"unit_missing": 1}


@pytest.mark.parametrize("alpha", [0.0, -0.1, 0.5, 1.0, NAN, INF])
def test_alpha_out_of_range_is_refused(alpha):
    with pytest.raises(PlanError, match="alpha"):
        plan(alpha=alpha)


@pytest.mark.parametrize("margin", [0.0, -0.1, 1.0, 7.0, NAN, INF])
def test_a_margin_out_of_range_is_refused(margin):
    with pytest.raises(PlanError, match="margin"):
        plan({"name": "brier", "margin": margin})


@pytest.mark.parametrize("name", ["bier", "AUC", "py:", "py:module", "py:a b:c"])
def test_an_unknown_metric_is_refused_with_what_is_known(name):
    with pytest.raises(PlanError) as refused:
        plan({"name": name, "direction": "lower", "bound": 1.0})
    assert refused.value.key == "metrics.name"


@EACH_UNIT
def test_evidence_of_another_experiment_scale_or_format_never_merges(unit):
    table = paired([0.1] * 9, [0.2] * 9, [0.0] * 9, unit=["a"] * 9)
    mine = fold(table, plan(unit=unit))
    other = fold(table, plan(unit=unit, max_looks=7))
    for wrong in (
        other,
        msgspec.structs.replace(mine, scale=2**20),
        msgspec.structs.replace(mine, metrics={}),
    ):
        with pytest.raises(EvidenceMismatch):
            mine.merge(wrong)
    with pytest.raises(EvidenceMismatch, match="format"):
        Evidence.from_json(mine.to_json().replace(b'"format":1', b'"format":9'))
    for wrong in (
        other,
        msgspec.structs.replace(mine, scale=2**20),
        msgspec.structs.replace(mine, metrics={}),
    ):
        with pytest.raises(EvidenceMismatch):
            estimate(wrong, plan(unit=unit))
    assert decide(other, plan(unit=unit), integrity=integrity(9)).state == "INVALID"


@pytest.mark.parametrize(
    "wrong",
    [
        (b"", b"garbage"),
        (b"{", b"[{"),
        (b'"rows":9', b'"rows":-9'),
        (b'"rows":9', b'"rows":"9"'),
        (b'"better":0', b'"better":-1'),
        (b'"metrics"', b'"matrics"'),
    ],
)
def test_bytes_that_are_no_evidence_are_refused(wrong):
    chosen = plan({"name": "accuracy", "threshold": 0.5})
    kept = fold(paired([0.1] * 9, [0.2] * 9, [0.0] * 9), chosen).to_json()
    assert Evidence.from_json(kept).to_json() == kept
    with pytest.raises(EvidenceMismatch):
        Evidence.from_json(kept.replace(*wrong, 1))


@pytest.mark.parametrize(
    ("key", "metric"),
    [
        ("threshold", {"name": "accuracy", "threshold": NAN}),
        ("threshold", {"name": "brier", "threshold": INF}),
        ("scale", {"name": "absolute_error", "bound": 1e-8}),
        ("scale", {"name": "brier", "clip": 1e-5}),
        ("scale", {"name": "cost", "cost": [0, 0, 0, 0], "threshold": 0.5}),
        (
            "clip",
            {
                "name": "outcome",
                "bound": 1.0,
                "identification": "logged_action",
                "weight_max": 9.0,
                "weight_clip": 0.0,
            },
        ),
    ],
)
def test_what_cannot_be_told_apart_or_compared_is_refused(key, metric):
    with pytest.raises(PlanError, match=key):
        plan(metric)


@pytest.mark.parametrize(
    ("metric", "unit", "policy"),
    [
        ({"name": "brier"}, "request", {}),
        ({"name": "accuracy", "threshold": 0.5}, "day", {}),
        ({"name": "accuracy", "threshold": 0.5, "margin": 0.1}, "request", {}),
        ({"name": "accuracy", "threshold": 0.5, "margin": 0.1}, "request", {"name": "noninferiority"}),
    ],
)
def test_the_test_of_signs_serves_signs_alone(metric, unit, policy):
    with pytest.raises(PlanError, match="discordant_pairs"):
        plan(metric | {"discordant_pairs": 1_000}, unit=unit, **policy)


def test_the_test_of_signs_gates_where_it_is_registered():
    rng = np.random.default_rng(5)
    label = (rng.random(8_000) < 0.5).astype(float)
    live, other = (np.where(rng.random(8_000) < right, label, 1 - label) for right in (0.8, 0.84))
    table = paired(live.tolist(), other.tolist(), label.tolist())
    metric = {"name": "accuracy", "threshold": 0.5, "discordant_pairs": 2_000}
    found, estimates = told(table, plan(metric))
    assert found.state == "PROMOTE"
    assert {test.method for test in estimates[0].tested} == {"sequential McNemar"}
    swapped = paired(other.tolist(), live.tolist(), label.tolist())
    assert told(swapped, plan(metric))[0].state == "REJECT"
