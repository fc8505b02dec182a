"""Metrics of whole groups: equal to a slow oracle, whole and once, oriented, exact at every look."""

import math

import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import average_precision_score, ndcg_score, roc_auc_score

from policies import Evidence, estimate, fold
from policies.errors import ColumnsError, PlanError
from policies.groups import GROUPED
from tests.support.pairs import paired, plan

NEEDS = {"ndcg": {"k": 3}, "calibration_error": {"bins": 5}}
DAY_US = 86_400_000_000


def plan_of(name, **changes):
    return plan({"name": name, **NEEDS.get(name, {}), **changes}, unit="column")


def world(seed, *, groups=12, rows=400, labels=(0.0, 1.0), units=None):
    """Scores with many ties in groups of uneven size, some of one label alone."""
    rng = np.random.default_rng(seed)
    unit = rng.integers(0, groups, rows) * rng.integers(0, 2, rows)
    label = rng.choice(labels, rows) * (unit != 3)
    live, other = (np.round(rng.random(rows) * 0.5 + 0.2 * label, 1) for _ in range(2))
    return paired(live.tolist(), other.tolist(), label.tolist(), unit=[f"q{u}" for u in unit]), unit


def ece(label, score, bins=5):
    cells = np.minimum((score * bins).astype(int), bins - 1)
    return sum(abs((score - label)[cells == cell].sum()) for cell in range(bins)) / label.size


ORACLES = {
    "auc": roc_auc_score,
    "average_precision": average_precision_score,
    "ndcg": lambda label, score: ndcg_score([label], [score], k=3),
    "calibration_error": ece,
}


@pytest.mark.parametrize("name", GROUPED)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_each_group_has_the_value_that_a_slow_oracle_gives(name, seed):
    table, unit = world(seed, labels=(0.0, 1.0, 3.0) if name == "ndcg" else (0.0, 1.0))
    chosen = plan_of(name)
    found = fold(table, chosen).metrics[name]
    wanted = {}
    for group in np.unique(unit):
        rows = unit == group
        label = table.column("label").to_numpy()[rows]
        enough = {"auc": len(set(label)) > 1, "calibration_error": True}.get(name, label.sum() > 0)
        if enough and rows.sum() > 1:
            sides = [table.column(f"{side}_score").to_numpy()[rows] for side in ("champion", "challenger")]
            wanted[group] = [int(rows.sum()), *(ORACLES[name](label, score) for score in sides)]
    units = found.units
    got = sorted(
        (n, a / n / chosen.scale, b / n / chosen.scale)
        for n, a, b in zip(
            units.counts.tolist(), units.champion.tolist(), units.challenger.tolist(), strict=True
        )
    )
    assert np.allclose(got, sorted(tuple(row) for row in wanted.values()), atol=1e-7)
    assert found.used + found.reasons.get("group_too_small", 0) == table.num_rows


@pytest.mark.parametrize("name", GROUPED)
@pytest.mark.parametrize("parts", [1, 3, 12])
def test_whole_groups_in_any_order_of_rows_give_the_same_bytes(name, parts):
    table, unit = world(5)
    chosen, rng = plan_of(name), np.random.default_rng(parts)
    pieces = []
    for groups in np.array_split(rng.permutation(np.unique(unit)), parts):
        rows = rng.permutation(np.flatnonzero(np.isin(unit, groups)))
        pieces.append(fold(table.take(pa.array(rows)), chosen))
    merged = Evidence.empty(chosen).merge(*pieces)
    assert merged.to_json() == fold(table, chosen).to_json()
    assert Evidence.from_json(merged.to_json()) == merged


def test_half_a_group_twice_is_refused():
    table, _ = world(6, groups=1)
    chosen = plan_of("auc")
    with pytest.raises(ColumnsError, match="two parts"):
        fold(table.slice(0, 200), chosen).merge(fold(table.slice(200), chosen))


@pytest.mark.parametrize("name", GROUPED)
def test_the_better_model_is_above_zero_and_ties_are_level(name):
    label, good, bad = [1.0, 0.0, 1.0, 0.0], [0.9, 0.1, 0.9, 0.1], [0.1, 0.9, 0.1, 0.9]
    chosen = plan_of(name)
    for live, other, sign in ((bad, good, 1), (good, bad, -1), (good, good, 0), ([0.5] * 4, [0.5] * 4, 0)):
        found = estimate(fold(paired(live, other, label, unit=["q"] * 4), chosen), chosen)[0]
        assert (found.point > 0) - (found.point < 0) == sign


