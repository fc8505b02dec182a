"""Transpose: events as msgpack rows become Arrow columns, without a Python object for any value.

All events are walked at once, column by column: a cursor in each event stands at its next value, and a few
numpy operations read that value in all of them. What is not encoded as our recorders do it is left to the
patient way of `recorders.columns`, which takes it or says what it is (docs/adr/0020).
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_NIL, _FALSE, _TRUE, _FLOAT64 = 0xC0, 0xC2, 0xC3, 0xCB
_FIXARRAY, _ARRAY16, _ARRAY32, _FIXARRAY_MAX = 0x90, 0xDC, b"\xdd", 15
_HEADER_BYTES: Final = 5
# A value is read with up to 16 bytes from its tag, also where it is the last of all.
_PADDING: Final = bytes(16)
_OFFSET_MAX: Final = 2**31 - 1
# Timestamps of 4, 8 and 12 bytes; a number that no datetime reaches, and microseconds do not overflow.
_STAMP4, _STAMP8, _STAMP12 = b"\xd6\xff", b"\xd7\xff", b"\xc7\x0c\xff"
_SECONDS_BITS, _SECONDS, _NANOS, _SECONDS_MAX = 34, 2**34 - 1, 2**30 - 1, 2**40

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]


class _Unusual(Exception):  # noqa: N818  # no error: the patient way is asked
    """Something that is not encoded as our recorders do it. It may be sound, or not."""


class _Table(NamedTuple):
    """For each tag, how many bytes it heads and how the number is read: `(word >> shift & mask) + add`.

    The word is what follows the tag. `head` is 0 for tags that do not belong here.
    """

    head: Numbers
    shift: Numbers
    mask: Numbers
    add: Numbers

    @classmethod
    def of(cls, word_bytes: int, fixed: dict[int, int], sized: dict[int, int]) -> "_Table":
        """Return a table of tags that are a number, and of tags that a number of so many bytes follows.

        A negative count of bytes is that of a signed number.
        """
        head, shift, mask, add = (np.zeros(256, np.int64) for _ in range(4))
        head[_NIL] = 1
        for tag, number in fixed.items():
            head[tag], add[tag] = 1, number
        for tag, size in sized.items():
            head[tag], shift[tag] = 1 + abs(size), 8 * (word_bytes - abs(size))
            mask[tag] = -1 if size < 0 or size == word_bytes == 8 else 2 ** (8 * size) - 1  # noqa: PLR2004  # bytes
        return cls(head, shift, mask, add)


_INTEGERS: Final = _Table.of(
    8,
    {tag: tag if tag < 0x80 else tag - 256 for tag in (*range(0x80), *range(0xE0, 0x100))},  # noqa: PLR2004  # msgpack
    {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: -1, 0xD1: -2, 0xD2: -4, 0xD3: -8},
)
_FIXTEXT, _FIXTEXT_MAX = 0xA0, 31
_TEXTS: Final = _Table.of(
    4, {_FIXTEXT + size: size for size in range(_FIXTEXT_MAX + 1)}, {0xD9: 1, 0xDA: 2, 0xDB: 4}
)
_BINARIES: Final = _Table.of(4, {}, {0xC4: 1, 0xC5: 2, 0xC6: 4})
_LISTS: Final = _Table.of(4, {_FIXARRAY + size: size for size in range(16)}, {0xDC: 2, 0xDD: 4})
_UINT64: Final = 0xCF
_ASCII_MAX: Final = 0x7F


class _Walk:
    """A cursor in each event of a payload.

    Cursors only go forward, and what lies behind the payload raises an IndexError: if each stands at the end
    of its event at last, none has ever passed it.
    """

    def __init__(self, payload: bytes, events: int, width: int) -> None:
        if payload[:_HEADER_BYTES] != _ARRAY32 + events.to_bytes(4, "big"):
            raise _Unusual
        if len(payload) + len(_PADDING) > _OFFSET_MAX:
            raise _Unusual
        self.data = payload + _PADDING
        self.bytes = np.frombuffer(self.data, np.uint8)
        self.words, self.longs, self.floats = (_behind(self.data, kind) for kind in (">u4", ">i8", ">f8"))
        starts = _starts(payload, self.bytes, events, width)
        self.stops = np.append(starts[1:], len(payload))
        self.at: Numbers = starts + (1 if width <= _FIXARRAY_MAX else 3)

    @property
    def tags(self) -> NDArray[np.uint8]:
        """The tag of each event's next value."""
        tags: NDArray[np.uint8] = self.bytes[self.at]
        return tags

    def numbers(self, table: _Table, words: NDArray[Any]) -> tuple[NDArray[np.uint8], Numbers]:
        """Return the tags and the numbers that stand next, and move the cursors behind them. 0 for nil."""
        tags = self.tags
        of = tags.astype(np.intp)
        head = table.head.take(of)
        if not head.all():
            raise _Unusual
        word = words[self.at].astype(np.int64)
        self.at = self.at + head
        return tags, (word >> table.shift.take(of) & table.mask.take(of)) + table.add.take(of)


