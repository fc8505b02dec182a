"""Laws of the as-of join: no cell differs from DuckDB, Polars and pandas, whatever ties, nulls and zones."""

from datetime import UTC, datetime, timedelta, timezone

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.as_of_join import gathered, newest_rows
from replay.errors import EntitiesUnusable

T0 = datetime(2024, 3, 10, 6, tzinfo=UTC)  # New York loses an hour at 07:00 of this day
INSTANT = pa.timestamp("us", tz="UTC")
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=-5)), timezone(timedelta(hours=5, minutes=45))])
keys = st.sampled_from(["a", "b", "é", "", "only asked"])
minutes = st.integers(0, 8)
values = st.sampled_from([1.0, -0.0, float("nan"), None, 2.5])
histories = st.lists(st.tuples(st.sampled_from(["a", "b", "é", ""]), minutes, values), max_size=30)
asked = st.lists(st.tuples(st.one_of(keys, st.none()), minutes, ZONES), max_size=20)


def at(minute, zone=UTC):
    return (T0 + timedelta(minutes=15 * minute)).astimezone(zone)


def tables(history, entities):
    known = pa.table(
        {
            "k": pa.array([key for key, _, _ in history], pa.string()),
            "t": pa.array([at(minute) for _, minute, _ in history], INSTANT),
            "x": pa.array([value for _, _, value in history], pa.float64()),
        }
    )
    rows = pa.table(
        {
            "row": pa.array(range(len(entities)), pa.int64()),
            "k": pa.array([key for key, _, _ in entities], pa.string()),
            "at": pa.array([at(minute, zone) for _, minute, zone in entities], INSTANT),
        }
    )
    return known, rows


def cells(values):
    """None for null and no match alike, NaN by name: what each engine means by its own marks."""
    return [None if value is None else repr(float(value)) for value in values]


def ours(known, rows):
    found = newest_rows(rows, known, key="k", entity_time="at", history_time="t")
    pieces = known.to_batches(max_chunksize=2)
    return cells(gathered(pieces, found, ["x"], known.select(["x"]).slice(0, 0))["x"].to_pylist())


def latest_of_ties(known):
    """The last row of each key and instant: the other engines choose any of them."""
    numbered = known.append_column("n", pa.array(range(known.num_rows), pa.int64()))
    kept = numbered.group_by(["k", "t"]).aggregate([("n", "max")])["n_max"]
    return known.take(kept.combine_chunks().sort())


def by_duckdb(known, rows):
    with duckdb.connect() as connection:
        connection.register("known", latest_of_ties(known))
        connection.register("rows", rows)
        query = """
            select x from rows asof left join known on rows.k = known.k and rows."at" >= known.t
            order by "row"
        """
        return cells(connection.sql(query).to_arrow_table()["x"].to_pylist())


def by_polars(known, rows):
    left = pl.from_arrow(rows).sort("at", maintain_order=True)
    right = pl.from_arrow(latest_of_ties(known)).sort("t")
    joined = left.join_asof(right, left_on="at", right_on="t", by="k", check_sortedness=False)
    # Polars matches a null key with nothing only from some versions on; a null is no key.
    found = joined.with_columns(pl.when(pl.col("k").is_null()).then(None).otherwise(pl.col("x")).alias("x"))
    return cells(found.sort("row")["x"].to_list())


def by_pandas(known, rows):
    """As the others, for values without null or NaN: pandas knows no difference."""
    left = rows.filter(rows["k"].is_valid()).to_pandas().sort_values("at", kind="stable")
    right = latest_of_ties(known).to_pandas().sort_values("t", kind="stable")
    joined = pd.merge_asof(left, right, left_on="at", right_on="t", by="k")
    found = dict(zip(joined["row"], joined["x"], strict=True))
    return [None if pd.isna(found.get(n)) else repr(float(found[n])) for n in range(rows.num_rows)]


@settings(max_examples=150)
@given(histories, asked)
def test_no_cell_differs_from_three_engines(history, entities):
    known, rows = tables(history, entities)
    found = ours(known, rows)
    assert found == by_duckdb(known, rows)
    assert found == by_polars(known, rows)


@settings(max_examples=100)
@given(histories, asked)
def test_it_is_what_one_finds_by_looking(history, entities):
    known, rows = tables(history, entities)
    expected = []
    for key, minute, _zone in entities:
        fitting = [(m, n) for n, (k, m, _) in enumerate(history) if k == key and m <= minute]
        expected.append(history[max(fitting)[1]][2] if fitting else None)
    assert ours(known, rows) == cells(expected)


@settings(max_examples=60)
@given(st.lists(st.tuples(keys, minutes, st.sampled_from([1.0, 2.5, 3.0])), min_size=1, max_size=30), asked)
def test_no_cell_differs_from_pandas(history, entities):
    known, rows = tables(history, entities)
    if not rows["k"].drop_null().length():
        return
    assert ours(known, rows) == by_pandas(known, rows)


@pytest.mark.parametrize(("drop", "said"), [("k", "lacks k"), ("at", "lacks at")])
def test_a_table_without_key_or_time_is_refused(drop, said):
    known, rows = tables([("a", 1, 1.0)], [("a", 1, UTC)])
    with pytest.raises(EntitiesUnusable, match=said):
        newest_rows(rows.drop_columns([drop]), known, key="k", entity_time="at", history_time="t")
