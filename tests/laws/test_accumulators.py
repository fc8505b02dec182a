"""Laws of the accumulators: to the byte, over any partition and order."""

import json
import math
from fractions import Fraction
from pathlib import Path

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.accumulators import GridCapital, Moments, TernaryCounts
from policies.errors import EvidenceOverflow
from policies.evalues import grid
from policies.evidence import Unseen
from policies.fixed import divide_half_even, exact_products, exact_squares, exact_sum, group_sums, to_fixed
from policies.gram import Gram
from policies.logged import LoggedEvidence, LoggedPlan, fold_logged
from policies.quantiles import Histogram
from policies.units import PerUnit, RepeatSketch
from recorders.canonical import canonical_json

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


def gram(values):
    return Gram.of([values // 2**20, values, -values])


def histogram(values):
    return Histogram.of(np.abs(values) / 2**20)


def missing(values):
    return Unseen(values.size, PerUnit.of(values % 3, values * 0, values * 0))


def weighted(values):
    chances = np.clip(np.abs(values) / 2**41, 0.1, 1.0)
    rows = {"propensity": chances, "target": np.where(values > 0, 1.0, 0.0), "reward": chances}
    return fold_logged(pa.table(rows), LOGGED)


LOGGED = LoggedPlan(weight_max=10.0, clip=5.0)
KINDS = {
    "gram": (gram, Gram.empty(3)),
    "bucket histogram": (histogram, Histogram.empty()),
    "missing cells": (missing, Unseen(0, PerUnit.empty())),
    "weighted moments": (weighted, LoggedEvidence.empty(LOGGED)),
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


@settings(deadline=None)
@given(values=SAMPLES, other=SAMPLES)
def test_products_are_those_of_python_integers(values, other):
    size = min(values.size, other.size)
    wide = [(int(a), int(b)) for a, b in zip(values[:size], other[:size], strict=True)]
    assert exact_products(values[:size], other[:size]) == sum(a * b for a, b in wide)
    found = Gram.of([values[:size], other[:size]])
    assert found.product(0, 1) == found.product(1, 0) == sum(a * b for a, b in wide)
    assert found.product(1, 1) == exact_squares(other[:size])


GOLDEN = Path(__file__).parents[1] / "golden" / "accumulators_1.json"
SAMPLE = np.array([0, 1, -1, 2**41, -(2**41), 123_456_789, -987_654_321], dtype=np.int64)


def written(of):
    return json.loads(
        canonical_json(msgspec.to_builtins(of(SAMPLE), enc_hook=PerUnit.to_builtins, str_keys=True))
    )


@pytest.mark.parametrize("kind", KINDS)
def test_the_bytes_of_every_version_are_read_and_written_again(kind):
    of = KINDS[kind][0]
    golden = json.loads(GOLDEN.read_text())[kind]
    assert written(of) == golden
    if kind == "per unit":
        assert PerUnit.from_builtins(golden) == of(SAMPLE)
        return
    again = msgspec.convert(
        golden, type(of(SAMPLE)), strict=False, dec_hook=lambda _, value: PerUnit.from_builtins(value)
    )
    assert again == of(SAMPLE)
