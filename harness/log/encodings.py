"""How the columns of a segment's file are written: told by its first row group (docs/adr/0078)."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

# Ascending or nearly so: their differences are small.
_DELTA: Final = ("position", "occurred_at", "decision_position")
# A dictionary is worth it where a value comes so often on average.
_OFTEN: Final = 2
# Numbers that zstd leaves more than this of are left as they are: unpacking costs more than reading them.
_PACKED_MAX: Final = 0.75
_TRIED_ROWS: Final = 65_536


def how_to_write(first: pa.Table, opaque: Sequence[str] = ()) -> dict[str, Any]:
    """Return what `pq.ParquetWriter` is told of the columns of a file that begins with these rows.

    A dictionary of values that hardly repeat holds each of them beside its number, and is read by looking up
    every one. Other rows than the first change sizes and times, never values. `opaque` columns are compressed
    already. What a column holds inside of lists and records is named by its path; it has no statistics.
    """
    # Of lists no more values are looked at than there are rows: to count millions takes a second.
    columns = {
        path: values.slice(0, first.num_rows)
        for name in first.schema.names
        for path, values in _leaves(name, first.column(name))
    }
    plain = [path for path in columns if path not in opaque]
    delta = [name for name in _DELTA if name in first.schema.names]
    many = [path for path in plain if path not in delta and _has_many_values(columns[path])]
    loose = [path for path in many if not _packs(columns[path])]
    packed = [path for path in plain if path not in loose]
    return {
        "compression": {path: "ZSTD" if path in packed else "NONE" for path in columns},
        "compression_level": dict.fromkeys(packed, 1),
        "write_statistics": [path for path in plain if path in first.schema.names],
        "use_dictionary": [path for path in plain if path not in delta and path not in many],
        "column_encoding": dict.fromkeys(delta, "DELTA_BINARY_PACKED"),
    }


def _leaves(path: str, column: pa.ChunkedArray) -> Iterator[tuple[str, pa.ChunkedArray]]:
    """Yield the columns that Parquet makes of one, by path: `statuses.list.item.field` is one of `statuses`.

    A list named by itself names none of them: it would be neither packed nor numbered (docs/adr/0097).
    """
    kind = column.type
    if pa.types.is_list(kind):
        yield from _leaves(f"{path}.list.{kind.value_field.name}", pc.list_flatten(column))
    elif pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{path}.{field.name}", pc.struct_field(column, field.name))
    else:
        yield path, column


def _has_many_values(column: pa.ChunkedArray) -> bool:
    """Whether a number or text hardly comes twice; other types have no other way to be written."""
    if not (_is_text(column.type) or _is_number(column.type)):
        return False
    valid = len(column) - column.null_count
    return bool(_OFTEN * pc.count_distinct(column).as_py() > valid)


def _packs(column: pa.ChunkedArray) -> bool:
    """Whether zstd makes it so much smaller that unpacking is worth it. Texts always pack."""
    if _is_text(column.type):
        return True
    some = column.drop_null().slice(0, _TRIED_ROWS).to_numpy().tobytes()
    packed = pa.Codec("zstd", compression_level=1).compress(some)
    return bool(packed.size <= _PACKED_MAX * len(some))


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_float64(kind) or pa.types.is_int64(kind) or pa.types.is_timestamp(kind))
