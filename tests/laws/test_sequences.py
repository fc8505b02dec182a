"""Laws of the confidence sequences: nested in alpha, mirrored by swapping, inverted e-values."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.accumulators import Moments, TernaryCounts
from policies.evalues import grid, mixture
from policies.sample import THREE_SUM_TOP, Sample, _monotone_from

METHODS = ("betting grid over counts", "betting grid over units", "three-sum mixture")
COUNTS = st.tuples(*[st.integers(0, 3_000)] * 3)
CLIP = 2**24
RESOLUTION = 2.0**-19


def sample(method, counts, high=0.3):
    better, _, worse = counts
    values = np.repeat([1.0, 0.0, -1.0], counts) if method == METHODS[1] else np.zeros(0)
    moments = Moments(sum(counts), (better - worse) * CLIP, (better + worse) * CLIP**2)
    return Sample(method, CLIP, 0, moments, TernaryCounts(*counts), values, grid(8, 0.01, high))


each_method = pytest.mark.parametrize("method", METHODS)


@each_method
@settings(deadline=None, max_examples=40)
@given(counts=COUNTS, alpha=st.floats(1e-4, 0.4))
def test_sequences_are_nested_in_alpha_and_hold_the_mean(method, counts, alpha):
    found = sample(method, counts)
    wide, narrow = found.lower(alpha / 2), found.lower(alpha)
    mean = (counts[0] - counts[2]) / sum(counts) if sum(counts) else 0.0
    assert -1.0 <= wide <= narrow + RESOLUTION
    assert narrow <= mean
    assert -found.lower(alpha, swapped=True) >= mean


@each_method
@settings(deadline=None, max_examples=40)
@given(counts=COUNTS)
def test_swapping_the_models_mirrors_the_sequence(method, counts):
    mine, theirs = sample(method, counts), sample(method, counts[::-1])
    assert mine.lower(0.05, swapped=True) == pytest.approx(theirs.lower(0.05), abs=RESOLUTION)


@each_method
@settings(deadline=None, max_examples=40)
@given(counts=COUNTS, alpha=st.floats(1e-4, 0.4))
def test_the_end_of_the_sequence_is_the_largest_rejected_null(method, counts, alpha):
    found, wanted = sample(method, counts), -math.log(alpha)
    low = found.lower(alpha)
    if low > -1.0:
        assert found.log_e(low) >= wanted - 1e-9
        above = min(low + 2 * RESOLUTION, 1 - RESOLUTION)
        assert low > 1 - 3 * RESOLUTION or found.log_e(above) < wanted + 1e-9


@each_method
@settings(deadline=None, max_examples=40)
@given(counts=COUNTS, nulls=st.tuples(st.floats(-1, 1), st.floats(-1, 1)))
def test_the_capital_falls_as_the_null_rises_where_the_search_looks(method, counts, nulls):
    start = _monotone_from(method, 0.3)
    low, high = sorted(max(start, min(null, 1 - RESOLUTION)) for null in nulls)
    found = sample(method, counts)
    slack = 1e-9 * (1 + abs(found.log_e(high)))
    assert found.log_e(low) >= found.log_e(high) - slack


def test_bets_beyond_the_monotone_range_serve_the_gate_and_not_the_sequence():
    wide, usual = (
        sample("three-sum mixture", (300, 2_000, 100), high=0.9),
        sample("three-sum mixture", (300, 2_000, 100)),
    )
    assert wide.bets.max() > THREE_SUM_TOP
    assert wide.interval_bets().max() <= THREE_SUM_TOP
    low = wide.lower(0.05)
    assert mixture(wide.search()(low)) >= -math.log(0.05) - 1e-9
    assert low == pytest.approx(usual.lower(0.05), abs=0.01)


def test_no_unit_says_nothing():
    for method in METHODS:
        assert sample(method, (0, 0, 0)).lower(0.05) == -1.0
