"""Arrow columns as pandas columns, the same way in training sets and in scoring."""

import functools
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

    kinds, names = set(columns.schema.types), _names(tuple(columns.schema.names))
    if kinds == {pa.float64()} and isinstance(columns, pa.RecordBatch):
        values = columns.to_tensor(null_to_nan=True).to_numpy()
        return pd.DataFrame(values, columns=names, copy=False)
    arrays = {name: _values(columns.column(name), widen) for name in columns.schema.names}
    frame = pd.DataFrame(arrays, copy=False)
    frame.columns = names
    return frame


def _names(names: tuple[str, ...]) -> Any:
    """Return the names as an index of its own that shares what pandas knows of them, block after block.

    Whether they are unique, and where each is, costs a small model more than its call.
    """
    return _index(names).view()


@functools.lru_cache(maxsize=64)
def _index(names: tuple[str, ...]) -> Any:
    import pandas as pd  # as above

    return pd.DataFrame(dict.fromkeys(names, ())).columns


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
