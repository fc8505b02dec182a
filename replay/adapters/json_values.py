"""Columns as JSON values: what a server or a program of another language reads, without a guess."""

import math
from typing import Any

import pyarrow as pa


def json_values(name: str, column: pa.Array) -> list[Any]:
    """Return the values of a column for JSON: a null is None, an instant is microseconds since 1970 UTC.

    Raises:
        ValueError: NaN or an infinity, which JSON does not have.
        TypeError: bytes, which JSON does not have either.

    >>> json_values("a", pa.array([1.5, None]))
    [1.5, None]
    """
    if pa.types.is_binary(column.type):
        raise TypeError(f"input {name} is {column.type}, which JSON does not hold")
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64())
    values: list[Any] = column.to_pylist()
    if pa.types.is_floating(column.type) and any(v is not None and not math.isfinite(v) for v in values):
        raise ValueError(f"input {name} is not finite, which JSON does not hold")
    return values
