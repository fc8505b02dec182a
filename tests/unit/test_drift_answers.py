"""Drift answers by example: what moves, what does not, what cannot be told, and what is never a number."""

import math

import numpy as np
import pyarrow as pa
import pytest
from statsmodels.stats.multitest import multipletests

from policies.drift import (
    DriftRule,
    FeaturePlan,
    MonitorPlan,
    WindowState,
    compare,
    cut_feature,
    fold_window,
    reference_of,
)
from policies.drift.compare import holm
from policies.drift.distance import (
    compare_counts,
    counts_chance,
    ks_chance,
    ks_distance,
    rank_chance,
    rank_shift,
)
from policies.drift.reference import Day, Reference
from policies.errors import EvidenceMismatch, PlanError
from tests.support.features import flights, numbers, plan_of, watch


def quiet(plan, tables):
    return reference_of([Day(i, fold_window(table, plan)) for i, table in enumerate(tables)], plan)


@pytest.fixture(scope="module")
def world():
    tables = [flights(i, 800) for i in range(28)]
    plan = plan_of(pa.concat_tables(tables))
    return plan, quiet(plan, tables)


def test_a_quiet_day_is_ok_and_a_shifted_one_is_named_first(world):
    plan, reference = world
    assert compare(fold_window(flights(99, 800), plan), reference, plan, weekday=0).answers == {
        "feature": "ok"
    }
    moved = flights(99, 800)
    moved = moved.set_column(2, "f.n2", pa.array(moved.column("f.n2").to_numpy() + 1.5))
    found = compare(fold_window(moved, plan), reference, plan, weekday=0)
    assert found.answers == {"feature": "drift"}
    assert [row.feature for row in found.features if row.answer == "drift"] == ["n2"]
    assert found.features[0].feature == "n2"
    shape = found.features[0].moved[0]
    assert shape.effect == pytest.approx(0.197, abs=0.03)  # half a standard deviation
    assert shape.significant
    assert found.features[0].mean[1] - found.features[0].mean[0] == pytest.approx(1.5, abs=0.3)


def test_significant_but_immaterial_is_ok_however_many_rows():
    rng = np.random.default_rng(3)
    days = [numbers(rng.standard_normal(20_000)) for _ in range(14)]
    plan = watch(days[0].column(0).to_numpy())
    window = fold_window(numbers(rng.standard_normal(400_000) + 0.05), plan)
    row = compare(window, quiet(plan, days), plan).features[0]
    assert row.moved[0].significant
    assert row.answer == "ok"


def test_importance_orders_what_is_shown_and_raises_nothing(world):
    plan, reference = world
    window = fold_window(flights(98, 800, mean=0.5), plan)
    plain = compare(window, reference, plan)
    weighed = compare(window, reference, plan, importance={"n3": 10.0, "n0": 0.0})
    assert weighed.features[0].feature == "n3"
    assert {row.feature: row.answer for row in plain.features} == {
        row.feature: row.answer for row in weighed.features
    }
    assert next(row for row in weighed.features if row.feature == "n0").rank == 0.0
    for wrong in ({"n9": 1.0}, {"n0": -1.0}, {"n0": math.nan}):
        with pytest.raises(PlanError, match="importance"):
            compare(window, reference, plan, importance=wrong)


def test_the_weekday_is_compared_with_its_like():
    rule = DriftRule(min_days=14)
    tables = [flights(i, 600, mean=1.0 if Day(i, None).weekday >= 5 else 0.0) for i in range(28)]
    plan = plan_of(pa.concat_tables(tables), rule)
    reference = quiet(plan, tables)
    weekend = fold_window(flights(77, 600, mean=1.0), plan)
    assert compare(weekend, reference, plan, weekday=6).answers["feature"] == "ok"
    assert compare(weekend, reference, plan, weekday=2).answers["feature"] == "drift"


