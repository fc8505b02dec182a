"""Transpose: events as msgpack rows become Arrow columns, without a Python object for any value.

Compiled code reads them row by row (recorders/buffers.py). Without it, all events are walked at once, column
by column: a cursor in each event stands at its next value, and a few numpy operations read that value in all
of them. What is not encoded as our recorders do it is left to the patient way of `recorders.columns`, which
takes it or says what it is (docs/adr/0020, docs/adr/0087).
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recorders.buffers import pairs_of, read_rows
from recorders.walk import FIXARRAY, NIL, Numbers, Table, Unusual, Walk

_FALSE, _TRUE, _FLOAT64 = 0xC2, 0xC3, 0xCB
# Timestamps of 4, 8 and 12 bytes; a number that no datetime reaches, and microseconds do not overflow.
_STAMP4, _STAMP8, _STAMP12 = b"\xd6\xff", b"\xd7\xff", b"\xc7\x0c\xff"
_SECONDS_BITS, _SECONDS, _NANOS, _SECONDS_MAX = 34, 2**34 - 1, 2**30 - 1, 2**40

Flags = NDArray[np.bool_]


_INTEGERS: Final = Table.of(
    8,
    {tag: tag if tag < 0x80 else tag - 256 for tag in (*range(0x80), *range(0xE0, 0x100))},  # noqa: PLR2004  # msgpack
    {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: -1, 0xD1: -2, 0xD2: -4, 0xD3: -8},
)
_FIXTEXT, _FIXTEXT_MAX = 0xA0, 31
_TEXTS: Final = Table.of(
    4, {_FIXTEXT + size: size for size in range(_FIXTEXT_MAX + 1)}, {0xD9: 1, 0xDA: 2, 0xDB: 4}
)
_BINARIES: Final = Table.of(4, {}, {0xC4: 1, 0xC5: 2, 0xC6: 4})
_LISTS: Final = Table.of(4, {FIXARRAY + size: size for size in range(16)}, {0xDC: 2, 0xDD: 4})
_UINT64: Final = 0xCF
_ASCII_MAX: Final = 0x7F


def transpose(payload: bytes, events: int, schema: pa.Schema) -> list[pa.Array] | None:
    """Return the columns of `events` rows, which `payload` holds as a msgpack array of arrays.

    None when a row is not of that schema, or not encoded as our recorders do it.
    """
    try:
        return read_rows(payload, events, schema) or _columns(Walk(payload, events, len(schema)), schema)
    except (Unusual, IndexError, pa.ArrowException, msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _columns(walk: Walk, schema: pa.Schema) -> list[pa.Array]:
    columns: list[pa.Array] = []
    spans: dict[int, _Span] = {}
    for place, field in enumerate(schema):
        if field.type in _SPANNED:
            spans[place] = _span(walk, _SPANNED[field.type])
        columns.append(None if place in spans else _READERS.get(field.type, _structs)(walk, field.type))
    if (walk.at != walk.stops).any():
        raise Unusual
    for place in [place for place, span in spans.items() if span.nil.all()]:
        columns[place] = pa.nulls(len(walk.at), schema.field(place).type)
        del spans[place]
    kinds = [schema.field(place).type for place in spans]
    for place, column in zip(spans, _cut(walk.data, list(spans.values()), kinds), strict=True):
        columns[place] = column
    return columns


class _Span(NamedTuple):
    """Where the bytes of each event's text lie."""

    first: Numbers
    end: Numbers
    nil: Flags


def _span(walk: Walk, table: Table) -> _Span:
    tags = walk.tags
    if table is _TEXTS and (tags >> 5 == _FIXTEXT >> 5).all():  # what nearly all are
        sizes = tags & _FIXTEXT_MAX
        first = walk.at + 1
    else:
        tags, sizes = walk.numbers(table, walk.words)
        first = walk.at
    walk.at = first + sizes
    return _Span(first, walk.at, tags == NIL)


def _cut(data: bytes, spans: list[_Span], kinds: list[pa.DataType]) -> list[pa.Array]:
    """Return the spans as columns of texts or binaries.

    One array lies over the payload, in which texts and what stands between them take turns; one `take` copies
    all texts of all columns out of it. (A `take` a column would reserve room for an average turn each time.)
    """
    if not spans:
        return []
    events, turns = len(spans[0].first), 2 * len(spans)
    table = np.empty((events, turns), np.int32)
    for column, span in enumerate(spans):
        table[:, 2 * column], table[:, 2 * column + 1] = span.first, span.end
    ends = table.ravel()
    over = pa.Array.from_buffers(pa.binary(), len(ends) - 1, [None, pa.py_buffer(ends), pa.py_buffer(data)])
    # Binaries last: of texts in ASCII nothing is left to check; of others a cast checks that they are UTF-8,
    # one by one. A sealed value is never ASCII, and must not send all texts of its event there.
    order = sorted(range(len(spans)), key=lambda column: kinds[column] == pa.binary())
    wanted = np.concatenate([np.arange(2 * column, len(ends), turns) for column in order])
    taken = over.take(pa.array(wanted))
    offsets, bytes_of_all = np.frombuffer(taken.buffers()[1], np.int32, len(wanted) + 1), taken.buffers()[2]
    texts = offsets[events * sum(kind != pa.binary() for kind in kinds)]
    plain = not (np.frombuffer(bytes_of_all, np.uint8, texts) > _ASCII_MAX).any()
    columns: list[pa.Array] = [None] * len(spans)
    for turn, column in enumerate(order):
        span, kind = spans[column], kinds[column]
        own = offsets[turn * events : (turn + 1) * events + 1]
        valid = pa.array(~span.nil).buffers()[1] if span.nil.any() else None
        buffers = [valid, pa.py_buffer(own - own[0]), bytes_of_all.slice(own[0], own[-1] - own[0])]
        whole = plain or kind == pa.binary()
        cut = pa.Array.from_buffers(kind if whole else pa.binary(), events, buffers)
        columns[column] = cut if whole else cut.cast(kind)
    return columns


