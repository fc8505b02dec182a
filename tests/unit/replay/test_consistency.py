import numpy as np
import pyarrow as pa
import pytest

from replay.consistency import Tolerance, compare
from replay.errors import ToleranceUnneeded, ToleranceUnusable

NAN = float("nan")


def one(served, again, kind=None, special=None, tolerance="exact"):
    ids = [f"d{n}" for n in range(len(served))]
    left = pa.table({"decision_id": ids, "x": pa.array(served, kind or pa.float64())})
    right = pa.table({"x": pa.array(again, kind or pa.float64())})
    flags = {} if special is None else {"x": np.array(special)}
    return compare(left, right, flags, {"x": Tolerance.parse(tolerance)})[0]


def test_each_way_to_differ_is_counted_apart():
    found = one(
        [1.0, 2.0, None, 4.0, None, NAN, 7.0],
        [1.0, 2.5, 3.0, None, None, NAN, 0.0],
        special=[False] * 6 + [True],
    )
    assert (found.rows, found.special) == (6, 1)
    assert (found.mismatch, found.missing, found.extra) == (1, 1, 1)
    assert found.smape == pytest.approx(0.5 / 4.5 / 3)
    assert not found.agrees
    assert [row["decision_id"] for row in found.worst][:2] == ["d2", "d3"]


def test_worst_rows_come_first():
    found = one([1.0, 1.0, 1.0], [1.1, 9.0, 2.0])
    assert [row["recomputed"] for row in found.worst] == [9.0, 2.0, 1.1]


@pytest.mark.parametrize(
    ("tolerance", "again", "agrees"),
    [
        ("exact", 1.0, True),
        ("exact", np.nextafter(1.0, 2.0), False),
        ("ulp:1", np.nextafter(1.0, 2.0), True),
        ("ulp:1", np.nextafter(np.nextafter(1.0, 2.0), 2.0), False),
        ("ulp:3", -1.0, False),
        ("abs:0.25", 1.25, True),
        ("abs:0.25", 1.26, False),
        ("rel:0.1", 1.1, True),
        ("rel:0.1", 1.2, False),
        ("abs:1", NAN, False),
        ("abs:1", float("inf"), False),
        ("rel:1", float("inf"), False),
    ],
)
def test_a_number_may_lie_as_far_as_its_tolerance_says(tolerance, again, agrees):
    assert one([1.0], [again], tolerance=tolerance).agrees is agrees


def test_both_zeros_are_no_ulp_apart_and_infinities_agree():
    assert one([0.0, float("inf")], [-0.0, float("inf")], tolerance="ulp:0").agrees
    assert one([5e-324], [-5e-324], tolerance="ulp:2").agrees
    assert not one([5e-324], [-5e-324], tolerance="ulp:1").agrees


def test_whole_numbers_are_compared_beyond_doubles_and_texts_letter_by_letter():
    assert not one([2**60], [2**60 + 1], pa.int64()).agrees
    assert one([2**60], [2**60 + 1], pa.int64(), tolerance="abs:1").agrees
    assert one(["é", None], ["é", None], pa.string()).agrees
    assert one(["a"], ["b"], pa.string()).smape is None
    assert one([[1.0, NAN]], [[1.0, NAN]], pa.list_(pa.float64())).agrees
    assert not one([[1.0]], [[1.0, 2.0]], pa.list_(pa.float64())).agrees


@pytest.mark.parametrize(
    ("tolerance", "agrees"),
    [("abs:49", False), ("abs:50", True), ("rel:0", False), ("rel:1e-16", True), ("ulp:4", False)],
)
def test_a_tolerance_of_whole_numbers_is_not_rounded_either(tolerance, agrees):
    assert one([2**60], [2**60 + 50], pa.int64(), tolerance=tolerance).agrees is agrees
    assert one([10, None], [7, None], pa.int64(), tolerance="rel:0.3").agrees


NONE_WITHOUT_LIMIT = ["exact:3", "exact:", "abs:", "abs", "ulp", "ulp:1.5", "rel:1_0", "abs: 1"]


@pytest.mark.parametrize(
    "text", ["", "near", "ulp:x", "abs:-1", "rel:nan", "abs:inf", "abs:1e999", *NONE_WITHOUT_LIMIT]
)
def test_a_tolerance_that_is_none_is_refused(text):
    with pytest.raises(ToleranceUnusable):
        Tolerance.parse(text)


@pytest.mark.parametrize(
    ("values", "kind"), [(["a"], pa.string()), ([True], pa.bool_()), ([[1.0]], pa.list_(pa.float64()))]
)
def test_a_tolerance_of_what_is_no_number_is_refused(values, kind):
    assert one(values, values, kind).agrees
    with pytest.raises(ToleranceUnneeded, match=f"'x', which is no number but {kind}"):
        one(values, values, kind, tolerance="abs:1")
