"""The slices of a comparison: which part or value a row is in, however the rows come."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from replay.slice_counts import CUT_BY, MISSING, OTHER, VALUES_MAX, Slices, part_names


def counted(batches) -> dict[str, dict[str, tuple[int, int]]]:
    slices = Slices()
    for batch in batches:
        slices.update(batch, np.asarray(batch.column("differs")))
    slices.finish()
    return {name: own for name, own in slices.counts.items() if name != "differs"}


def rows(count: int) -> pa.RecordBatch:
    numbers = np.arange(count)
    return pa.RecordBatch.from_pydict(
        {
            "f.amount": pa.array(np.where(numbers % 7 == 0, np.nan, (numbers * 37) % 1_009).astype(float)),
            "f.who": pa.array([f"u{n % 80}" for n in numbers]).dictionary_encode(),
            "f.ok": pa.array([None if n % 5 == 0 else bool(n % 2) for n in numbers]),
            "differs": pa.array(numbers % 3 == 0),
        }
    )


@pytest.mark.parametrize("count", [2_000, CUT_BY + 30_000])
def test_where_batches_end_changes_nothing(count):
    whole = rows(count)
    cuts = [0, 1, 2, 1_000, *range(1_500, count, 7_001), count]
    parts = [whole.slice(at, after - at) for at, after in pairwise(cuts)]
    assert counted(parts) == counted([whole])
    found = counted([whole])
    assert len(found["amount"]) == 11
    assert all(sum(n for n, _ in own.values()) == count for own in found.values())
    assert len(found["who"]) == VALUES_MAX + 1
    assert found["who"][OTHER][0] > 0
    assert found["ok"][MISSING] == (-(-count // 5), -(-count // 15))


def test_large_integers_are_cut_as_near_as_doubles_tell():
    numbers = [2**62 + 1, 2**62 + 2**40, -(2**63), None, 5]
    batch = pa.RecordBatch.from_pydict(
        {"f.hash": pa.array(numbers, pa.int64()), "differs": pa.array([True] * 5)}
    )
    own = counted([batch])["hash"]
    assert sum(n for n, _ in own.values()) == 5
    assert own[MISSING] == (1, 1)


def test_parts_of_numbers_far_from_zero_have_names_of_their_own():
    account = 1_700_000_000 + np.arange(1_000)
    batch = pa.RecordBatch.from_pydict({"f.account": account, "differs": pa.array(account % 2 == 0)})
    own = counted([batch])["account"]
    assert len(own) == 10
    assert all(n == 100 for n, _ in own.values())


def test_edges_that_differ_in_their_last_bit_are_told_apart():
    low = 0.1
    assert part_names(np.array([low, np.nextafter(low, 1.0)]))[1] == (
        "[0.10000000000000001, 0.10000000000000002)"
    )
    assert part_names(np.array([])) == ["(no part)"]


def test_numbers_without_any_that_is_finite_have_one_part():
    values = pa.array([float("inf"), None, float("nan")])
    batch = pa.RecordBatch.from_pydict({"f.x": values, "differs": pa.array([True, False, False])})
    assert counted([batch])["x"] == {"(no part)": (1, 1), MISSING: (2, 0)}
