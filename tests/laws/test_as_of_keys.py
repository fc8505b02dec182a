"""Keys of all types in the as-of join: no cell differs from DuckDB and pandas, or they are refused."""

import math
from decimal import Decimal

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.as_of_join import newest_rows
from replay.errors import EntitiesUnusable

INSTANT = pa.timestamp("us", tz="UTC")
FLOATS = [0.0, -0.0, math.nan, 1.5, 3.0, -3.0, 1e16, 1e16 + 2, 2.0**53, 5e-324, math.inf, -math.inf, 1e300]
WHOLE = [0, 3, -3, 10**15, 2**53 - 1]
floats = st.one_of(st.sampled_from(FLOATS), st.floats(width=64))
exact = st.one_of(st.sampled_from(WHOLE), st.integers(-(2**53) + 1, 2**53 - 1))


def ours(asked, known):
    return newest_rows(*tables(asked, known), key="k", entity_time="at", history_time="t").tolist()


def tables(asked, known):
    """Every known row is there at its own instant, every asked one asks at the end."""
    end = pa.array([len(known)] * len(asked), INSTANT)
    rows = pa.table({"row": pa.array(range(len(asked)), pa.int64()), "k": asked, "at": end})
    history = {"k": known, "t": pa.array(range(len(known)), INSTANT)}
    return rows, pa.table({**history, "n": pa.array(range(len(known)), pa.int64())})


def by_duckdb(asked, known):
    rows, history = tables(asked, known)
    with duckdb.connect() as connection:
        connection.register("rows", rows)
        connection.register("history", history)
        query = """
            select n from rows asof left join history on rows.k = history.k and rows."at" >= history.t
            order by "row"
        """
        return [-1 if n is None else n for n in connection.sql(query).to_arrow_table()["n"].to_pylist()]


def by_pandas(asked, known):
    rows, history = (table.to_pandas() for table in tables(asked, known))
    joined = pd.merge_asof(rows, history, left_on="at", right_on="t", by="k")
    return joined["n"].fillna(-1).astype(int).tolist()


@settings(max_examples=100)
@given(st.lists(floats, min_size=1, max_size=12), st.lists(floats, min_size=1, max_size=12))
def test_floats_are_equal_as_numbers_are(asked, known):
    asked, known = (pa.array(values, pa.float64()) for values in (asked, known))
    found = ours(asked, known)
    assert found == by_duckdb(asked, known) == by_pandas(asked, known)
    assert ours(asked.cast(pa.float32(), safe=False), known) == by_duckdb(
        asked.cast(pa.float32(), safe=False), known
    )


@settings(max_examples=100)
@given(
    st.lists(st.one_of(exact.map(float), st.sampled_from([2.5, math.nan, None])), min_size=1, max_size=12),
    st.lists(st.one_of(exact, st.sampled_from([2**53 + 1, 2**63 - 1])), min_size=1, max_size=12),
)
def test_whole_numbers_asked_as_floats_are_found(asked, known):
    asked, known = pa.array(asked, pa.float64()), pa.array(known, pa.int64())
    assert ours(asked, known) == by_duckdb(asked, known)


@settings(max_examples=100)
@given(st.lists(exact, min_size=1, max_size=12), st.lists(floats, min_size=1, max_size=12))
def test_floats_asked_as_whole_numbers_are_found(asked, known):
    asked, known = pa.array(asked, pa.int64()), pa.array(known, pa.float64())
    assert ours(asked, known) == by_duckdb(asked, known)


@pytest.mark.parametrize(
    ("asked", "known", "found"),
    [
        (pa.array([3.0, None]), ["3", "3.0"], [0, -1]),
        (pa.array([3, 10**17]), ["3", "100000000000000000"], [0, 1]),
        (pa.array(["a"]).dictionary_encode(), ["a"], [0]),
        (pa.array(["3", "03"]), [3], [0, 0]),
        (pa.array([Decimal("3.00")]), [3], [0]),
        (pa.array([5], pa.timestamp("ms", "America/New_York")), pa.array([5_000], INSTANT), [0]),
        (pa.array([b"\xff"]), pa.array([b"\xff"]), [0]),
        (pa.array([True]), pa.array([True]), [0]),
        (pa.nulls(1), ["a"], [-1]),
    ],
)
def test_what_is_one_key_in_two_types_is_found(asked, known, found):
    assert ours(asked, known if isinstance(known, pa.Array) else pa.array(known)) == found


@pytest.mark.parametrize(
    ("asked", "known", "said"),
    [
        (pa.array([1e16]), [10**16], r"holds 1e\+16 as a float, which stands for several whole numbers"),
        (pa.array([1e16]), ["10000000000000000"], "several whole numbers"),
        (pa.array([2.5]), ["2.5"], "numbers that are not whole. Expected text"),
        (pa.array([2**53 + 1]), [1.5], "9007199254740993 not in range"),
        (pa.array(["x"]), [3], "Failed to parse string: 'x'"),
        (pa.array([2**63], pa.uint64()), [3], "not in range"),
        (pa.array([1]), pa.array([True]), "is of type int64. Expected bool, as it was recorded"),
        (pa.array([[1.0]]), ["a"], "is of type list"),
        (pa.array(["a"]), pa.array([[1.0]]), "was recorded as list"),
        (pa.array([5], pa.timestamp("us")), pa.array([5], INSTANT), r"is of type timestamp\[us\]"),
    ],
)
def test_what_cannot_be_told_is_refused(asked, known, said):
    with pytest.raises(EntitiesUnusable, match=said) as caught:
        ours(asked, known if isinstance(known, pa.Array) else pa.array(known))
    assert caught.value.exit_code == 2


def test_many_keys_are_found_without_looking_at_each():
    keys = np.arange(50_000)
    assert ours(pa.array(keys.astype(np.float64)), pa.array(keys[::-1])) == keys[::-1].tolist()
