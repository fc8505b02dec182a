"""Arrow columns as a monitor reads them: numbers as doubles, categories counted, types checked."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from policies.columns import Floats, Ints


def whole(column: Any) -> Any:
    """Return a column as one array, without copying where it is one already."""
    if isinstance(column, pa.ChunkedArray):
        return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    return column


def fits(kind: str, found: pa.DataType) -> bool:
    """Return whether a column of Arrow type `found` holds values of the field type `kind`.

    >>> fits("float64", pa.int64()), fits("int64", pa.float64())
    (True, False)
    """
    types = pa.types
    if types.is_dictionary(found):
        found = found.value_type
    if kind == "float64":
        return bool(types.is_floating(found) or types.is_integer(found))
    if kind in ("string", "category"):
        return bool(types.is_string(found) or types.is_large_string(found))
    if kind == "bytes":
        return bool(types.is_binary(found) or types.is_large_binary(found))
    tests = {
        "int64": types.is_integer,
        "bool": types.is_boolean,
        "timestamp": types.is_timestamp,
        "list[float64]": types.is_list,
    }
    return bool(tests[kind](found))


def as_numbers(values: Any) -> Floats:
    """Return an array without nulls as doubles; timestamps count microseconds since 1970."""
    values = whole(values)
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("us", values.type.tz)).cast(pa.int64())
    if values.type != pa.float64():
        values = values.cast(pa.float64(), safe=False)
    numbers: Floats = plain(values)
    return numbers


def plain(values: Any) -> Any:
    """Return an array of numbers without nulls as numpy, without copying.

    Through DLPack, since `to_numpy` and `pyarrow.array` import all of pandas on their first call: seconds
    and 100 MB that no report needs.
    """
    return np.from_dlpack(values)


def counted(values: Any) -> tuple[Any, Ints]:
    """Return the distinct texts of an array without nulls, and how often each occurs, at least once.

    Texts that are stored as codes are counted by code, without a hash of each row's; a text may come twice.

    >>> texts, times = counted(pa.array(["b", "a", "b"]).dictionary_encode().slice(1))
    >>> texts.to_pylist(), times.tolist()
    (['b', 'a'], [1, 1])
    """
    values = whole(values)
    coded = pa.types.is_dictionary(values.type)
    if coded and len(values.dictionary) <= len(values):
        levels, times = _counted_codes(values)
    else:  # what was cut from a larger column may have few of its texts
        found = pc.value_counts(values)
        levels, times = found.field("values"), plain(found.field("counts"))
        levels = levels.dictionary_decode() if coded else levels
    return levels.cast(pa.string()), times


def _counted_codes(values: Any) -> tuple[Any, Ints]:
    codes = plain(values.indices).astype(np.intp, copy=False)
    times: Ints = np.bincount(codes, minlength=len(values.dictionary))
    seen = np.flatnonzero(times)
    if seen.size == times.size:
        return values.dictionary, times
    places = pa.Array.from_buffers(pa.int64(), seen.size, [None, pa.py_buffer(seen)])
    return values.dictionary.take(places), times[seen]
