"""Keys of 64 bits in their order, and where any key would stand in it (docs/adr/0091)."""

from functools import cached_property
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from replay.fingerprints import Fingerprints, Integers

_KEY_BITS: Final = 64
# Beginnings are told apart for each key: about half of them are no key's.
_BEGINNINGS: Final = 2
# Keys with one beginning are so many at most, unless somebody chose them.
_STEPS: Final = 16


class ByKey(NamedTuple):
    """The rows of a column of ids in the order of their keys, and the keys in that order."""

    rows: npt.NDArray[np.integer[Any]]
    keys: Fingerprints


def by_key(keys: Fingerprints) -> ByKey:
    """Return rows in the order of their keys; rows with one key in their own order.

    Numbers are sorted in a fraction of the time that rows of numbers take. So a key carries its row in place
    of its last bits, and the few whose other bits are equal are sorted once more.

    >>> by_key(np.array([7 << 60, 2, 1 << 60, 1], dtype=np.uint64)).rows.tolist()
    [3, 1, 2, 0]
    """
    bits = np.uint64(keys.size.bit_length())
    carried = keys >> bits << bits
    carried |= np.arange(keys.size, dtype=np.uint64)
    carried.sort()
    rows = (carried & ((np.uint64(1) << bits) - np.uint64(1))).view(np.int64)
    found = keys[rows]
    carried >>= bits
    again = carried[1:] == carried[:-1]
    if again.any():
        alike = np.zeros(keys.size, dtype=np.bool_)
        alike[1:] |= again
        alike[:-1] |= again
        places = np.flatnonzero(alike)
        order = places[np.argsort(found[places], kind="stable")]
        rows[places], found[places] = rows[order], found[order]
    return ByKey(rows, found)


class Places:
    """Where a key stands among sorted ones: from the first with its beginning on, a step or two.

    A search through sorted keys for unsorted ones misses the caches at every halving; this does it twice.
    """

    def __init__(self, keys: Fingerprints) -> None:
        self._keys = keys

    @cached_property
    def _starts(self) -> tuple[np.uint64, npt.NDArray[np.int32]]:
        """Return how far to shift a key to its beginning, and where the keys with a beginning start."""
        bits = (_BEGINNINGS * self._keys.size).bit_length()
        shift = np.uint64(_KEY_BITS - bits)
        counts = np.bincount((self._keys >> shift).view(np.int64), minlength=2**bits)
        starts = np.zeros(2**bits, dtype=np.int32)
        np.cumsum(counts[:-1], out=starts[1:])
        return shift, starts

    def of(self, asked: Fingerprints) -> Integers:
        """Return what `np.searchsorted` does, but the last place where that is none.

        >>> Places(np.array([1, 5], np.uint64)).of(np.array([3, 0, 6], np.uint64)).tolist()
        [1, 0, 1]
        """
        keys, (shift, starts) = self._keys, self._starts
        last = keys.size - 1
        # Every place is one: clipping does nothing but at the end, and is quicker than to look.
        at = np.minimum(starts.take((asked >> shift).view(np.int64), mode="clip"), last).astype(np.int64)
        less = np.flatnonzero(keys.take(at, mode="clip") < asked)
        for _step in range(_STEPS):
            less = less[at[less] < last]
            if not less.size:
                return at
            at[less] += 1
            less = less[keys[at[less]] < asked[less]]
        at[less] = np.minimum(np.searchsorted(keys, asked[less]), last)
        return at