def transpose(payload: bytes, events: int, schema: pa.Schema) -> list[pa.Array] | None:
    """Return the columns of `events` rows, which `payload` holds as a msgpack array of arrays.

    None when a row is not of that schema, or not encoded as our recorders do it.
    """
    try:
        return _columns(_Walk(payload, events, len(schema)), schema)
    except (_Unusual, IndexError, pa.ArrowException, msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _columns(walk: "_Walk", schema: pa.Schema) -> list[pa.Array]:
    columns: list[pa.Array] = []
    spans: dict[int, _Span] = {}
    for place, field in enumerate(schema):
        if field.type in _SPANNED:
            spans[place] = _span(walk, _SPANNED[field.type])
        columns.append(None if place in spans else _READERS.get(field.type, _structs)(walk, field.type))
    if (walk.at != walk.stops).any():
        raise _Unusual
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


def _span(walk: _Walk, table: _Table) -> _Span:
    tags = walk.tags
    if table is _TEXTS and (tags >> 5 == _FIXTEXT >> 5).all():  # what nearly all are
        sizes = tags & _FIXTEXT_MAX
        first = walk.at + 1
    else:
        tags, sizes = walk.numbers(table, walk.words)
        first = walk.at
    walk.at = first + sizes
    return _Span(first, walk.at, tags == _NIL)


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


def _behind(data: bytes, kind: str) -> NDArray[Any]:
    """Return a view of the big-endian number that begins behind each byte of `data`."""
    size = np.dtype(kind).itemsize
    return np.ndarray((len(data) - size,), kind, data, 1, strides=(1,))


def _starts(payload: bytes, data: NDArray[np.uint8], events: int, width: int) -> Numbers:
    """Return where each event begins.

    Where the header of a wide row is found in the bytes, a row begins, or there is such a number: then there
    are too many, and the rows are cut one by one. The walk proves either way.
    """
    if width > _FIXARRAY_MAX:
        # Eight bytes at a time: few of them hold that tag.
        tagged = np.zeros(len(payload) + 7 & ~7, np.bool_)
        np.equal(data[: len(payload)], _ARRAY16, out=tagged[: len(payload)])
        words = np.flatnonzero(tagged.view(np.uint64))
        word, byte = np.nonzero(tagged.reshape(-1, 8)[words])
        found = 8 * words[word] + byte
        found = found[(data[found + 1] == width >> 8) & (data[found + 2] == width & 0xFF)]
        if len(found) == events and found[0] == _HEADER_BYTES:
            starts: Numbers = found
            return starts
    rows = msgspec.msgpack.decode(payload, type=list[msgspec.Raw])
    starts = np.cumsum([_HEADER_BYTES, *(memoryview(row).nbytes for row in rows)])[:-1]
    heads = data[starts[:, None] + np.arange(3)]
    if width <= _FIXARRAY_MAX:
        sound = heads[:, 0] == _FIXARRAY + width
    else:
        sound = (heads == [_ARRAY16, width >> 8, width & 0xFF]).all(axis=1)
    if not sound.all():
        raise _Unusual
    return starts


# A reader returns the next value of each event as a column, and moves the cursors behind it.


def _floats(walk: _Walk, kind: pa.DataType) -> pa.Array:
    full = walk.tags == _FLOAT64
    if full.all():
        values = walk.floats[walk.at].astype(np.float64)
        walk.at = walk.at + 9
        return pa.array(values, kind)
    nil = walk.tags == _NIL
    if not (full | nil).all():
        raise _Unusual
    values = walk.floats[walk.at].astype(np.float64)
    walk.at = walk.at + np.where(full, 9, 1)
    return _masked(values, nil, kind)


def _integers(walk: _Walk, kind: pa.DataType) -> pa.Array:
    tags, values = walk.numbers(_INTEGERS, walk.longs)
    if (values[tags == _UINT64] < 0).any():
        raise _Unusual
    return _masked(values, tags == _NIL, kind)


def _booleans(walk: _Walk, kind: pa.DataType) -> pa.Array:
    tags = walk.tags
    nil = tags == _NIL
    if not (nil | (tags == _FALSE) | (tags == _TRUE)).all():
        raise _Unusual
    walk.at = walk.at + 1
    return _masked(tags == _TRUE, nil, kind)


def _instants(walk: _Walk, kind: pa.DataType) -> pa.Array:
    """Microseconds as integers, or msgpack's timestamps."""
    tags = walk.tags
    nil = tags == _NIL
    if _INTEGERS.head.take(tags).all():
        return _integers(walk, kind)
    at, steps = walk.at, nil.astype(np.int64)
    seconds, nanos = np.zeros(len(at), np.int64), np.zeros(len(at), np.int64)
    for stamp, size in ((_STAMP4, 6), (_STAMP8, 10), (_STAMP12, 15)):
        rows = np.flatnonzero(tags == stamp[0])
        first = at[rows]
        if (walk.bytes[first[:, None] + np.arange(len(stamp))] != list(stamp)).any():
            raise _Unusual
        steps[rows] = size
        if stamp == _STAMP4:
            seconds[rows] = walk.words[first + 1]
        elif stamp == _STAMP8:
            both = walk.longs[first + 1].astype(np.int64)
            seconds[rows], nanos[rows] = both & _SECONDS, both >> _SECONDS_BITS & _NANOS
        else:
            nanos[rows], seconds[rows] = walk.words[first + 2], walk.longs[first + 6]
    micros, rest = np.divmod(nanos, 1000)
    if not steps.all() or rest.any() or (nanos >= 10**9).any() or (abs(seconds) > _SECONDS_MAX).any():
        raise _Unusual
    walk.at = at + steps
    return _masked(seconds * 10**6 + micros, nil, kind)


def _lists(walk: _Walk, kind: pa.DataType) -> pa.Array:
    tags, sizes = walk.numbers(_LISTS, walk.words)
    first = walk.at
    walk.at = first + 9 * sizes
    if (walk.at > walk.stops).any():
        raise _Unusual  # before there is room made for so many
    offsets = np.append(0, np.cumsum(sizes))
    places = np.repeat(first - 9 * offsets[:-1], sizes) + 9 * np.arange(offsets[-1])
    if (walk.bytes[places] != _FLOAT64).any():
        raise _Unusual
    values = pa.array(walk.floats[places].astype(np.float64))
    nil = tags == _NIL
    mask = pa.array(nil) if nil.any() else None
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values, type=kind, mask=mask)


