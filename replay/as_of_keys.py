"""Keys of an as-of join in one type: equal where numbers are equal, refused where that cannot be told."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import types

from replay.errors import EntitiesUnusable

TEXT, NUMBER, TRUTH, INSTANT, BYTES = "text", "number", "bool", "timestamp with a zone", "bytes"
# From here on neighbouring whole numbers may be one double.
EXACT = 2**53


def comparable(
    asked: pa.ChunkedArray, known: pa.ChunkedArray, name: str
) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Return both columns of the key `name` in one type, in which equal keys are equal values.

    The type is that of `known`. Numbers are equal as numbers are: 3.0 is 3, -0.0 is 0.0, NaN is NaN. What is
    no whole number is no key among whole ones: null. Text is equal letter by letter; what is asked as text
    of another type is read as that.

    Raises:
        EntitiesUnusable: the asked keys cannot be had in that type without loss, or are no keys.

    >>> asked, known = pa.chunked_array([[3.0, 2.5]]), pa.chunked_array([[3]])
    >>> comparable(asked, known, "k")[0].to_pylist()
    [3, None]
    """
    asked, known = (_plain(column, name) for column in (asked, known))
    was, kind = (_family(column.type) for column in (asked, known))
    if kind is None:
        raise _refused(name, f"was recorded as {known.type}", "a field with one value in each row")
    if kind == TEXT:
        return _as_text(asked, was, name), known.cast(pa.large_string())
    if was not in {kind, TEXT}:
        raise _refused(name, f"is of type {asked.type}", f"{known.type}, as it was recorded")
    if types.is_floating(known.type):
        return _doubles(asked, name), _doubles(known, name)
    if types.is_integer(known.type) and types.is_floating(asked.type):
        return _whole(asked, name), _cast(known, pa.int64(), name)
    return _cast(asked, known.type, name), known


def _as_text(asked: pa.ChunkedArray, was: str | None, name: str) -> pa.ChunkedArray:
    """Return what was asked as text. Only a whole number has one text."""
    if was == NUMBER and not types.is_integer(asked.type):
        whole = _whole(asked, name)
        if whole.null_count > asked.null_count:
            raise _refused(name, "has numbers that are not whole", "text, as it was recorded")
        asked = whole
    if was not in {TEXT, NUMBER, TRUTH}:
        raise _refused(name, f"is of type {asked.type}", "text, as it was recorded")
    return asked.cast(pa.large_string())


def _doubles(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return doubles of one zero and one NaN: Arrow tells them apart by their bits."""
    values = pc.add(_cast(column, pa.float64(), name), 0.0)
    return pc.if_else(pc.is_nan(values), np.nan, values)


def _whole(asked: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return the whole numbers among floats, null for all others."""
    values = asked.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy()
    if (far := np.isfinite(values) & (np.abs(values) >= EXACT)).any():
        raise _refused(
            name,
            f"holds {float(values[far][0])!r} as a float, which stands for several whole numbers",
            "whole numbers in a column of that type, or below 2^53",
        )
    whole = np.isfinite(values) & (values == np.trunc(values))
    return pa.chunked_array([pa.array(np.where(whole, values, 0.0).astype(np.int64), mask=~whole)])


def _plain(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return the column without its dictionary."""
    if types.is_dictionary(column.type):
        return _cast(column, column.type.value_type, name)
    return column


def _cast(column: pa.ChunkedArray, kind: pa.DataType, name: str) -> pa.ChunkedArray:
    try:
        return column.cast(kind)
    except pa.ArrowException as error:
        raise _refused(name, f"is of type {column.type}: {error}", f"{kind}, as it was recorded") from error


def _family(kind: pa.DataType) -> str | None:
    """Return what a type is for comparisons; None for what is no key."""
    if (
        types.is_string(kind)
        or types.is_large_string(kind)
        or types.is_string_view(kind)
        or types.is_null(kind)
    ):
        return TEXT
    if types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind):
        return NUMBER
    if types.is_boolean(kind):
        return TRUTH
    if types.is_timestamp(kind) and kind.tz is not None:
        return INSTANT
    return BYTES if types.is_binary(kind) or types.is_large_binary(kind) else None


def _refused(name: str, what: str, expected: str) -> EntitiesUnusable:
    return EntitiesUnusable(f"The key {name!r} {what}.", f"Expected {expected}.")
