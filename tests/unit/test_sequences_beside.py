"""Sequences beside the gate: quantiles, completeness of pairs, and the asymptotic one that abstains."""

import itertools
import math

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.accumulators import Moments
from policies.asymptotic import asymptotic_sequence, half_width
from policies.completeness import completeness, excess_log_e, ratio_mismatch
from policies.errors import ColumnsError, PlanError
from policies.quantiles import Histogram, edge, quantile_sequence, share_log_e

VALUES = st.lists(st.floats(0, 1e12, allow_subnormal=False), max_size=30).map(np.array)


@given(VALUES, VALUES, VALUES)
def test_histograms_are_a_commutative_monoid(a, b, c):
    x, y, z = (Histogram.of(each) for each in (a, b, c))
    assert x.merge(y) == y.merge(x) == Histogram.of(np.concatenate([b, a]))
    assert x.merge(y).merge(z) == x.merge(y.merge(z))
    assert Histogram.empty().merge(x) == x
    assert msgspec.json.decode(x.to_json(), type=Histogram) == x


@given(st.floats(0, 1e300))
def test_a_value_lies_in_its_bin(value):
    (code,) = Histogram.of(np.array([value])).counts
    assert edge(code) <= value < edge(code + 1)


@pytest.mark.parametrize("bad", [-1.0, float("nan"), float("inf")])
def test_values_without_a_bin_are_refused(bad):
    with pytest.raises(ColumnsError, match="1 rows"):
        Histogram.of(np.array([1.0, bad]))


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_a_share_expects_exactly_one_under_its_null(share):
    for n in range(13):
        expected = sum(
            math.comb(n, k) * share**k * (1 - share) ** (n - k) * math.exp(e)
            for k, e in enumerate(share_log_e(np.arange(n + 1), n, share))
        )
        assert expected == pytest.approx(1.0, abs=1e-12)


def test_the_quantile_lies_in_its_sequence_at_every_look_and_sequences_are_nested():
    rng, missed, true = np.random.default_rng(3), 0, math.exp(0.6 * 2.3263478740408408)
    for _ in range(150):
        seen = Histogram.empty()
        for _ in range(20):
            seen = seen.merge(Histogram.of(rng.lognormal(0.0, 0.6, 300)))
            wide, low, high = quantile_sequence(seen, 0.99, 0.01), *quantile_sequence(seen, 0.99, 0.05)
            assert wide[0] <= low < high <= wide[1]
            if not low <= true <= high:
                missed += 1
                break
    assert missed <= 150 * 0.05
    assert high - low < 0.5 * true


def test_a_constant_stream_has_its_quantile_in_one_bin():
    low, high = quantile_sequence(Histogram.of(np.full(10_000, 7.0)), 0.9, 0.05)
    assert low <= 7.0 <= high < 7.5


def test_missing_pairs_expect_at_most_one_for_every_chance_up_to_the_limit():
    for limit, n in itertools.product((0.01, 0.2), range(13)):
        for chance in (0.0, limit / 2, limit):
            expected = sum(
                math.comb(n, k) * chance**k * (1 - chance) ** (n - k) * math.exp(excess_log_e(k, n, limit))
                for k in range(n + 1)
            )
            assert expected <= 1 + 1e-12


def test_a_cell_that_loses_its_pairs_is_named_and_sound_ones_are_not():
    cells = {"approve": (40, 10_000), "review": (0, 0), "block": (300, 1_000), "host-3": (100, 2_000)}
    found = completeness(cells, limit=0.01, alpha=0.01)
    assert found.broken == ("block", "host-3")
    assert found.log_e["review"] == 0.0
    with pytest.raises(ColumnsError, match="3 of 2"):
        completeness({"a": (3, 2)}, limit=0.01, alpha=0.01)
    with pytest.raises(PlanError):
        completeness({}, limit=0.0, alpha=0.01)


def test_arms_are_known_and_their_shares_add_up():
    assert ratio_mismatch({"a": 1}, {"a": 1.0, "b": 0.0}) == pytest.approx(0.0, abs=1e-9)
    assert ratio_mismatch({"b": 1}, {"a": 1.0, "b": 0.0}) == math.inf
    with pytest.raises(ColumnsError, match="'c'"):
        ratio_mismatch({"c": 1}, {"a": 1.0})
    with pytest.raises(ColumnsError, match="add up"):
        ratio_mismatch({"a": 1}, {"a": 0.9})


def test_the_asymptotic_sequence_abstains_by_name():
    few = Moments(500, 0, 500)
    assert asymptotic_sequence(few, (250, 250), 1, alpha=0.05, planned=1e4).reasons == (
        "500 units, 1000 are needed",
    )
    rare = Moments(10_000, -20, 20)
    reasons = asymptotic_sequence(rare, (0, 20), 1, alpha=0.05, planned=1e4).reasons
    assert [reason.split()[0] for reason in reasons] == ["0", "one"]
    shown = asymptotic_sequence(Moments(10_000, 100, 1_500), (800, 700), 1, alpha=0.05, planned=1e4)
    assert shown.reasons == ()
    assert shown.low < 0.01 < shown.high


@pytest.mark.parametrize(("alpha", "planned"), [(0.0, 1.0), (1.0, 1.0), (0.05, 0.0), (float("nan"), 1.0)])
def test_a_sequence_out_of_range_is_refused(alpha, planned):
    with pytest.raises(PlanError):
        asymptotic_sequence(Moments.empty(), (0, 0), 0, alpha=alpha, planned=planned)


def test_the_half_width_shrinks_with_data_and_grows_as_alpha_falls():
    assert half_width(4_000, 1, 0.05, 5_000) < half_width(1_000, 1, 0.05, 5_000)
    assert half_width(1_000, 1, 0.01, 5_000) > half_width(1_000, 1, 0.05, 5_000)
