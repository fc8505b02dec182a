"""Scales, labels and the builder: what the drawings rest on."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report import numbers as n
from harness.report.charts.frame import labelled, with_interval
from harness.report.charts.gate_strip import LIMIT, strip
from harness.report.data import Gate
from harness.report.markup import Markup, tag
from harness.report.metric_words import decimals
from harness.report.scales import Linear, ticks
from tests.support.report_figures import gates

ENDS = st.floats(-1e6, 1e6).flatmap(
    lambda low: st.tuples(st.just(low), st.floats(1e-6, 1e6).map(lambda d: low + d))
)


@given(ENDS, st.integers(2, 10))
def test_ticks_are_few_round_and_inside(ends: tuple[float, float], wanted: int) -> None:
    low, high = ends
    if high - low < 1e-9 * max(abs(low), abs(high), 1):
        return
    found = ticks(low, high, wanted)
    assert len(found) <= wanted + 1
    spare = (high - low) * 1e-6
    assert all(low - spare <= tick <= high + spare for tick in found)
    if len(found) > 1:
        size = found[1] - found[0]
        lead = size / 10 ** math.floor(math.log10(size) + 1e-6)
        assert min(abs(lead - step) for step in (1, 2, 5)) < 1e-3


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_a_clip_is_told(value: float, low: float) -> None:
    at, side = Linear(low, low + 1, 0, 100).clip(value)
    assert -1e-6 <= at <= 100 + 1e-6
    assert side == (value > low + 1) - (value < low)


@given(st.lists(st.floats(0, 900), max_size=60), st.floats(5, 90))
def test_labels_never_meet_and_the_last_is_there(places: list[float], spacing: float) -> None:
    ordered = sorted(places)
    chosen = sorted(labelled(ordered, spacing))
    assert not ordered or chosen[-1] == len(ordered) - 1
    assert all(ordered[b] - ordered[a] >= spacing for a, b in pairwise(chosen))


@pytest.mark.parametrize("count", [0, 1, 40, 41, 47, 200, 1_000])
def test_at_most_forty_intervals_and_always_the_last(count: int) -> None:
    shown = with_interval(count)
    assert len(shown) <= 40
    assert not count or count - 1 in shown


@given(
    st.floats(-1, 1),
    st.floats(-1, 1),
    st.sampled_from(["above", "below"]),
    st.sampled_from(["share", "count", "difference"]),
)
def test_the_better_side_of_a_strip_is_left_of_its_limit(
    value: float, limit: float, worse: str, form: str
) -> None:
    gate = Gate("x", "data", "", "passes", form, worse, value, limit=limit)  # type: ignore[arg-type]
    drawn = strip(gate)
    at = float(drawn.partition('cx="')[2].partition("%")[0])
    assert 0 <= at <= 100
    better = value < limit if worse == "above" else value > limit
    assert at <= LIMIT + 0.051 if better else at >= LIMIT - 0.051


def test_every_gate_of_the_fixture_has_its_limit_at_seventy_percent() -> None:
    for gate in gates():
        assert 'x1="70.0%"' in strip(gate)


@given(st.text(max_size=40), st.text(max_size=40))
def test_text_and_attributes_are_escaped(words: str, value: str) -> None:
    made = tag("b", words, title=value)
    inner = made[made.index(">") + 1 : -len("</b>")]
    assert "<" not in inner
    assert '"' not in made.partition('title="')[2].partition('">')[0]


@pytest.mark.parametrize(
    "bad", [{"style": "x"}, {"onclick": "x"}, {"src": "x"}, {"href": "https://example.org"}]
)
def test_what_the_report_forbids_cannot_be_built(bad: dict[str, str]) -> None:
    with pytest.raises(AssertionError):
        tag("a", "x", **bad)
    with pytest.raises(AssertionError):
        tag("script", Markup("1"))


@given(st.floats(-1e6, 1e6), st.integers(0, 6))
def test_a_difference_has_its_sign_and_zero_has_none(value: float, places: int) -> None:
    said = n.signed(value, places)
    assert "-" not in said
    if set(said) <= set("0.,"):
        assert abs(value) <= 0.5 * 10**-places + 1e-12
    else:
        assert said[0] == ("+" if value > 0 else n.MINUS)


@given(st.floats(-2_000, 2_000))
def test_e_values_of_any_size_fit_the_row(log_e: float) -> None:
    assert len(n.e_value(log_e)) <= 12


def test_a_margin_sets_the_decimals() -> None:
    assert [decimals(margin, None) for margin in (0.002, 0.01, 0.5, 0.00001)] == [4, 3, 2, 6]
