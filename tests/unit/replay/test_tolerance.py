import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replay.errors import ToleranceUnknown
from replay.tolerance import Tolerance

floats = st.floats(allow_nan=True, allow_infinity=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "near",
        "exact:1",
        "absolute",
        "ulp:-1",
        "rank:nan",
        "relative:1e999",
        "ulp:e",
        "ulp:1.5",
        "rank:10",
    ],
)
def test_what_is_no_tolerance_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(ToleranceUnknown, match="Expected exact, decision, or absolute:X"):
        Tolerance.parse(text)


@pytest.mark.parametrize(
    "text", ["exact", "decision", "absolute:0.5", "relative:1e-09", "ulp:4", "ulp:12345678", "rank:0.01"]
)
def test_a_tolerance_is_written_as_it_is_read(text: str) -> None:
    assert str(Tolerance.parse(text)) == text


@given(
    st.lists(floats, min_size=1), st.sampled_from(["exact", "absolute:0", "relative:0", "ulp:0", "rank:0"])
)
def test_a_score_is_itself_under_every_tolerance(scores: list[float], text: str) -> None:
    a = np.array(scores)
    assert Tolerance.parse(text).within(a, a.copy()).all()


@given(floats, floats, st.sampled_from(["exact", "absolute:1", "relative:0.1", "ulp:3", "decision"]))
def test_order_of_the_sides_does_not_matter(a: float, b: float, text: str) -> None:
    one, other = np.array([a]), np.array([b])
    tolerance = Tolerance.parse(text)
    assert tolerance.within(one, other).tolist() == tolerance.within(other, one).tolist()


@given(st.floats(allow_nan=False, allow_infinity=False), st.integers(0, 5))
def test_ulp_counts_the_doubles_between(score: float, steps: int) -> None:
    other = score
    for _ in range(steps):
        other = math.nextafter(other, math.inf)
    if math.isinf(other):
        return
    a, b = np.array([score]), np.array([other])
    assert Tolerance("ulp", steps).within(a, b).all()
    # Both zeros are one number.
    if steps and not (score < 0 <= other) and score != 0:
        assert not Tolerance("ulp", steps - 1).within(a, b).any()


def test_a_score_that_is_no_number_equals_nothing_but_its_like() -> None:
    a, b = np.array([np.nan, np.nan, np.inf]), np.array([1.0, np.nan, 1e308])
    for text in ("absolute:1e308", "relative:1", "ulp:1e18", "decision"):
        assert Tolerance.parse(text).within(a, b).tolist() == [False, True, False]


def test_rank_looks_at_the_order_alone() -> None:
    a = np.array([0.1, 0.2, 0.3, 0.4])
    assert Tolerance("rank", 0.0).within(a, a**3).all()
    assert Tolerance("rank", 0.25).within(a, np.array([0.2, 0.1, 0.3, 0.4])).all()
    assert Tolerance("rank", 0.2).within(a, np.array([0.2, 0.1, 0.3, 0.4])).tolist() == [
        False,
        False,
        True,
        True,
    ]


def test_rank_gives_no_place_to_a_row_without_a_score_on_one_side() -> None:
    a = np.array([np.nan, 0.1, 0.2, 0.3, np.nan])
    b = np.array([9.0, 1.0, 2.0, 3.0, 0.0])
    assert Tolerance("rank", 0.0).within(a, b).tolist() == [False, True, True, True, False]
