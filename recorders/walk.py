"""Walk: a cursor in each of the msgpack rows of a payload, which all read their next value at once.

For rows that are encoded as our recorders do it; of any other it says that it is unusual (docs/adr/0020).
"""

from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

NIL: Final = 0xC0
FIXARRAY: Final = 0x90
_ARRAY16, _ARRAY32, _FIXARRAY_MAX = 0xDC, b"\xdd", 15
_HEADER_BYTES: Final = 5
# A value is read with up to 16 bytes from its tag, also where it is the last of all.
_PADDING: Final = bytes(16)
_OFFSET_MAX: Final = 2**31 - 1

Numbers = NDArray[np.int64]


class Unusual(Exception):  # noqa: N818  # no error: the patient way is asked
    """Something that is not encoded as our recorders do it. It may be sound, or not."""


class Table(NamedTuple):
    """For each tag, how many bytes it heads and how the number is read: `(word >> shift & mask) + add`.

    The word is what follows the tag. `head` is 0 for tags that do not belong here.
    """

    head: Numbers
    shift: Numbers
    mask: Numbers
    add: Numbers

    @classmethod
    def of(cls, word_bytes: int, fixed: dict[int, int], sized: dict[int, int]) -> "Table":
        """Return a table of tags that are a number, and of tags that a number of so many bytes follows.

        A negative count of bytes is that of a signed number.
        """
        head, shift, mask, add = (np.zeros(256, np.int64) for _ in range(4))
        head[NIL] = 1
        for tag, number in fixed.items():
            head[tag], add[tag] = 1, number
        for tag, size in sized.items():
            head[tag], shift[tag] = 1 + abs(size), 8 * (word_bytes - abs(size))
            mask[tag] = -1 if size < 0 or size == word_bytes == 8 else 2 ** (8 * size) - 1  # noqa: PLR2004  # bytes
        return cls(head, shift, mask, add)


class Walk:
    """A cursor in each event of a payload.

    Cursors only go forward, and what lies behind the payload raises an IndexError: if each stands at the end
    of its event at last, none has ever passed it.
    """

    def __init__(self, payload: bytes, events: int, width: int) -> None:
        if payload[:_HEADER_BYTES] != _ARRAY32 + events.to_bytes(4, "big"):
            raise Unusual
        if len(payload) + len(_PADDING) > _OFFSET_MAX:
            raise Unusual
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

    def numbers(self, table: Table, words: NDArray[Any]) -> tuple[NDArray[np.uint8], Numbers]:
        """Return the tags and the numbers that stand next, and move the cursors behind them. 0 for nil."""
        tags = self.tags
        of = tags.astype(np.intp)
        head = table.head.take(of)
        if not head.all():
            raise Unusual
        word = words[self.at].astype(np.int64)
        self.at = self.at + head
        return tags, (word >> table.shift.take(of) & table.mask.take(of)) + table.add.take(of)


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
        sound = heads[:, 0] == FIXARRAY + width
    else:
        sound = (heads == [_ARRAY16, width >> 8, width & 0xFF]).all(axis=1)
    if not sound.all():
        raise Unusual
    return starts
