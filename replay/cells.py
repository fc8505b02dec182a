"""Cells: the four streams of one column in one chunk, hashed as its rows pass: see `canonical_digest`."""

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.resumable import Hash, Resumable

_NAN = np.frombuffer(b"\x00\x00\x00\x00\x00\x00\xf8\x7f", dtype="<f8")[0]
_STREAMS = 4
_U32_BYTES = 4


@lru_cache
def _nothing(kind: pa.DataType) -> pa.Scalar:
    """Return the value without a bit set. pyarrow imports all of pandas to make one of a value of Python."""
    buffers = kind.num_buffers - 1  # the first says where nulls are
    return pa.Array.from_buffers(kind, 1, [None, *[pa.py_buffer(bytes(16))] * buffers])[0]


class Cell:
    """The four streams of one chunk of one column."""

    def __init__(self, tag: str, streams: Sequence[Hash]) -> None:
        self.tag = tag
        self.rows = 0
        self.elements = 0
        self.nulls, self.lengths, self.values, self.element_nulls = streams

    @classmethod
    def begun(cls, tag: str, hashing: Callable[[], Hash]) -> "Cell":
        """Return the cell of no rows."""
        return cls(tag, [hashing() for _ in range(_STREAMS)])

    @classmethod
    def resumed(cls, tag: str, rows: int, elements: int, states: Sequence[bytes]) -> "Cell":
        """Return the cell that had this state after so many rows.

        Raises:
            ValueError: it is none.
        """
        if len(states) != _STREAMS:
            raise ValueError(f"{len(states)} streams are no cell")
        found = cls(tag, [Resumable.of(state) for state in states])
        found.rows, found.elements = rows, elements
        return found

    def state(self) -> tuple[int, list[bytes]]:
        """Return how many elements passed, and what the four streams are taken up from."""
        streams = (self.nulls, self.lengths, self.values, self.element_nulls)
        return self.elements, [stream.state() for stream in streams if isinstance(stream, Resumable)]

    def update(self, part: pa.Array) -> None:
        """Append the rows of `part`, which is in the plain layout of the tag; offsets may have 32 bits."""
        if part.null_count:
            self.nulls.update(_u32(_null_rows(part) + self.rows))
        if self.tag in {"s", "x"}:
            self._update_bytes(part)
        elif self.tag == "lf8":
            self._update_list(part)
        else:
            self.values.update(_bytes(_fixed(self.tag, part)))
        self.rows += len(part)

    def digest(self) -> bytes:
        """Return the cell digest, 32 bytes."""
        streams = (self.nulls, self.lengths, self.values, self.element_nulls)
        return hashlib.sha256(b"".join(stream.digest() for stream in streams)).digest()

    def _update_bytes(self, part: pa.Array) -> None:
        if part.null_count == len(part):  # as decisions and errors mostly are
            self.lengths.update(bytes(_U32_BYTES * len(part)))
            return
        if part.null_count:  # a null slot may hide bytes: Arrow leaves them undefined
            part = part.fill_null(_nothing(part.type))
        offsets = _offsets(part)
        self.lengths.update(_u32(np.diff(offsets)))
        data = part.buffers()[2]
        if data is not None:
            self.values.update(memoryview(data)[int(offsets[0]) : int(offsets[-1])])

    def _update_list(self, part: pa.Array) -> None:
        lengths = part.value_lengths().fill_null(0)
        self.lengths.update(_u32(lengths.to_numpy(zero_copy_only=False)))
        elements = part.flatten()  # leaves out what null lists hide
        if elements.null_count:
            self.element_nulls.update(_u32(_null_rows(elements) + self.elements))
        self.values.update(_bytes(_fixed("f8", elements)))
        self.elements += len(elements)


def _fixed(tag: str, part: pa.Array) -> npt.NDArray[Any]:
    """Return the values, null slots zero, NaN in its one pattern."""
    if tag == "t":
        part = part.cast(pa.int64())
    if part.null_count:
        part = part.fill_null(_nothing(part.type))
    values = _flags(part) if tag == "b1" else np.from_dlpack(part)
    if tag == "f8":
        nan = np.isnan(values)
        if nan.any():
            values = np.where(nan, _NAN, values)
    plain: npt.NDArray[Any] = values.astype({"f8": "<f8", "b1": "u1"}.get(tag, "<i8"), copy=False)
    return plain


def _offsets(part: pa.Array) -> npt.NDArray[Any]:
    raw, kind = part.buffers()[1], part.type
    if raw is None or not len(part):
        return np.zeros(1, dtype=np.int64)
    large = pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)
    width = np.int64 if large else np.int32
    return np.frombuffer(raw, dtype=width)[part.offset : part.offset + len(part) + 1]


def _null_rows(part: pa.Array) -> npt.NDArray[np.int64]:
    if part.null_count == len(part):
        return np.arange(len(part))
    return np.flatnonzero(_flags(part.is_null()))


def _flags(part: pa.Array) -> npt.NDArray[np.bool_]:
    """Return booleans without nulls."""
    data, stop = part.buffers()[1], part.offset + len(part)
    bits = np.frombuffer(data or b"", dtype=np.uint8)
    return np.unpackbits(bits, count=stop, bitorder="little")[part.offset :].view(np.bool_)


def _u32(values: npt.NDArray[Any]) -> memoryview:
    assert not values.size or int(values.max()) < 2**32, "a length beyond the format"
    return _bytes(values.astype("<u4"))


def _bytes(values: npt.NDArray[Any]) -> memoryview:
    return np.ascontiguousarray(values).data.cast("B") if values.size else memoryview(b"")