# A reader returns the next value of each event as a column, and moves the cursors behind it.


def _floats(walk: Walk, kind: pa.DataType) -> pa.Array:
    full = walk.tags == _FLOAT64
    if full.all():
        values = walk.floats[walk.at].astype(np.float64)
        walk.at = walk.at + 9
        return pa.array(values, kind)
    nil = walk.tags == NIL
    if not (full | nil).all():
        raise Unusual
    values = walk.floats[walk.at].astype(np.float64)
    walk.at = walk.at + np.where(full, 9, 1)
    return _masked(values, nil, kind)


def _integers(walk: Walk, kind: pa.DataType) -> pa.Array:
    tags, values = walk.numbers(_INTEGERS, walk.longs)
    if (values[tags == _UINT64] < 0).any():
        raise Unusual
    return _masked(values, tags == NIL, kind)


def _booleans(walk: Walk, kind: pa.DataType) -> pa.Array:
    tags = walk.tags
    nil = tags == NIL
    if not (nil | (tags == _FALSE) | (tags == _TRUE)).all():
        raise Unusual
    walk.at = walk.at + 1
    return _masked(tags == _TRUE, nil, kind)


def _instants(walk: Walk, kind: pa.DataType) -> pa.Array:
    """Microseconds as integers, or msgpack's timestamps."""
    tags = walk.tags
    nil = tags == NIL
    if _INTEGERS.head.take(tags).all():
        return _integers(walk, kind)
    at, steps = walk.at, nil.astype(np.int64)
    seconds, nanos = np.zeros(len(at), np.int64), np.zeros(len(at), np.int64)
    for stamp, size in ((_STAMP4, 6), (_STAMP8, 10), (_STAMP12, 15)):
        rows = np.flatnonzero(tags == stamp[0])
        first = at[rows]
        if (walk.bytes[first[:, None] + np.arange(len(stamp))] != list(stamp)).any():
            raise Unusual
        steps[rows] = size
        if stamp == _STAMP4:
            seconds[rows] = walk.words[first + 1]
        elif stamp == _STAMP8:
            both = walk.longs[first + 1].astype(np.int64)
            seconds[rows], nanos[rows] = both & _SECONDS, both >> _SECONDS_BITS & _NANOS
        else:
            nanos[rows], seconds[rows] = walk.words[first + 2], walk.longs[first + 6]
    micros, rest = np.divmod(nanos, 1000)
    if not steps.all() or rest.any() or (nanos >= 10**9).any() or _far(seconds).any():
        raise Unusual
    walk.at = at + steps
    return _masked(seconds * 10**6 + micros, nil, kind)


def _far(seconds: Numbers) -> Flags:
    return (seconds > _SECONDS_MAX) | (seconds < -_SECONDS_MAX)  # -2**63 has no absolute value


def _lists(walk: Walk, kind: pa.DataType) -> pa.Array:
    tags, sizes = walk.numbers(_LISTS, walk.words)
    first = walk.at
    walk.at = first + 9 * sizes
    if (walk.at > walk.stops).any():
        raise Unusual  # before there is room made for so many
    offsets = np.append(0, np.cumsum(sizes))
    places = np.repeat(first - 9 * offsets[:-1], sizes) + 9 * np.arange(offsets[-1])
    if (walk.bytes[places] != _FLOAT64).any():
        raise Unusual
    values = pa.array(walk.floats[places].astype(np.float64))
    nil = tags == NIL
    mask = pa.array(nil) if nil.any() else None
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values, type=kind, mask=mask)


def _structs(walk: Walk, kind: pa.DataType) -> pa.Array:
    """What is rare (statuses), value by value; it stands last."""
    rare = np.flatnonzero(walk.tags != NIL)
    values: list[Any] = [None] * len(walk.at)
    for row in rare:
        values[row] = pairs_of(walk.data[walk.at[row] : walk.stops[row]], kind)
    steps = np.ones(len(values), np.int64)
    steps[rare] = (walk.stops - walk.at)[rare]
    walk.at = walk.at + steps
    return pa.array(values, kind)


def _masked(values: NDArray[Any], nil: Flags, kind: pa.DataType) -> pa.Array:
    if nil.any():
        return pa.array(np.where(nil, values.dtype.type(0), values), kind, mask=nil)
    return pa.array(values, kind)


_READERS: Final[dict[pa.DataType, Callable[[Walk, pa.DataType], pa.Array]]] = {
    pa.float64(): _floats,
    pa.int64(): _integers,
    pa.bool_(): _booleans,
    pa.timestamp("us", tz="UTC"): _instants,
    pa.list_(pa.float64()): _lists,
}
_SPANNED: Final = {pa.string(): _TEXTS, pa.binary(): _BINARIES}
