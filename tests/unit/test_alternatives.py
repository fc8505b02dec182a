"""Planned alternatives of a metric: each from mergeable evidence, the figure of its own definition."""

import msgspec
import numpy as np
import pytest

from harness.certify.sequences import plan_procedures
from harness.certify.worlds import Assumed
from policies import Evidence, Look, decide, fold
from policies.fixed_horizon import delong, stratified_delong, wilson
from policies.group_sequential import spending_bounds
from policies.quantiles import Histogram, quantile_sequence
from policies.rank_sums import SCALE, RankSums, rank_sums
from tests.support.pairs import integrity, paired, plan, simulated

PLANNED = ["obrien-fleming", "pocock", "mcnemar", "tost", "wilson"]
ACCURACY = {"name": "accuracy", "threshold": 0.3, "margin": 0.1, "planned": PLANNED, "planned_units": 4_000}
TABLE = simulated(2_000, gain=0.1)


def told(table, chosen, previous=()):
    found = decide(fold(table, chosen), chosen, integrity=integrity(table.num_rows), previous=previous)
    return found, {each.method: each for each in found.beside}


def ranked(rows, seed, groups=1):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, groups, rows)
    label = (rng.random(rows) < 0.4).astype(np.float64)
    live, other = (np.round(label + rng.normal(0.0, 1.0, rows), 1) for _ in range(2))
    return codes, (live, other), label


def test_of_one_group_delong_is_delong():
    codes, scores, label = ranked(400, 1)
    found = stratified_delong(*msgspec.structs.astuple(rank_sums(codes, scores, label, 1)), SCALE)
    whole = delong(*scores, label)
    assert found.point == pytest.approx(whole.point, abs=1e-9)
    assert found.p == pytest.approx(whole.p, rel=1e-6)


def test_of_groups_it_adds_up_in_any_order_and_small_ones_are_left_out():
    codes, scores, label = ranked(3_000, 2, groups=20)
    whole = rank_sums(codes, scores, label, 20)
    order = np.random.default_rng(3).permutation(3_000)
    assert rank_sums(codes[order], tuple(s[order] for s in scores), label[order], 20) == whole
    parts = [codes % 3 == part for part in range(3)]
    merged = RankSums(0, 0, 0)
    for part in parts:
        kept, own = np.unique(codes[part], return_inverse=True)
        merged = merged.merge(rank_sums(own, tuple(s[part] for s in scores), label[part], kept.size))
    assert merged == whole
    assert whole.groups == 20
    tiny = rank_sums(np.array([0, 0, 1]), (np.zeros(3), np.ones(3)), np.array([0.0, 1.0, 1.0]), 2)
    assert tiny == RankSums(0, 0, 0)


def test_delong_holds_its_level_over_groups():
    rejected, rng = 0, np.random.default_rng(4)
    for _ in range(400):
        codes = rng.integers(0, 10, 400)
        label = (rng.random(400) < 0.3).astype(np.float64)
        shared = label + rng.normal(0, 1, 400) + codes  # groups differ in level: between them nothing is told
        scores = tuple(shared + rng.normal(0, 0.7, 400) for _ in range(2))
        sums = rank_sums(codes, scores, label, 10)
        rejected += stratified_delong(sums.groups, sums.difference, sums.variance, SCALE).p < 0.05
    assert rejected / 400 <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


def test_group_sequential_bounds_are_those_of_all_looks_so_far():
    chosen = plan(ACCURACY)
    first, told_first = told(TABLE.slice(0, 1_000), chosen)
    looks = [Look.of(1, first.estimates)]
    _, second = told(TABLE, chosen, looks)
    for kind in ("obrien-fleming", "pocock"):
        name = f"group-sequential, {kind}, planned looks"
        assert told_first[name].bound == pytest.approx(spending_bounds([0.25], kind)[0], rel=1e-6)
        assert second[name].bound == pytest.approx(spending_bounds([0.25, 0.5], kind)[1], rel=1e-6)
    difference = np.array(TABLE["challenger_score"]) >= 0.3, np.array(TABLE["champion_score"]) >= 0.3
    hit = [(side == (np.array(TABLE["label"]) == 1.0)).astype(float) for side in difference]
    apart = hit[0] - hit[1]
    z = apart.mean() / (apart.std(ddof=1) / apart.size**0.5)
    assert second["group-sequential, pocock, planned looks"].z == pytest.approx(z, rel=1e-6)


def test_the_same_look_again_spends_nothing_and_too_many_units_void_it():
    chosen = plan(ACCURACY)
    first, once = told(TABLE, chosen)
    _, again = told(TABLE, chosen, [Look.of(1, first.estimates)])
    assert once == again
    _, beyond = told(TABLE, plan(ACCURACY | {"planned_units": 1_999}))
    only = beyond["group-sequential, pocock, planned looks"]
    assert only.reasons == ("2000 units, planned were 1999",)
    assert only.bound is msgspec.UNSET


def test_wilson_is_that_of_each_models_share():
    found, by_method = told(TABLE, plan(ACCURACY))
    for model in ("champion", "challenger"):
        share = getattr(found.estimates[0], model)
        low, high = wilson(round(share * 2_000), 2_000)
        only = by_method[f"Wilson, {model}, planned once"]
        assert (only.low, only.high) == (pytest.approx(low), pytest.approx(high))


def test_quantiles_of_latency_are_in_microseconds_and_merge_to_the_byte():
    n = 600
    took = np.random.default_rng(5).lognormal(8.0, 0.5, (2, n)).astype(int)
    table = paired(
        [0.5] * n, [0.5] * n, [1.0] * n, champion_latency_us=took[0], challenger_latency_us=took[1]
    )
    chosen = plan({"name": "latency_over", "slo_us": 9_000, "margin": 0.1, "quantiles": [0.5, 0.9]})
    whole = fold(table, chosen)
    parts = fold(table.slice(200), chosen).merge(fold(table.slice(0, 200), chosen))
    assert parts.to_json() == whole.to_json()
    assert Evidence.from_json(whole.to_json()) == whole
    _, by_method = told(table, chosen)
    low, high = quantile_sequence(Histogram.of(took[1].astype(float)), 0.9, 0.05)
    only = by_method["quantile 0.9, challenger"]
    assert (only.low, only.high, only.validity) == (pytest.approx(low), pytest.approx(high), "exact")
    assert low < np.quantile(took[1], 0.9) < high


def test_of_nothing_and_of_one_unit_each_says_why():
    for rows in (0, 1):
        _, by_method = told(TABLE.slice(0, rows), plan(ACCURACY))
        silent = {name for name, each in by_method.items() if each.reasons}
        assert {"group-sequential, pocock, planned looks", "TOST, planned once"} <= silent
        assert all(each.p is None for name, each in by_method.items() if name in silent)


def test_planned_looks_are_certified_with_the_plan_that_names_them():
    found = {each.name: each for each in plan_procedures(plan(ACCURACY), Assumed(runs=400, looks=20))}
    for kind in ("obrien-fleming", "pocock"):
        only = found[f"{kind} of accuracy"]
        assert only.planned
        assert only.looks == 10, "the looks within the planned units"
        assert only.holds
        assert only.naive > 2 * only.wrong
