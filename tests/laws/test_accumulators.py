"""Laws of the accumulators: to the byte, over any partition and order."""

import math
from fractions import Fraction

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.accumulators import GridCapital, Moments, TernaryCounts
from policies.errors import EvidenceOverflow
from policies.evalues import grid
from policies.fixed import divide_half_even, exact_squares, exact_sum, group_sums, to_fixed
from policies.units import PerUnit, RepeatSketch

WIDE = st.integers(-(2**41), 2**41)
SAMPLES = st.lists(WIDE, max_size=40).map(lambda xs: np.array(xs, dtype=np.int64))
BETS = grid(16, 0.01, 0.9)


def moments(values):
    return Moments.of(values)


def ternary(values):
    return TernaryCounts.of(values)


def capital(values):
    return GridCapital.of(values / 2**41, BETS)


def per_unit(values):
    return PerUnit.of(values % 5, values // 2, values)


def repeats(values):
    return RepeatSketch.of(pa.array([str(v % 7) for v in values.tolist()], pa.string()))


KINDS = {
    "moments": (moments, Moments.empty()),
    "ternary": (ternary, TernaryCounts.empty()),
    "capital": (capital, GridCapital.empty(16)),
    "per unit": (per_unit, PerUnit.empty()),
    "repeats": (repeats, RepeatSketch.empty()),
}
each_kind = pytest.mark.parametrize(("of", "empty"), KINDS.values(), ids=KINDS)


@each_kind
@settings(deadline=None)
@given(a=SAMPLES, b=SAMPLES, c=SAMPLES)
def test_merge_is_a_commutative_monoid(of, empty, a, b, c):
    x, y, z = of(a), of(b), of(c)
    assert x.merge(empty) == x == empty.merge(x)
    assert x.merge(y) == y.merge(x)
    assert x.merge(y).merge(z) == x.merge(y.merge(z))
    assert empty.merge(empty) == empty


@each_kind
@settings(deadline=None)
@given(values=SAMPLES, data=st.data())
def test_any_split_of_any_order_is_one_pass(of, empty, values, data):
    order = data.draw(st.permutations(range(len(values))))
    cut = data.draw(st.integers(0, len(values)))
    shuffled = values[np.array(order, dtype=np.int64)]
    assert of(shuffled[:cut]).merge(of(shuffled[cut:])) == of(values)


@settings(deadline=None)
@given(values=SAMPLES)
def test_sums_are_those_of_python_integers(values):
    wide = [int(v) for v in values]
    found = Moments.of(values)
    assert (found.count, found.total, found.squares) == (len(wide), sum(wide), sum(v * v for v in wide))
    assert exact_sum(values) == sum(wide)
    assert exact_squares(values) == sum(v * v for v in wide)
    assert msgspec.json.decode(msgspec.json.encode(TernaryCounts.of(values)), type=TernaryCounts)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-(2**61), 2**61), st.integers(1, 2**20)), min_size=1, max_size=20))
def test_division_rounds_half_to_even_as_fractions_do(pairs):
    sums, counts = (np.array(column, dtype=np.int64) for column in zip(*pairs, strict=True))
    assert divide_half_even(sums, counts).tolist() == [round(Fraction(s, c)) for s, c in pairs]


@pytest.mark.parametrize("mean", [1e9, 1.0, 1e-9])
def test_fixed_point_agrees_with_fsum_far_from_and_near_to_zero(mean):
    rng = np.random.default_rng(7)
    values = mean * (1 + 1e-3 * rng.standard_normal(10_000))
    scale = 2 ** (40 - max(0, math.ceil(math.log2(values.max()))))
    moments = Moments.of(to_fixed(values, scale))
    assert moments.mean is not None
    assert moments.mean / scale == pytest.approx(math.fsum(values) / values.size, abs=0.5 / scale)


def test_a_unit_beyond_64_bits_is_refused_and_never_wraps():
    huge = PerUnit(*(np.array([x], dtype=np.int64) for x in (1, 1, 2**62, 2**62)))
    with pytest.raises(EvidenceOverflow, match=r"2\*\*63"):
        huge.merge(huge)
    rows = np.full(2**22 + 1, 2**41)
    with pytest.raises(EvidenceOverflow):
        group_sums(np.zeros(rows.size, dtype=np.int64), rows, 1)


def test_squares_at_the_bound_do_not_overflow():
    rows = np.full(2**20 + 3, -(2**41))
    assert exact_squares(rows) == rows.size * 2**82
    assert exact_sum(rows) == -rows.size * 2**41
