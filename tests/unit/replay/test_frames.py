from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pyarrow as pa

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
