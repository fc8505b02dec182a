"""A matrix has the numbers of its columns one by one, whatever way it was put together."""

import numpy as np
import pyarrow as pa
import pytest

from replay.adapters.forms import matrix, numbers

FLOATS = pa.record_batch({"a": [1.5, None, float("nan")], "b": pa.array([0.1, -0.0, 1e300])})
LONG = pa.record_batch({"a": np.arange(2_500) / 7, "n": np.arange(2_500)})
MIXED = FLOATS.append_column("n", pa.array([2**53 + 1, None, -3])).append_column(
    "ok", pa.array([True, None, False])
)


@pytest.mark.parametrize("kind", [np.float64, np.float32])
@pytest.mark.parametrize(
    "block", [FLOATS, MIXED, FLOATS.slice(1), FLOATS.slice(3), FLOATS.select(["b"]), LONG, LONG.select(["a"])]
)
def test_it_has_the_bits_of_each_column(block: pa.RecordBatch, kind: type[np.floating]) -> None:
    with np.errstate(over="ignore"):
        found = matrix(block, kind)
        columns = [
            np.asarray(column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column)
            .astype(np.float64)
            .astype(kind)
            for column in block.columns
        ]
    assert found.flags.c_contiguous
    assert found.dtype == kind
    assert found.shape == (block.num_rows, block.num_columns)
    assert [found[:, at].tobytes() for at in range(len(columns))] == [each.tobytes() for each in columns]


def test_what_is_no_number_is_named() -> None:
    with pytest.raises(TypeError, match="input t is string"):
        matrix(pa.record_batch({"t": ["1"]}))
    with pytest.raises(TypeError, match="input t is string"):
        numbers("t", pa.array(["1"]))