def test_a_feature_that_swings_needs_more_to_be_news():
    rng = np.random.default_rng(6)

    def swinging(step):
        return numbers(rng.standard_normal(2000) + step)

    days = [swinging(step) for step in rng.normal(0, 0.3, 28)]
    plan = watch(np.concatenate([day.column(0).to_numpy() for day in days]))
    calm = quiet(plan, [swinging(0.0) for _ in range(28)])
    swung = quiet(plan, days)
    window = fold_window(swinging(0.3), plan)
    assert compare(window, calm, plan).answers["feature"] == "drift"
    row = compare(window, swung, plan).features[0]
    assert row.answer != "drift"
    assert row.moved[0].margin > 0.2


def test_without_days_an_effect_must_be_shown_beyond_the_floor():
    rng = np.random.default_rng(8)
    train = numbers(rng.standard_normal(20_000))
    plan = watch(train.column(0).to_numpy())
    reference = quiet(plan, [train])
    answers = [
        compare(fold_window(numbers(rng.standard_normal(5000) + shift), plan), reference, plan).features[0]
        for shift in (0.0, 0.1, 0.5)
    ]
    assert [row.answer for row in answers] == ["ok", "ok", "drift"]
    assert not answers[0].learned


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        ([], "not enough data"),
        ([3.0], "not enough data"),
        ([None] * 400, "drift"),
        ([math.nan] * 400, "drift"),
        ([math.inf, -math.inf] * 200, "drift"),
        ([7.0] * 400, "drift"),
        ([1e9 - 1, 1e9, 1e9 + 1] * 100, "drift"),
    ],
)
def test_whatever_comes_there_is_an_answer_without_nan_infinity_or_warning(values, answer):
    rng = np.random.default_rng(4)
    days = [numbers(rng.standard_normal(400)) for _ in range(14)]
    plan = watch(np.concatenate([day.column(0).to_numpy() for day in days]))
    row = compare(fold_window(numbers(values), plan), quiet(plan, days), plan).features[0]
    assert row.answer == answer
    figures = [row.rank, *(mean for mean in row.mean if mean is not None)]
    figures += [x for each in row.moved for x in (each.effect, each.margin, each.p, each.visible)]
    assert all(math.isfinite(x) for x in figures)
    assert all(0.0 <= each.p <= 1.0 for each in row.moved)


@pytest.mark.parametrize(
    "values", [[7.0] * 400, [None] * 400, [1e9 - 1, 1e9, 1e9 + 1, 1e9] * 100, [5e-324] * 400]
)
def test_what_never_varied_and_does_not_now_is_no_drift(values):
    plan = watch(values)
    row = compare(fold_window(numbers(values), plan), quiet(plan, [numbers(values)] * 14), plan).features[0]
    assert row.answer == ("ok" if values[0] is not None else "not enough data")


def test_a_billion_and_one_is_told_from_a_billion():
    rng = np.random.default_rng(5)
    days = [numbers(1e9 + rng.standard_normal(500)) for _ in range(14)]
    plan = watch(np.concatenate([day.column(0).to_numpy() for day in days]))
    reference = quiet(plan, days)
    assert (
        compare(fold_window(numbers(1e9 + rng.standard_normal(500)), plan), reference, plan).answers[
            "feature"
        ]
        == "ok"
    )
    moved = fold_window(numbers(1e9 + 1 + rng.standard_normal(500)), plan)
    assert compare(moved, reference, plan).answers["feature"] == "drift"


def test_unseen_levels_and_other_types_move_a_category():
    rng = np.random.default_rng(9)
    days = [pa.table({"f.c": rng.choice(["a", "b"], 500).tolist()}) for _ in range(14)]
    plan = MonitorPlan(features=(cut_feature("c", "category", days[0].column(0)),))
    reference = quiet(plan, days)
    news = pa.table({"f.c": rng.choice(["a", "b", "z"], 500).tolist()})
    assert compare(fold_window(news, plan), reference, plan).answers["feature"] == "drift"
    numbers_now = pa.table({"f.c": rng.standard_normal(500)})
    row = compare(fold_window(numbers_now, plan), reference, plan).features[0]
    assert (row.answer, row.moved[0].what) == ("drift", "presence")


