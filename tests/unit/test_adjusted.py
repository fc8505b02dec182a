"""The adjusted difference: that of a regression, sharper where covariates explain, at its level at a look."""

import math

import numpy as np
import pyarrow as pa
import pytest
import statsmodels.api as sm

from policies import Evidence, decide, estimate, fold
from policies.adjusted import adjusted, reach, t_mixture
from policies.errors import ColumnsError, PlanError
from policies.gram import Gram
from tests.support.pairs import integrity, paired, plan

METRIC = {
    "name": "squared_error",
    "bound": 4.0,
    "clip": 4.0,
    "covariates": ["x", "y"],
    "covariate_means": [0.5, 0.0],
    "planned_units": 5_000,
}


def world(rows, *, effect=0.0, seed=3):
    """Differences that x explains for the most part; y explains nothing."""
    rng = np.random.default_rng(seed)
    x, y = rng.random(rows), rng.normal(size=rows)
    gain = effect + 0.8 * (x - 0.5) + rng.normal(0.0, 0.1, rows)
    live = np.sqrt(np.clip(1.5 + gain / 2, 0.0, None))
    other = np.sqrt(np.clip(1.5 - gain / 2, 0.0, None))
    table = paired(live.tolist(), other.tolist(), [0.0] * rows)
    return table.append_column("f.x", pa.array(x)).append_column("f.y", pa.array(y))


def test_it_is_the_intercept_of_a_regression():
    table, chosen = world(4_000, effect=0.02), plan(METRIC)
    evidence = fold(table, chosen)
    found = estimate(evidence, chosen)[0]
    x, y = (table.column(name).to_numpy() for name in ("f.x", "f.y"))
    difference = (
        table.column("champion_score").to_numpy() ** 2 - table.column("challenger_score").to_numpy() ** 2
    )
    fitted = sm.OLS(difference, np.column_stack([np.ones(4_000), x - 0.5, y])).fit()
    own = found.adjusted
    assert own.point == pytest.approx(fitted.params[0], abs=1e-6)
    assert own.explained == pytest.approx(fitted.rsquared, abs=1e-5)
    rate = 2.0 * math.log(20.0)
    phi = 5_000 / (rate + math.log1p(rate))
    shrink = phi / (phi + fitted.mse_resid / fitted.bse[0] ** 2)
    assert own.log_e == pytest.approx(t_mixture(fitted.tvalues[0], 3_997, shrink), abs=1e-3)
    half = (own.high - own.low) / 2
    assert half == pytest.approx(reach(3_997, shrink, 0.05) * fitted.bse[0], rel=1e-4)
    assert own.low < 0.02 < own.high
    assert half < 0.5 * (found.high - found.low) / 2
    assert own.validity == "asymptotic"


def test_the_ends_are_where_the_mixture_reaches_its_level():
    for freedom, shrink in ((1_000, 0.3), (10_000, 0.05)):
        assert t_mixture(reach(freedom, shrink, 0.05), freedom, shrink) == pytest.approx(
            math.log(20), abs=1e-9
        )
    assert reach(3, 0.9, 1e-9) == math.inf


@pytest.mark.parametrize("parts", [1, 7, 64])
def test_shuffled_partitions_give_the_same_bytes(parts):
    table, chosen = world(2_000), plan(METRIC)
    order = np.random.default_rng(parts).permutation(2_000)
    pieces = [fold(table.take(pa.array(rows)), chosen) for rows in np.array_split(order, parts)]
    merged = Evidence.empty(chosen).merge(*pieces)
    assert merged.to_json() == fold(table, chosen).to_json()
    assert Evidence.from_json(merged.to_json()) == merged


def test_it_abstains_with_its_reason():
    chosen = plan(METRIC)
    metric = chosen.metrics[0]
    few = estimate(fold(world(50), chosen), chosen)[0].adjusted
    assert (few.point, few.reasons) == (None, ("50 units, 1000 are needed",))
    same = np.arange(2_000, dtype=np.int64)
    for columns, reason in (
        ([same, same, same % 7], "not independent"),
        ([same, same**2, same * 0], "do not vary"),
    ):
        assert reason in adjusted(Gram.of(columns), metric, chosen).reasons[0]
    table = world(1_500)
    nan = table.set_column(
        table.schema.get_field_index("f.x"), "f.x", pa.array([math.nan] * 600 + [0.5] * 900)
    )
    assert estimate(fold(nan, chosen), chosen)[0].adjusted.units == 900


def test_it_changes_no_verdict_and_needs_its_columns():
    table = world(3_000, effect=0.05)
    plain = {key: METRIC[key] for key in ("name", "bound", "clip")}
    states = {
        decide(fold(table, chosen), chosen, integrity=integrity(3_000)).state
        for chosen in (plan(METRIC), plan(plain))
    }
    assert len(states) == 1
    with pytest.raises(ColumnsError, match=r"f\.y"):
        fold(table.drop_columns(["f.y"]), plan(METRIC))


@pytest.mark.parametrize(
    ("changes", "unit", "key"),
    [
        ({"covariate_means": [0.5]}, "request", "covariate_means"),
        ({"covariate_means": [0.5, math.nan]}, "request", "covariate_means"),
        ({"covariates": ["x", "x"]}, "request", "covariate_means"),
        ({"planned_units": 0}, "request", "planned_units"),
        ({}, "day", "covariates"),
    ],
)
def test_a_plan_that_cannot_be_adjusted_is_refused(changes, unit, key):
    with pytest.raises(PlanError, match=key):
        plan(METRIC | changes, unit=unit)


def test_an_equal_challenger_is_called_different_in_at_most_alpha_of_runs_at_any_look():
    rng, runs, looks, per = np.random.default_rng(11), 2_000, 40, 250
    wrong = np.zeros(runs, dtype=bool)
    sums = np.zeros((runs, 6))
    rate = 2.0 * math.log(20.0)
    phi = 5_000 / (rate + math.log1p(rate))
    for look in range(1, looks + 1):
        x = rng.random((runs, per)) - 0.5
        d = x + rng.exponential(0.3, (runs, per)) - 0.3
        sums += np.stack([each.sum(axis=1) for each in (x, x * x, d, x * d, d * d, x * 0 + 1)], axis=1)
        sx, sxx, sd, sxd, sdd, n = sums.T
        if look * per < 1_000:
            continue
        scale = n * sxx - sx * sx
        intercept, slope = (sxx * sd - sx * sxd) / scale, (n * sxd - sx * sd) / scale
        variance = (sdd - intercept * sd - slope * sxd) / (n - 2)
        error = np.sqrt(variance * sxx / scale)
        shrink = phi / (phi + variance / error**2)
        squares = (intercept / error) ** 2 / (n - 2)
        log_e = 0.5 * np.log(shrink) + 0.5 * (n - 1) * (np.log1p(squares) - np.log1p(shrink * squares))
        wrong |= log_e >= math.log(20)
    assert wrong.mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
