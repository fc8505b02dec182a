"""Laws of the state of features: to the byte, over any partition and order, for any values."""

import math
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.drift import FeaturePlan, MonitorPlan, WindowState, cut_feature, fold_window
from policies.drift.bits import MAGNITUDES, bit_counts
from policies.drift.exact import UNIT_BITS, as_mean, exact_total
from policies.errors import EvidenceMismatch
from tests.support.features import numbers, watch

FLOATS = st.one_of(
    st.floats(allow_nan=True, allow_infinity=True, allow_subnormal=True),
    st.sampled_from([0.0, -0.0, 1e9, 1e9 + 1, 5e-324, 1.7976931348623157e308, -1e-300]),
    st.none(),
)
NUMBERS = st.lists(FLOATS, max_size=30)
TEXTS = st.lists(st.one_of(st.none(), st.sampled_from(["AA", "UA", "", "né", "new", "\x00"])), max_size=30)
STATUS = st.sampled_from(["missing", "default", "stale", "erased", "unheard of"])
PLAN = MonitorPlan(
    features=(
        cut_feature("x", "float64", pa.array([0.5, 1.0, 2.0, 1e9], pa.float64())),
        FeaturePlan(name="never cut", type="float64", column="f.x", low=-1.0, high=1e9),
        cut_feature("carrier", "category", pa.array(["AA", "UA", "AA"])),
    )
)


def table(xs, texts, statuses=()):
    size = min(len(xs), len(texts))
    rows = [[{"field": "x", "status": each}] for each in statuses][:size]
    kind = pa.list_(pa.struct([("field", pa.string()), ("status", pa.string())]))
    return pa.table(
        {
            "f.x": pa.array(xs[:size], pa.float64()),
            "f.carrier": pa.array(texts[:size], pa.string()),
            "statuses": pa.array(rows + [None] * (size - len(rows)), kind),
        }
    )


ROWS = st.builds(table, NUMBERS, TEXTS, st.lists(STATUS, max_size=5))


@settings(deadline=None, max_examples=60)
@given(a=ROWS, b=ROWS, c=ROWS)
def test_merge_is_a_commutative_monoid_that_subtract_undoes(a, b, c):
    x, y, z = (fold_window(each, PLAN) for each in (a, b, c))
    empty = WindowState.empty(PLAN)
    assert x.merge(empty) == x == empty.merge(x)
    assert x.merge(y).to_json() == y.merge(x).to_json()
    assert x.merge(y).merge(z).to_json() == x.merge(y.merge(z)).to_json() == x.merge(y, z).to_json()
    assert x.merge(y).subtract(y).to_json() == x.to_json()
    assert x.subtract(x).to_json() == empty.to_json()


@settings(deadline=None, max_examples=60)
@given(rows=ROWS, data=st.data())
def test_any_split_of_any_order_is_one_pass_and_round_trips(rows, data):
    order = data.draw(st.permutations(range(rows.num_rows)))
    cut = data.draw(st.integers(0, rows.num_rows))
    shuffled = rows.take(pa.array(order, pa.int64()))
    whole = fold_window(rows, PLAN)
    assert (
        fold_window(shuffled[:cut], PLAN).merge(fold_window(shuffled[cut:], PLAN)).to_json()
        == whole.to_json()
    )
    assert WindowState.from_json(whole.to_json(), PLAN) == whole


@settings(deadline=None, max_examples=60)
@given(rows=ROWS)
def test_every_row_is_counted_once(rows):
    found = fold_window(rows, PLAN).features
    for name, column in (("x", "f.x"), ("never cut", "f.x"), ("carrier", "f.carrier")):
        state = found[name]
        assert state.rows == rows.num_rows
        assert state.present + sum(state.absences().values()) == state.rows
        for bins in (state.bits, state.edges, state.levels):
            assert bins.size == 0 or int(bins.sum()) == state.present
        assert state.count("null") == rows.column(column).null_count
    xs = [x for x in rows.column("f.x").to_pylist() if x is not None and math.isfinite(x)]
    assert found["never cut"].count("below") == sum(x < -1.0 for x in xs)
    assert found["never cut"].count("above") == sum(x > 1e9 for x in xs)


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=40))
def test_totals_are_those_of_fractions(xs):
    total = exact_total(np.array(xs, dtype=np.float64))
    exact = sum(map(Fraction, xs), Fraction(0))
    assert Fraction(total, 2**UNIT_BITS) == exact
    if xs and abs(exact / len(xs)) < Fraction(1.7e308):
        assert as_mean(total, len(xs)) == float(exact / len(xs))


def test_totals_agree_with_fsum_at_a_million_far_from_zero():
    values = 1e9 + np.random.default_rng(1).standard_normal(1_000_000)
    assert as_mean(exact_total(values), values.size) == pytest.approx(
        math.fsum(values) / values.size, rel=1e-16
    )


@settings(deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_both_histograms_are_in_numerical_order(a, b):
    low, high = sorted((a, b))
    for bins in (bit_counts, lambda xs: (PLAN.features[0].edges.counts(xs), 0)):
        (first,), (last,) = (np.flatnonzero(bins(np.array([x]))[0]).tolist() for x in (low, high))
        assert first <= last
    first, last = (int(np.flatnonzero(bit_counts(np.array([x]))[0])[0]) for x in (a, -a))
    assert first - MAGNITUDES == MAGNITUDES - last


@pytest.mark.parametrize(
    ("values", "bins"), [([1e9 - 1, 1e9, 1e9 + 1], 3), ([7.0] * 9, 1), ([0.0, 5e-324], 1)]
)
def test_the_edges_follow_the_reference_however_narrow_it_is(values, bins):
    state = fold_window(numbers(values), watch(values)).features["x"]
    assert np.count_nonzero(state.edges) == bins
    assert int(state.edges.sum()) == len(values)


def test_taking_away_what_was_never_added_is_refused():
    plan = watch([1.0, 2.0])
    one, two = (fold_window(numbers(xs), plan) for xs in ([1.0], [2.0]))
    with pytest.raises(EvidenceMismatch, match="added before"):
        one.subtract(two)


def test_states_of_other_bins_plans_and_formats_never_mix():
    plan, other = watch([1.0, 2.0]), watch([1.0, 3.0])
    one, two = fold_window(numbers([1.0]), plan), fold_window(numbers([1.0]), other)
    with pytest.raises(EvidenceMismatch, match="the plan"):
        one.merge(two)
    with pytest.raises(EvidenceMismatch, match="the bins"):
        one.features["x"].merge(two.features["x"])
    with pytest.raises(EvidenceMismatch, match="the plan"):
        WindowState.from_json(two.to_json(), plan)
    with pytest.raises(EvidenceMismatch, match="the format"):
        WindowState.from_json(one.to_json().replace(b'"format":1', b'"format":9'), plan)