@pytest.mark.parametrize("name", GROUPED)
def test_what_cannot_be_ranked_is_left_with_its_reason(name):
    nan = float("nan")
    table = paired(
        [0.1, nan, 0.2, 0.3, 0.3, 0.2],
        [0.1, 0.1, 0.2, None, 0.3, 0.2],
        [0.0, 1.0, -0.5, 1.0, 1.0, 1.0],
        unit=["a", "a", "a", "a", None, "a"],
    )
    found = fold(table, plan_of(name)).metrics[name]
    assert found.reasons == {
        "champion_not_a_number": 1,
        "challenger_missing": 1,
        "label_outside": 1,
        "unit_missing": 1,
    }
    nothing = fold(table.slice(1, 3), plan_of(name)).metrics[name]
    assert (nothing.used, nothing.units.keys.size) == (0, 0)


def test_groups_with_too_few_are_left_and_counted():
    table = paired([0.1, 0.9, 0.4], [0.1, 0.9, 0.4], [0.0, 1.0, 1.0], unit=["a", "a", "b"])
    assert fold(table, plan_of("auc")).metrics["auc"].reasons == {"group_too_small": 1}
    assert fold(table, plan_of("auc", least=2)).metrics["auc"].reasons == {"group_too_small": 3}


@pytest.mark.parametrize(
    ("metric", "key"),
    [
        ({"name": "ndcg"}, "metrics.k"),
        ({"name": "ndcg", "k": 0}, "metrics.k"),
        ({"name": "calibration_error"}, "metrics.bins"),
        ({"name": "calibration_error", "bins": 1001}, "metrics.bins"),
        ({"name": "auc", "least": 0}, "metrics.least"),
    ],
)
def test_what_is_missing_or_out_of_range_is_refused(metric, key):
    with pytest.raises(PlanError) as refused:
        plan(metric, unit="day")
    assert refused.value.key == key


def test_a_group_metric_needs_groups():
    with pytest.raises(PlanError, match="value of a group"):
        plan({"name": "auc"})


def test_a_better_ranking_is_shown_by_days():
    rng = np.random.default_rng(8)
    label = (rng.random(7_200) < 0.3).astype(float)
    live, other = (label + rng.normal(0, noise, label.size) for noise in (1.0, 0.7))
    table = paired(
        live.tolist(), other.tolist(), label.tolist(), occurred_us=(np.arange(7_200) // 120 * DAY_US).tolist()
    )
    chosen = plan({"name": "auc", "clip": 0.3}, unit="day", grid=[16, 0.02, 0.9])
    found = estimate(fold(table, chosen), chosen)[0]
    tested = {test.hypothesis: test for test in found.tested}
    assert found.low > 0.02
    assert tested["superiority"].log_e > math.log(20)
    assert tested["harm"].log_e < 0


def test_equal_models_are_promoted_in_at_most_alpha_of_runs_looking_at_every_day():
    rng, runs, days, rows = np.random.default_rng(17), 400, 40, 60
    chosen = plan({"name": "auc", "clip": 0.3}, unit="day", grid=[16, 0.02, 0.9])
    label = (rng.random((runs, days * rows)) < 0.3).astype(float)
    when = (np.arange(days * rows) // rows * DAY_US).tolist()
    bets = np.geomspace(0.02, 0.9, 16)
    false = 0
    for run in range(runs):
        live, other = (label[run] + rng.normal(0, 1.0, days * rows) for _ in range(2))
        table = paired(live.tolist(), other.tolist(), label[run].tolist(), occurred_us=when)
        units = fold(table, chosen).metrics["auc"].units
        gain = np.clip((units.challenger - units.champion) / units.counts / chosen.scale / 0.3, -1, 1)
        log_e = np.log(np.exp(np.log1p(np.outer(bets, gain)).cumsum(axis=1)).mean(axis=0))
        false += log_e.max() >= math.log(20)
    assert false / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
