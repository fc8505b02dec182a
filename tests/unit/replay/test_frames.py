from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from replay.frames import to_frame


def test_every_field_type_has_its_column():
    at = datetime(2013, 1, 1, tzinfo=UTC)
    table = pa.table(
        {
            "f": pa.array([0.5, None]),
            "i": pa.array([2**53 + 1, 2]),
            "b": pa.array([True, False]),
            "s": pa.array(["a", None]),
            "c": pa.array(["a", "b"]).dictionary_encode(),
            "t": pa.array([at, None], pa.timestamp("us", tz="UTC")),
            "x": pa.array([b"a", None]),
            "l": pa.array([[1.0], None], pa.list_(pa.float64())),
        }
    )
    frame = to_frame(table)
    assert [str(frame[n].dtype) for n in "fib"] == ["float64", "int64", "bool"]
    assert frame.i[0] == 2**53 + 1
    assert frame.s.isna().tolist() == [False, True]
    assert frame.c.tolist() == ["a", "b"]
    assert str(frame.t.dtype) == "datetime64[us, UTC]"
    assert frame.x[0] == b"a"
    assert frame.l[0].tolist() == [1.0]


def test_whole_numbers_widen_where_a_null_must_fit():
    table = pa.table({"i": pa.array([1, None]), "b": pa.array([True, None]), "n": pa.array([1, 2])})
    frame = to_frame(table)
    assert [str(kind) for kind in frame.dtypes] == ["float64", "float64", "int64"]
    assert np.isnan(frame.b[1])
    assert [str(kind) for kind in to_frame(table, widen=True).dtypes] == ["float64"] * 3


def test_no_rows_keep_their_types():
    frame = to_frame(pa.table({"f": pa.array([], pa.float64()), "s": pa.array([], pa.string())}))
    assert len(frame) == 0
    assert frame.f.dtype == np.float64
    assert list(frame) == ["f", "s"]
    assert isinstance(to_frame(pa.table({})), pd.DataFrame)


@pytest.mark.parametrize("columns", [{"a": [1.0], "b": [2.0]}, {"a": [1.0], "b": ["x"]}])
def test_blocks_of_the_same_columns_share_what_pandas_knows_of_their_names_and_nothing_else(columns):
    block = pa.record_batch(columns)
    first, second = to_frame(block), to_frame(block)
    assert first.columns.is_(second.columns)
    assert first.columns.dtype == pd.DataFrame(columns).columns.dtype
    first.columns.name = "mine"
    first["new"] = 0
    assert second.columns.name is None
    assert list(second) == list(to_frame(block)) == ["a", "b"]
    assert to_frame(block).columns.name is None
