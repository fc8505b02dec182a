"""Cutting: what is a person's, out of the events of a frame, encoded as it will be encrypted.

Compiled where the hot path is, Python everywhere else, and the same from both (docs/adr/0076).
"""

from collections.abc import Callable, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec

from recorders import hotpath
from recorders.errors import CorruptBatch
from recorders.events import ENVELOPE
from recorders.fields import FeatureSet

_ROWS: Final = msgspec.msgpack.Decoder(list[list[Any]])
_FIRST: Final = len(ENVELOPE)
# What recorders/_cut.c calls a value.
_KEPT, _SEALED, _SUBJECT = 0, 1, 2
_FIXARRAY, _ARRAY16, _FIXARRAY_MAX = 0x90, b"\xdc", 15


class Cut(NamedTuple):
    """The events of a frame in columns.

    `abouts` are what a sealed value is bound to: the decision's id and the digest of its feature set.
    `values` are the sealed fields as a msgpack array; with a byte string in their place an event is `before`,
    that, and `after`.
    """

    names: list[str | None]
    abouts: list[bytes]
    values: list[bytes]
    before: list[bytes]
    after: list[bytes]


def cut(payload: bytes, feature_set: FeatureSet) -> Cut:
    """Return the events of a decision frame's payload, with room for one value where its sealed fields were.

    Raises:
        CorruptBatch: it is no array of such events. The error shows no value.
    """
    layout = _layout(feature_set)
    if hotpath.cut is not None:
        found = hotpath.cut(payload, layout.marks, layout.bound)
        if found is not None:
            return Cut(*found)
    return _patiently(payload, layout)


class _Layout(NamedTuple):
    """What an event's values are, where the subject is, what takes those to seal, and where these are."""

    marks: bytes
    bound: bytes
    subject: int
    sealed: Callable[[list[Any]], tuple[Any, ...]]
    dropped: tuple[slice, ...]


@cache
def _layout(feature_set: FeatureSet) -> _Layout:
    marks = [
        _SUBJECT if field.subject else _SEALED if field.sealed else _KEPT for field in feature_set.fields
    ]
    places = [_FIRST + place for place, mark in enumerate(marks) if mark != _KEPT]
    subject = _FIRST + marks.index(_SUBJECT)
    # A getter of one place would give the value, no tuple.
    sealed = itemgetter(*places) if len(places) > 1 else lambda row: (row[subject],)
    bound = bytes.fromhex(feature_set.digest)
    return _Layout(bytes([*[_KEPT] * _FIRST, *marks, _KEPT]), bound, subject, sealed, _runs(places))


def _runs(places: Sequence[int]) -> tuple[slice, ...]:
    """Return the same places as slices, the last one first.

    >>> _runs([11, 12, 13, 40])
    (slice(40, 41, None), slice(11, 14, None))
    """
    found: list[slice] = []
    for place in reversed(places):
        if found and found[-1].start == place + 1:
            found[-1] = slice(place, found[-1].stop)
        else:
            found.append(slice(place, place + 1))
    return tuple(found)


def _patiently(payload: bytes, layout: _Layout) -> Cut:
    """Return the same from an object for each value; whatever cannot be taken is refused here."""
    try:
        rows = _ROWS.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CorruptBatch("a frame's payload is no array of events") from error
    if not {*map(len, rows)} <= {len(layout.marks)}:
        raise CorruptBatch("an event has another number of values than its feature set")
    names = [row[layout.subject] for row in rows]
    if not {*map(type, names)} <= {str, type(None)}:
        raise CorruptBatch("a subject is no text")
    if not {type(row[0]) for row in rows} <= {str}:  # what an extension is as text differs each time
        raise CorruptBatch("a decision's id is no text")
    encode = msgspec.msgpack.Encoder().encode
    abouts = [row[0].encode() + layout.bound for row in rows]
    values = [*map(encode, map(layout.sealed, rows))]
    after = [encode(row.pop()) for row in rows]
    for row in rows:
        for places in layout.dropped:
            del row[places]
    # Two more values will follow than are encoded here.
    kept = len(layout.marks) - layout.marks.count(_SEALED) - layout.marks.count(_SUBJECT) - 1
    header, behind = _array(kept + 2), len(_array(kept))
    return Cut(names, abouts, values, [header + encode(row)[behind:] for row in rows], after)


def _array(count: int) -> bytes:
    r"""Return how msgpack begins an array of that many.

    >>> _array(15), _array(16)
    (b'\x9f', b'\xdc\x00\x10')
    """
    if count <= _FIXARRAY_MAX:
        return bytes([_FIXARRAY | count])
    return _ARRAY16 + count.to_bytes(2, "big")
