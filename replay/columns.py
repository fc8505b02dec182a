"""Checks and conversions that join, pairs and scoring share; columns in, columns out."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.errors import ColumnsError

INSTANT = pa.timestamp("us", tz="UTC")
FEATURE = "f."


def require(table: pa.Table | pa.RecordBatch, names: Iterable[str], what: str) -> None:
    """Return nothing; raise ColumnsError when `table` (`what` in words) lacks one of `names`."""
    missing = [name for name in names if name not in table.schema.names]
    if missing:
        raise ColumnsError(
            f"The {what} lack {', '.join(missing)}.", f"Found {', '.join(table.schema.names) or 'no column'}."
        )


def int64(column: pa.ChunkedArray, name: str) -> npt.NDArray[np.int64]:
    """Return the values of a column without nulls; positions, counts."""
    if column.null_count:
        raise ColumnsError(f"Column {name!r} has {column.null_count} nulls.", "Expected a value in each row.")
    return np.asarray(column.cast(pa.int64()).to_numpy(), dtype=np.int64)


def instants(column: pa.ChunkedArray, name: str) -> npt.NDArray[np.int64]:
    """Return microseconds since 1970 UTC; a naive column is refused, since its zone would be a guess."""
    if not pa.types.is_timestamp(column.type) or column.type.tz is None:
        raise ColumnsError(f"Column {name!r} has type {column.type}.", f"Expected {INSTANT}.")
    return int64(column.cast(INSTANT).cast(pa.int64()), name)


def ids(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Return the ids as large strings, whatever string layout or dictionary held them; null is refused."""
    if column.null_count:
        raise ColumnsError(f"Column {name!r} has {column.null_count} nulls.", "Expected an id in each row.")
    return column.cast(pa.large_string())


def mask_of(condition: npt.NDArray[np.bool_]) -> pa.Array:
    """Return a boolean array for `Table.filter`."""
    return pa.array(condition, type=pa.bool_())


def sorted_by(table: pa.Table, key: npt.NDArray[np.int64]) -> pa.Table:
    """Return `table` in the order of `key`; untouched, not copied, when it is in order already."""
    if key.size < 2 or bool(np.all(key[1:] >= key[:-1])):  # noqa: PLR2004  one row is in order
        return table
    return table.take(pa.array(np.argsort(key, kind="stable")))


def count_values(values: Sequence[Any] | pa.ChunkedArray) -> dict[str, int]:
    """Return how often each value occurs, most frequent first, ties by name; nulls are left out."""
    counts = pa.chunked_array([values]) if isinstance(values, pa.Array) else pa.chunked_array(values)
    pairs = counts.drop_null().value_counts().to_pylist()
    return {p["values"]: p["counts"] for p in sorted(pairs, key=lambda p: (-p["counts"], p["values"]))}


def grouped(batches: Iterable[pa.RecordBatch], rows: int) -> Iterator[list[pa.RecordBatch]]:
    """Yield batches together, `rows` rows or a little more at a time."""
    held: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        held.append(batch)
        size += batch.num_rows
        if size >= rows:
            yield held
            held, size = [], 0
    if held:
        yield held
