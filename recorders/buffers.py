"""Buffers: Arrow columns over what compiled code read of msgpack rows (docs/adr/0087)."""

from typing import Any, Final

import msgspec
import pyarrow as pa

from recorders import hotpath

_LISTS: Final = pa.list_(pa.float64())
# What the compiled code calls a kind of column; any other is of statuses, and few of these say anything.
_CODES: Final = {
    pa.float64(): b"f",
    pa.int64(): b"i",
    pa.bool_(): b"b",
    pa.string(): b"s",
    pa.timestamp("us", tz="UTC"): b"t",
    pa.binary(): b"y",
    _LISTS: b"l",
}


def read_rows(payload: bytes, events: int, schema: pa.Schema) -> list[pa.Array] | None:
    """Return the columns of `events` rows; None where that code is not, or declines.

    Raises:
        pa.ArrowException, msgspec.DecodeError, UnicodeDecodeError: a text is not UTF-8.
    """
    if hotpath.transpose is None:
        return None
    kinds = [field.type for field in schema]
    found = hotpath.transpose(payload, events, b"".join(_CODES.get(kind, b"u") for kind in kinds))
    if found is None:
        return None
    return [_column(kind, events, column) for kind, column in zip(kinds, found, strict=True)]


def pairs_of(data: bytes, kind: pa.DataType) -> list[dict[str, str]]:
    """Return the statuses of an event as Arrow takes them."""
    names = [field.name for field in kind.value_type.fields]
    pairs = msgspec.msgpack.decode(data, type=list[tuple[str, str]])
    return [dict(zip(names, pair, strict=True)) for pair in pairs]


def _column(kind: pa.DataType, events: int, column: hotpath.Column) -> pa.Array:
    nulls, valid, values, content, plain = column
    if isinstance(values, list):
        return _statuses(kind, events, values)
    buffers = [None if valid is None else pa.py_buffer(valid), pa.py_buffer(values)]
    if content is None:
        return pa.Array.from_buffers(kind, events, buffers, nulls)
    if kind == _LISTS:
        items = pa.Array.from_buffers(pa.float64(), len(content) // 8, [None, pa.py_buffer(content)], 0)
        return pa.Array.from_buffers(kind, events, buffers, nulls, children=[items])
    buffers.append(pa.py_buffer(content))
    if plain or kind != pa.string():
        return pa.Array.from_buffers(kind, events, buffers, nulls)
    return pa.Array.from_buffers(pa.binary(), events, buffers, nulls).cast(kind)  # checks that each is UTF-8


def _statuses(kind: pa.DataType, events: int, found: list[tuple[int, bytes]]) -> pa.Array:
    if not found:  # as pa.array makes it of nulls: pa.nulls gives other bytes
        buffers = [pa.py_buffer(bytes((events + 7) // 8)), pa.py_buffer(bytes(4 * events + 4))]
        nothing = pa.array([], kind.value_type)
        return pa.Array.from_buffers(kind, events, buffers, events, children=[nothing])
    values: list[Any] = [None] * events
    for row, data in found:
        values[row] = pairs_of(data, kind)
    return pa.array(values, kind)
