"""Fingerprints: 64 bits an id, by which it is told that an id is not among many others, and where it may be.

They are stored beside training sets (`kept/3`), so that their definition stays for ever.
"""

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.columns import ids

Integers = npt.NDArray[np.int64]
Fingerprints = npt.NDArray[np.uint64]

_WORD = 8
# Of longer ids only so many bytes count, at each end: two of them may share a fingerprint, and be looked up.
_END = 8 * _WORD
# So many rows are taken at once: they and what is made of them stay in the cache.
_ROWS = 2**12
# Beginnings of fingerprints for each that is looked for, up to so many bits: few others have one of them.
_MARKS, _MARK_BITS = 64, 22
# So many times fewer are searched for one by one.
_FEWER = 32
_SEED, _ODD, _HALF = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93), np.uint64(32)
# What of a word belongs to an id of which so many bytes are left.
_MASKS = np.array([(1 << 8 * left) - 1 for left in range(_WORD + 1)], dtype=np.uint64)


def fingerprints(column: pa.ChunkedArray) -> Fingerprints:
    """Return 64 bits for each id; equal ids have equal ones, others almost never.

    Nothing may rest on two being equal: who needs to know compares the ids. Whoever chooses ids can make
    them collide, which costs time and nothing else.

    >>> fingerprints(pa.chunked_array([["a", "b", "a"]])).tolist()[::2]
    [972973422576969904, 972973422576969904]
    """
    parts = [of_texts(chunk) for chunk in ids(column, "id").chunks if len(chunk)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)


class Sought:
    """Fingerprints that are looked for among many others."""

    def __init__(self, prints: Fingerprints) -> None:
        found = np.sort(prints)
        # numpy's own `unique` takes six times as long.
        self._own = found[np.concatenate([[True], found[1:] != found[:-1]])] if found.size else found

    @cached_property
    def _beginnings(self) -> tuple[np.uint64, npt.NDArray[np.bool_]]:
        """Return how far to shift a fingerprint to its beginning, and which beginnings there are."""
        bits = min((_MARKS * self._own.size).bit_length(), _MARK_BITS)
        shift, found = np.uint64(8 * _WORD - bits), np.zeros(2**bits, dtype=np.bool_)
        found[(self._own >> shift).view(np.int64)] = True
        return shift, found

    def any_among(self, others: Fingerprints) -> bool:
        """Return whether one of them is among the others, which are sorted."""
        if _FEWER * self._own.size < others.size:
            return _shared(self._own, others)
        shift, marks = self._beginnings
        return _shared(others[marks[(others >> shift).view(np.int64)]], self._own)


def _shared(few: Fingerprints, many: Fingerprints) -> bool:
    if not few.size or not many.size:
        return False
    at = np.minimum(np.searchsorted(many, few), many.size - 1)
    return bool((many[at] == few).any())


def of_texts(texts: pa.Array) -> Fingerprints:
    """Return the fingerprint of each of some large strings without nulls, shape (rows,)."""
    _, offsets, data = texts.buffers()
    found: Fingerprints = np.empty(len(texts), dtype=np.uint64)
    if not len(texts):
        return found
    ends = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    raw = np.frombuffer(data or b"", dtype=np.uint8)
    for at in range(0, found.size, _ROWS):
        own = ends[at : at + _ROWS + 1]
        low, high = int(own[0]), int(own[-1])
        padded = np.zeros(high - low + _WORD, dtype=np.uint8)
        padded[: high - low] = raw[low:high]
        # Eight bytes from each place on, whatever its alignment.
        words: Fingerprints = np.ndarray((high - low + 1,), "<u8", padded.data, strides=(1,))
        found[at : at + _ROWS] = _folded(words, own[:-1] - low, np.diff(own))
    return found


def _folded(words: Fingerprints, starts: Integers, lengths: Integers) -> Fingerprints:
    found = lengths.astype(np.uint64) * _SEED
    shortest, longest = int(lengths.min()), int(lengths.max())
    _fold(found, words, starts, np.minimum(lengths, _END), shortest if shortest == longest else 0)
    if longest > _END:
        longer = np.flatnonzero(lengths > _END)
        rest = found[longer]
        _fold(rest, words, starts[longer] + lengths[longer] - _END, np.full(longer.size, _END), 0)
        found[longer] = rest
    return found


def _fold(found: Fingerprints, words: Fingerprints, starts: Integers, lengths: Integers, stride: int) -> None:
    """Take the bytes of each id into its fingerprint, a word at a time; `stride` apart, where it is not 0."""
    shortest = int(lengths.min())
    for done in range(0, int(lengths.max()), _WORD):
        # While all ids go on, rows are taken as they lie.
        active: Any = slice(None) if shortest > done else np.flatnonzero(lengths > done)
        word = words[done::stride][: found.size].copy() if stride else words[starts[active] + done]
        if shortest < done + _WORD:
            word &= _MASKS[np.minimum(lengths[active] - done, _WORD)]
        word ^= found[active]
        word *= _ODD
        word ^= word >> _HALF
        found[active] = word