def test_of_bytes_presence_alone_is_watched():
    table = pa.table({"f.blob": pa.array([b"x"] * 50, pa.binary())})
    plan = MonitorPlan(features=(FeaturePlan(name="blob", type="bytes"),))
    assert compare(fold_window(table, plan), quiet(plan, [table] * 14), plan).answers["feature"] == "ok"


def test_scores_and_labels_are_watched_by_the_same_rule_under_their_own_answer():
    rng = np.random.default_rng(10)

    def day(score, rate):
        return pa.table(
            {
                "f.x": rng.standard_normal(600),
                "score": np.clip(rng.beta(2, 5, 600) + score, 0, 1),
                "label": (rng.random(600) < rate).astype(float),
            }
        )

    tables = [day(0.0, 0.1) for _ in range(21)]
    whole = pa.concat_tables(tables)
    plan = MonitorPlan(
        features=(
            cut_feature("x", "float64", whole.column("f.x")),
            cut_feature("score", "float64", whole.column("score"), role="prediction", column="score"),
            cut_feature("label", "float64", whole.column("label"), role="label", column="label"),
        )
    )
    reference = quiet(plan, tables)

    def answers(score, rate):
        return dict(compare(fold_window(day(score, rate), plan), reference, plan).answers)

    assert answers(0.0, 0.1) == {"feature": "ok", "prediction": "ok", "label": "ok"}
    assert answers(0.2, 0.1) == {"feature": "ok", "prediction": "drift", "label": "ok"}
    assert answers(0.0, 0.3) == {"feature": "ok", "prediction": "ok", "label": "drift"}


def test_a_reference_round_trips_and_does_not_know_the_order_of_its_days(world):
    plan, reference = world
    assert Reference.from_json(reference.to_json(), plan) == reference
    days = [Day(i, fold_window(flights(i, 800), plan)) for i in range(28)]
    assert reference_of(days[::-1], plan).to_json() == reference.to_json()


def test_a_reference_of_another_plan_or_no_days_is_refused(world):
    plan, reference = world
    other = watch([1.0])
    with pytest.raises(EvidenceMismatch, match="the plan"):
        compare(WindowState.empty(other), reference, plan)
    with pytest.raises(EvidenceMismatch, match="the plan"):
        Reference.from_json(reference.to_json(), other)
    for days in ([], [Day(1, WindowState.empty(plan))] * 2):
        with pytest.raises(PlanError, match="at least one day"):
            reference_of(days, plan)


def test_holm_is_that_of_statsmodels():
    rng = np.random.default_rng(1)
    for size in (1, 2, 30):
        chances = rng.beta(0.2, 2.0, size).tolist()
        assert holm(chances) == pytest.approx(multipletests(chances, method="holm")[1].tolist())
    assert holm([]) == []


def test_distances_are_those_of_scipy_where_every_value_has_its_own_bin():
    from scipy.stats import chi2_contingency, ks_2samp, mannwhitneyu

    rng = np.random.default_rng(2)
    a, b = rng.integers(0, 12, 300), rng.integers(1, 14, 200)
    first, second = (np.bincount(x, minlength=14) for x in (a, b))
    exact = ks_2samp(a, b, method="asymp")
    assert ks_distance(first, second) == pytest.approx(exact.statistic)
    assert ks_chance(exact.statistic, 300 * 200 / 500, 0.0) == pytest.approx(exact.pvalue, rel=0.35)
    u = mannwhitneyu(b, a, use_continuity=False, method="asymptotic")
    shift, variance = rank_shift(first, second)
    assert shift + 0.5 == pytest.approx(u.statistic / (300 * 200))
    assert rank_chance(shift, variance, 0.0) == pytest.approx(u.pvalue)
    counts = np.array([[40, 50, 60], [30, 20, 70]])
    found = compare_counts(*counts)
    table = chi2_contingency(counts, correction=False)
    assert found.statistic == pytest.approx(table.statistic)
    assert counts_chance(found, 1.0, 0.0) == pytest.approx(table.pvalue)
