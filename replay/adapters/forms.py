"""The form in which a model wants its rows: a DataFrame, an Arrow table or a matrix of floats."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.frames import to_frame

Form = Callable[[pa.RecordBatch], Any]
FORMS = ("frame", "arrow", "numpy")
VALUE = "value:"
_ROWS = 1024


def form_of(name: str, *, nulls: str) -> Form:
    """Return the function that turns a block into the form of that name.

    Nulls reach a model only with `nulls` = "pass": as NaN in a frame (its integers and booleans are
    floats then, whatever rows share the block) and in a matrix, as nulls in an Arrow table.
    """
    assert name in FORMS, name
    if name == "arrow":
        return _table
    if name == "numpy":
        return matrix
    widen = nulls == "pass"
    return lambda block: to_frame(block, widen=widen)


def fill_nulls(block: pa.RecordBatch, nulls: str) -> pa.RecordBatch:
    """Return the block with the value that `nulls` names in place of each null, in the column's own type.

    A column whose type does not hold it (0.5 among whole numbers, any among instants) keeps its nulls.

    >>> fill_nulls(pa.record_batch({"a": [1, None]}), "value:-1").to_pydict()
    {'a': [1, -1]}
    """
    text = nulls.removeprefix(VALUE)
    for at, (field, column) in enumerate(zip(block.schema, block.columns, strict=True)):
        if column.null_count:
            is_text = pa.types.is_string(field.type) or pa.types.is_dictionary(field.type)
            plain = column.cast(pa.string()) if is_text else column
            try:
                value = pa.scalar(text if is_text else float(text)).cast(plain.type)
            except pa.ArrowException:
                continue
            block = block.set_column(at, field.name, plain.fill_null(value))
    return block


def _table(block: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([block])


def matrix(block: pa.RecordBatch, kind: type[np.generic] = np.float64) -> npt.NDArray[Any]:
    """Return the columns side by side as numbers of a kind, row by row in memory; a null is NaN.

    Raises:
        TypeError: a column is no number.
        ValueError: a value is none of a kind that holds whole numbers alone: see `numbers_of`.

    >>> matrix(pa.record_batch({"a": [1, None], "b": [True, False]})).tolist()
    [[1.0, 1.0], [nan, 0.0]]
    """
    plain = set(block.schema.types) == {pa.float64()}
    if plain and kind is np.float64:
        return np.asarray(block.to_tensor(null_to_nan=True, row_major=True).to_numpy())
    values = np.empty((block.num_rows, block.num_columns), kind)
    # So many rows at a time: what is turned from columns into rows stays in the cache.
    for at in range(0, block.num_rows, _ROWS):
        rows = block.slice(at, _ROWS)
        if plain and issubclass(kind, np.floating):
            values[at : at + _ROWS] = rows.to_tensor(null_to_nan=True, row_major=True).to_numpy()
            continue
        for place, (name, column) in enumerate(zip(rows.schema.names, rows.columns, strict=True)):
            values[at : at + _ROWS, place] = numbers_of(name, column, kind)
    return values


def numbers_of(name: str, column: pa.Array, kind: type[np.generic]) -> npt.NDArray[Any]:
    """Return one column as numbers of a kind: whole ones to the last digit, floats as near as the kind holds.

    Raises:
        TypeError: it is no number.
        ValueError: a whole number or a truth is asked for, and a value is null, NaN, a fraction, or beyond
            what the kind holds.

    >>> numbers_of("a", pa.array([2**53 + 1]), np.int64).tolist()
    [9007199254740993]
    """
    if issubclass(kind, np.floating):
        return numbers(name, column)
    if column.null_count:
        raise ValueError(f"input {name} is null, and {kind.__name__} holds no null")
    if not (pa.types.is_boolean(column.type) or pa.types.is_integer(column.type)):
        column = pa.array(numbers(name, column))
    wanted = pa.from_numpy_dtype(np.int8 if kind is np.bool_ else kind)
    try:
        values = np.asarray(column.cast(wanted).to_numpy(zero_copy_only=False))
    except pa.ArrowInvalid as error:
        raise ValueError(f"input {name} is no number that {kind.__name__} holds") from error
    if kind is np.bool_ and not np.isin(values, (0, 1)).all():
        raise ValueError(f"input {name} is neither 0 nor 1, the model takes truths")
    return values.astype(kind, copy=False)


def numbers(name: str, column: pa.Array) -> npt.NDArray[np.float64]:
    """Return one column as float64, a null as NaN.

    Raises:
        TypeError: it is no number.
    """
    kind = column.type
    if pa.types.is_float64(kind):
        return np.asarray(column.to_numpy(zero_copy_only=False))
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise TypeError(f"input {name} is {kind}, the model takes numbers")
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False), dtype=np.float64)
