"""Fingerprints: 64 bits an id, the same for ever, by which it is told that an id is not among many others."""

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from replay.columns import ids
from replay.matching import Integers

Fingerprints = npt.NDArray[np.uint64]

_WORD = 8
# Of longer ids only so many bytes count, at each end: two of them may share a fingerprint, and be looked up.
_END = 8 * _WORD
_SEED, _ODD, _MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93), np.uint64(32)
# What of a word belongs to an id of which so many bytes are left.
_MASKS = np.array([(1 << 8 * left) - 1 for left in range(_WORD + 1)], dtype=np.uint64)


def fingerprints(column: pa.ChunkedArray) -> Fingerprints:
    """Return 64 bits for each id; equal ids have equal ones, others almost never.

    Nothing may rest on two being equal: who needs to know compares the ids. Whoever chooses ids can make
    them collide, which costs time and nothing else.

    >>> fingerprints(pa.chunked_array([["a", "b", "a"]])).tolist()[::2]
    [972973422576969904, 972973422576969904]
    """
    parts = [_of_array(chunk) for chunk in ids(column, "id").chunks if len(chunk)]
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.uint64)


def first_shared(wanted: Fingerprints, sorted_print: Fingerprints) -> bool:
    """Return whether any of `wanted` is among the others, which are sorted."""
    if not sorted_print.size or not wanted.size:
        return False
    at = np.minimum(np.searchsorted(sorted_print, wanted), sorted_print.size - 1)
    return bool((sorted_print[at] == wanted).any())


def _of_array(names: pa.Array) -> Fingerprints:
    bounds = np.frombuffer(names.buffers()[1], dtype=np.int64)[names.offset : names.offset + len(names) + 1]
    data = names.buffers()[2]
    begin, end = int(bounds[0]), int(bounds[-1])
    plain = np.zeros(end - begin + _WORD, dtype=np.uint8)
    if data is not None:
        plain[: end - begin] = np.frombuffer(data, dtype=np.uint8)[begin:end]
    # Eight bytes from each place on, whatever its alignment.
    words = np.ndarray((end - begin + 1,), dtype="<u8", buffer=plain, strides=(1,))
    starts, lengths = bounds[:-1] - begin, np.diff(bounds)
    found = lengths.astype(np.uint64) * _SEED
    _fold(found, words, starts, np.minimum(lengths, _END))
    longer = np.flatnonzero(lengths > _END)
    if longer.size:
        rest = found[longer]
        _fold(rest, words, starts[longer] + lengths[longer] - _END, np.full(longer.size, _END))
        found[longer] = rest
    return found


def _fold(found: Fingerprints, words: Fingerprints, starts: Integers, lengths: Integers) -> None:
    """Take the bytes of each id into its fingerprint, a word at a time."""
    for at in range(0, int(lengths.max()), _WORD):
        left = np.clip(lengths - at, 0, _WORD)
        rows = slice(None) if left.all() else np.flatnonzero(left)
        mixed = (found[rows] ^ (words[starts[rows] + at] & _MASKS[left[rows]])) * _ODD
        found[rows] = mixed ^ (mixed >> _MIX)