def _structs(walk: _Walk, kind: pa.DataType) -> pa.Array:
    """What is rare (statuses), value by value; it stands last."""
    rare = np.flatnonzero(walk.tags != _NIL)
    values: list[Any] = [None] * len(walk.at)
    names = [field.name for field in kind.value_type.fields]
    for row in rare:
        pairs = msgspec.msgpack.decode(walk.data[walk.at[row] : walk.stops[row]], type=list[tuple[str, str]])
        values[row] = [dict(zip(names, pair, strict=True)) for pair in pairs]
    steps = np.ones(len(values), np.int64)
    steps[rare] = (walk.stops - walk.at)[rare]
    walk.at = walk.at + steps
    return pa.array(values, kind)


def _masked(values: NDArray[Any], nil: Flags, kind: pa.DataType) -> pa.Array:
    if nil.any():
        return pa.array(np.where(nil, values.dtype.type(0), values), kind, mask=nil)
    return pa.array(values, kind)


_READERS: Final[dict[pa.DataType, Callable[[_Walk, pa.DataType], pa.Array]]] = {
    pa.float64(): _floats,
    pa.int64(): _integers,
    pa.bool_(): _booleans,
    pa.timestamp("us", tz="UTC"): _instants,
    pa.list_(pa.float64()): _lists,
}
_SPANNED: Final = {pa.string(): _TEXTS, pa.binary(): _BINARIES}
