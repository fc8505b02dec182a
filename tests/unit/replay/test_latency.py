"""Histograms of latencies: exact counts, bounded error, merging in any order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.latency import Latencies

times = st.lists(st.integers(0, 10**9), min_size=1, max_size=200)


def of(values):
    found = Latencies()
    found.extend(values)
    return found


@given(times, st.sampled_from([0.01, 0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_at_most_a_sixteenth_too_high(values, share):
    at = sorted(values)[max(0, -(-int(share * 100) * len(values) // 100) - 1)]
    found = of(values).percentile(share)
    assert at <= found <= at + at / 16


@given(times, times)
def test_two_histograms_merge_into_that_of_both(one, other):
    merged = of(one)
    merged.merge(of(other))
    assert merged.buckets == of(one + other).buckets == of(other + one).buckets


def test_nothing_has_no_percentile():
    assert Latencies().percentile(0.5) is None
    assert Latencies().summary()["count"] == 0


@pytest.mark.parametrize("value", [0, 1, 15, 16, 17, 31, 32, 1023, 1024])
def test_small_values_are_told_exactly_or_nearly(value):
    assert value <= of([value]).percentile(1.0) <= value + value // 16
