from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from replay.errors import SplitUnusable
from replay.splits import Split, edges, parted

T0 = datetime(2024, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
AT = int(T0.timestamp()) * 1_000_000 + np.arange(48, dtype=np.int64) * 3_600_000_000
NONE = pa.chunked_array([pa.nulls(48, pa.string())])
IDS = pa.chunked_array([[f"d{i}" for i in range(48)]])


def test_a_gap_before_the_test_takes_rows_out():
    found = parted(Split(by="time", test_from=T0 + 24 * HOUR, gap=4 * HOUR), AT, NONE, IDS)
    assert np.flatnonzero(~found.stays).tolist() == [20, 21, 22, 23]
    assert np.flatnonzero(found.test).tolist() == list(range(24, 48))


def test_a_unit_is_on_one_side_whole_and_the_seed_decides():
    units = pa.chunked_array([[f"u{i % 7}" for i in range(20)], [f"u{i % 7}" for i in range(20, 48)]])
    split = Split(by="unit", test=0.4, seed="a")
    found = parted(split, AT, units, IDS)
    sides = {}
    for unit, test in zip(units.to_pylist(), found.test, strict=True):
        sides.setdefault(unit, set()).add(bool(test))
    assert all(len(side) == 1 for side in sides.values())
    other = parted(Split(by="unit", test=0.4, seed="b"), AT, units, IDS)
    assert (other.test != found.test).any()
    assert parted(split, AT, units, IDS).test.tolist() == found.test.tolist()


def test_the_share_of_units_is_the_one_asked_for():
    many = pa.chunked_array([[f"user-{i}" for i in range(20_000)]])
    found = parted(Split(by="unit", test=0.2), np.zeros(20_000, dtype=np.int64), many, many)
    assert abs(found.test.mean() - 0.2) < 4 * (0.2 * 0.8 / 20_000) ** 0.5


def test_rows_without_a_unit_are_told_apart_by_their_id():
    found = parted(Split(by="unit_folds", folds=5), AT, NONE, IDS)
    assert set(found.fold.tolist()) == {1, 2, 3, 4, 5}


def test_rolling_folds_test_one_stretch_after_the_other():
    split = Split(by="rolling", test_from=T0 + 12 * HOUR, every=10 * HOUR, folds=3, gap=2 * HOUR)
    found = parted(split, AT, NONE, IDS)
    assert found.fold.tolist()[:42] == [0] * 12 + [1] * 10 + [2] * 10 + [3] * 10
    assert np.flatnonzero(~found.stays).tolist() == list(range(42, 48))
    assert edges(split)[1] == {
        "train_until": T0 + 20 * HOUR,
        "test_from": T0 + 22 * HOUR,
        "test_until": T0 + 32 * HOUR,
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"by": "time"}, "test_from None"),
        ({"by": "time", "test_from": datetime(2024, 1, 1)}, "test_from 2024"),  # noqa: DTZ001
        ({"by": "unit"}, "test None"),
        ({"by": "unit", "test": 1.0}, "test 1.0"),
        ({"by": "unit_folds", "folds": 1}, "folds 1"),
        ({"by": "rolling", "test_from": T0, "folds": 3}, "every None"),
        ({"by": "time", "test_from": T0, "gap": -HOUR}, "gap -1 day"),
    ],
)
def test_a_split_that_lacks_something_says_what(words, said):
    with pytest.raises(SplitUnusable, match=said) as caught:
        Split(**words)
    assert caught.value.exit_code == 2
