"""Arrow columns as pandas columns, the same way in training sets and in scoring."""

from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    import pandas as pd


def to_frame(columns: pa.Table | pa.RecordBatch, *, widen: bool | None = None) -> "pd.DataFrame":
    """Return `columns` as a DataFrame with a fresh range index.

    int64 and bool become float64 where a null must fit: with `widen` always, without it never, and
    with None in the columns that hold one. In scoring `widen` is fixed per model, so that a column's
    type never depends on which rows share its block. Strings are pandas' default string type,
    timestamps datetime64[us, UTC], bytes and lists objects; a null is NaN, NaT or None.

    >>> to_frame(pa.table({"n": pa.array([1, None])})).n.tolist()
    [1.0, nan]
    """
    import pandas as pd  # a second that who hands over no frame need not wait

    kinds = set(columns.schema.types)
    if kinds == {pa.float64()} and isinstance(columns, pa.RecordBatch):
        values = columns.to_tensor(null_to_nan=True).to_numpy()
        return pd.DataFrame(values, columns=columns.schema.names, copy=False)
    arrays = {name: _values(columns.column(name), widen) for name in columns.schema.names}
    return pd.DataFrame(arrays, copy=False)


def _values(column: pa.Array | pa.ChunkedArray, widen: bool | None) -> Any:
    kind = column.type
    if pa.types.is_dictionary(kind):
        column, kind = column.cast(kind.value_type), kind.value_type
    if pa.types.is_float64(kind):
        return column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()
    if pa.types.is_int64(kind) or pa.types.is_boolean(kind):
        if widen or (widen is None and column.null_count):
            column = column.cast(pa.int8()) if pa.types.is_boolean(kind) else column
            return _values(column.cast(pa.float64(), safe=False), widen)
        return column.to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else column.to_numpy()
    return column.to_pandas()
