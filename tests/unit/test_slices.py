"""Slices: harm that an overall gain hides is named, and chance alone is not."""

import numpy as np
import pyarrow as pa
import pytest

from policies import decide, fold, plan_from
from policies.errors import EvidenceMismatch, PlanError
from policies.slice_plan import SlicePlan
from policies.slices import OTHERS, levels_of, named_levels, search, sliced
from tests.support.pairs import integrity, paired

ROWS = 8_000
DECLARED = {"columns": ["country"], "levels": 4}


def declared(**changes):
    return plan_from({"metrics": [{"name": "brier", "clip": 0.3}], "slices": DECLARED | changes})


def world(seed=1, harmed=("at",)):
    """Better everywhere by 0.1 of probability, worse by 0.18 in the harmed countries."""
    rng = np.random.default_rng(seed)
    country = rng.choice(["de", "fr", "at", "it"], ROWS, p=[0.5, 0.25, 0.15, 0.1])
    risk = rng.random(ROWS) * 0.5
    worse = np.isin(country, harmed)
    other = np.clip(risk + np.where(worse, 0.18, 0.0), 0.0, 1.0)
    live = np.clip(risk + np.where(worse, 0.0, 0.1), 0.0, 1.0)
    table = paired(live.tolist(), other.tolist(), (rng.random(ROWS) < risk).astype(float).tolist())
    return table, pa.chunked_array([country.tolist()])


def found(table, country, chosen):
    levels = {"country": levels_of(country, named_levels(country, chosen.slices.levels))}
    parts = sliced(table, levels, chosen)
    return decide(fold(table, chosen), chosen, integrity=integrity(ROWS), slices=parts)


def test_a_slice_that_is_harmed_holds_a_challenger_that_is_better_overall():
    verdict = found(*world(), declared())
    assert verdict.state == "HOLD"
    assert verdict.reasons[0].startswith("slices: Harm is shown in 1 of 4: country=at")
    assert [each.name for each in verdict.slices if each.harmed] == ["country=at"]
    assert verdict.slices[0].name == "country=at"  # the strongest evidence stands first
    assert sum(each.decisions for each in verdict.slices) == ROWS


def test_where_nothing_is_harmed_the_search_changes_nothing():
    assert found(*world(harmed=()), declared()).state == "PROMOTE"


def test_harm_below_the_margin_is_none():
    assert found(*world(), declared(margin=0.2)).state == "PROMOTE"


def test_levels_beyond_the_registered_number_share_one_slice():
    table, country = world()
    verdict = found(table, country, declared(levels=1))
    first = country[0].as_py()
    assert {each.name for each in verdict.slices} == {f"country={first}", f"country={OTHERS}"}


def test_the_level_of_the_search_is_that_of_the_plan_and_not_of_what_was_seen():
    table, country = world()
    narrow, wide = (
        next(gate for gate in found(table, country, declared(levels=n)).gates if gate.name == "slices")
        for n in (4, 100)
    )
    assert (narrow.e_limit, wide.e_limit) == (100.0, 2020.0)


def test_slices_of_chance_alone_are_named_in_less_than_alpha_of_the_worlds():
    wrong = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        n, risk = 400, rng.random(400) * 0.5
        live, other = np.clip(risk + rng.normal(0, 0.1, (2, n)), 0.0, 1.0)
        table = paired(live.tolist(), other.tolist(), (rng.random(n) < risk).astype(float).tolist())
        levels = {"country": pa.chunked_array([rng.choice(list("abcd"), n).tolist()])}
        chosen = declared()
        wrong += any(each.harmed for each in search(sliced(table, levels, chosen), chosen).slices)
    assert wrong <= 3 + 3 * 1.7  # alpha of 60, and three standard errors


def test_a_slice_of_another_plan_is_refused():
    table, country = world()
    other = declared(levels=3)
    with pytest.raises(EvidenceMismatch):
        search(sliced(table, {"country": country}, other), declared())


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"columns": []}, "slices.columns"),
        ({"columns": ["a", "a"]}, "slices.columns"),
        ({"levels": 0}, "slices.levels"),
        ({"margin": -1.0}, "slices.margin"),
        ({"margin": float("nan")}, "slices.margin"),
        ({"margin": 0.3}, "slices.margin"),
        ({"metric": "accuracy"}, "metric"),
        ({"colums": ["a"]}, "slices.colums"),
    ],
)
def test_what_cannot_be_searched_is_refused(changes, key):
    with pytest.raises(PlanError) as refused:
        declared(**changes)
    assert refused.value.key == key


def test_no_row_has_no_slice():
    chosen = declared()
    assert search({}, chosen).gate.state == "passes"
    assert isinstance(chosen.slices, SlicePlan)
