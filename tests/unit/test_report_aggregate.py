"""Bins, matrices, curves: nothing lost, nothing counted twice, and the edges."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.report import aggregate
from harness.report.charts.hexbin import RADIUS, SIDE
from tests.support.report_figures import scores

SHARES = st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1, max_size=300)


@given(SHARES)
def test_every_decision_is_in_one_hexagon_and_near_its_centre(pairs: list[tuple[float, float]]) -> None:
    champion, challenger = np.array(pairs).T
    cells = aggregate.hexagons(champion, challenger, 0.0, 1.0)
    assert sum(count for _, _, count in cells) == len(pairs)
    assert len({(x, y) for x, y, _ in cells}) == len(cells)
    centres = np.array([(x, y) for x, y, _ in cells])
    for x, y in pairs:
        nearest = np.min(np.hypot(centres[:, 0] - x, centres[:, 1] - y)) * SIDE
        assert nearest <= RADIUS * 1.001


@given(SHARES)
def test_bands_hold_every_decision(pairs: list[tuple[float, float]]) -> None:
    champion, challenger = np.array(pairs).T
    made = aggregate.score_figure(champion, challenger, thresholds=(None, None), names=("a", "b"))
    assert sum(map(sum, made.bands)) == made.total == len(pairs)
    assert len(made.points) == len(pairs)


def test_scores_beyond_probabilities_get_quantiles_and_say_what_is_outside() -> None:
    values = np.arange(10_000, dtype=np.float64)
    low, high, outside = aggregate.score_domain(values, values)
    assert 0 < low < 20
    assert 9_980 < high < 9_999
    assert 0 < outside < 0.01


@given(st.lists(st.floats(-2, 2), max_size=300))
def test_the_histogram_is_symmetric_about_zero_and_holds_the_mass(gaps: list[float]) -> None:
    start, width, counts, inside = aggregate.histogram(np.array(gaps))
    assert len(counts) % 2 == 1
    assert start == pytest.approx(-(len(counts) / 2) * width)
    assert sum(counts) == pytest.approx(inside * len(gaps)) if gaps else sum(counts) == 0
    assert inside >= 0.99
    assert len(counts) <= 101


def test_equal_scores_fall_into_the_middle_bin() -> None:
    start, width, counts, inside = aggregate.histogram(np.zeros(50))
    assert counts[len(counts) // 2] == sum(counts) == 50
    assert (start, width, inside) != (0, 0, 0)


def test_rebinned_counts_keep_what_lies_outside_in_the_last_bins() -> None:
    assert aggregate.rebin(np.array([-9.0, 0.05, 9.0]), 0.0, 0.1, 3) == (2, 0, 1)


@pytest.mark.parametrize(("positives", "bins"), [(0, 0), (49, 0), (100, 2), (149, 2), (499, 9), (4_000, 10)])
def test_bins_of_calibration_follow_the_positives(positives: int, bins: int) -> None:
    label = np.zeros(5_000)
    label[:positives] = 1.0
    scored = np.linspace(0, 1, 5_000)
    made = aggregate.calibration_figure(scored, scored, label, words="late")
    assert len(made.champion) == bins
    assert sum(b.count for b in made.champion) == (5_000 if bins else 0)


def test_calibration_bins_are_ordered_and_inside_their_intervals() -> None:
    champion, _, label = scores(2_000)
    made = aggregate.calibration_bins(champion, label, 10)
    assert [b.predicted for b in made] == sorted(b.predicted for b in made)
    assert all(b.low <= b.observed <= b.high for b in made)
    assert max(b.count for b in made) - min(b.count for b in made) <= 1


def test_wilson_is_that_of_the_textbook() -> None:
    low, high = aggregate.wilson(81, 263)
    assert (low, high) == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))
    assert aggregate.wilson(0, 0) == (0.0, 1.0)


def test_flips_put_the_positive_decision_first_and_count_known_outcomes() -> None:
    made = aggregate.flip_figure(
        np.array(["no", "yes", "no", "no"]),
        np.array(["yes", "yes", "no", "yes"]),
        np.array([1.0, 0.0, np.nan, np.nan]),
        words="late",
        positive_decision="yes",
        threshold=0.5,
    )
    assert made.decisions == ("yes", "no")
    assert made.cells[1][0].scored == 2
    assert (made.cells[1][0].used, made.cells[1][0].positive) == (1, 1)
    assert made.cells[1][1].share_positive is None
    assert (made.scored, made.flipped) == (4, 2)


@given(st.lists(st.floats(0, 48), max_size=200), st.integers(0, 50))
def test_the_curve_of_maturity_never_falls_and_ends_at_what_arrived(ages: list[float], missing: int) -> None:
    mature = len(ages) + missing
    made = aggregate.maturity_figure(np.array(ages), mature=mature, window_hours=24.0, label="late")
    shares = [share for _, share in made.curve]
    assert shares == sorted(shares)
    in_time = sum(age <= 24.0 for age in ages)
    if in_time:
        assert shares[-1] == pytest.approx(in_time / mature)
        assert made.never == pytest.approx(1 - in_time / mature)
    else:
        assert made.curve == ()
    if made.half_hours is not None:
        assert sum(age <= made.half_hours for age in ages) >= mature / 2


def test_the_last_quantile_needs_ten_thousand_times() -> None:
    few, many = np.ones(9_999), np.ones(10_000)
    assert [row.name for row in aggregate.latency_rows(few, few)] == ["p50", "p90", "p99"]
    assert [row.name for row in aggregate.latency_rows(many, few)][-1] == "p99.9"
    assert aggregate.latency_rows(many, np.array([]))[0].challenger is None
