"""Rows in order of group and score, by sorts of packed integers, without `numpy.lexsort`.

Group, score and row share one word of 64 bits, which numpy sorts with vector instructions. What does not
fit of a score is cut off, and sorted in the same way among the rows that it would tell apart. So the order is
that of the whole scores, whatever they are.
"""

from functools import cached_property

import numpy as np
import numpy.typing as npt

from policies.columns import Floats, Ints, Mask

_WORD = 64
_MAGNITUDE = np.int64(2**63 - 1)
_Words = npt.NDArray[np.uint64]


class Ranking:
    """Rows by group, and by score within: `order` is the row at each place.

    Rows of one score in one group are a block. `bounds` has the first place of each block and then the number
    of rows, `places` the first place of each group and then that number, `firsts` the first block of each.
    """

    def __init__(self, codes: Ints, groups: int, score: Floats, *, descending: bool = False) -> None:
        self.order, fresh = _sorted(codes, groups, _ranks(score, descending=descending))
        self.places: Ints = np.append(0, np.cumsum(np.bincount(codes, minlength=groups)))
        self.bounds: Ints = np.append(np.flatnonzero(fresh), codes.size)

    @cached_property
    def firsts(self) -> Ints:
        """Return the number of the first block of each group, shape (groups,)."""
        firsts: Ints = np.searchsorted(self.bounds, self.places[:-1])
        return firsts


def _ranks(score: Floats, *, descending: bool) -> _Words:
    """Return integers from 0 in the order of finite scores; those of 0.0 and -0.0 are equal."""
    bits = (score + 0.0).view(np.int64)
    bits ^= (bits >> np.int64(_WORD - 1)) & _MAGNITUDE  # those of negative numbers fall as these rise
    if not bits.size:
        return bits.view(np.uint64)
    # The difference may pass 2**63 but not 2**64: unsigned arithmetic is right either way.
    words = bits.view(np.uint64)
    edge = words[bits.argmax() if descending else bits.argmin()]
    ranks: _Words = edge - words if descending else words - edge
    return ranks


def _sorted(codes: Ints, groups: int, ranks: _Words) -> tuple[Ints, Mask]:
    """Return the rows by code and rank, and where either differs from that of the row before."""
    rows = codes.size
    row_bits, code_bits = rows.bit_length(), groups.bit_length()
    assert row_bits + code_bits < _WORD  # 2**31 rows
    rank_bits = int(ranks.max(initial=0)).bit_length()
    cut = max(rank_bits + row_bits + code_bits - _WORD, 0)
    words = codes.astype(np.uint64)
    words <<= np.uint64(_WORD - code_bits)
    head = ranks >> np.uint64(cut)
    head <<= np.uint64(row_bits)
    words |= head
    words |= np.arange(rows, dtype=np.uint64)
    words.sort()
    order: Ints = (words & np.uint64(2**row_bits - 1)).view(np.int64)
    words >>= np.uint64(row_bits)
    fresh = np.ones(rows, dtype=np.bool_)
    np.not_equal(words[1:], words[:-1], out=fresh[1:])
    if cut and not fresh.all():
        _refine(order, fresh, ranks, np.uint64(2**cut - 1))
    return order, fresh


def _refine(order: Ints, fresh: Mask, ranks: _Words, cut_off: np.uint64) -> None:
    """Sort the rows that only what was cut off can tell apart, in place."""
    alike = ~fresh
    alike[:-1] |= alike[1:]
    at = np.flatnonzero(alike)
    own, new = order[at], fresh[at]
    rest = ranks[own] & cut_off
    if bool((new[1:] | (rest[1:] >= rest[:-1])).all()):  # equal scores, as a rule
        new[1:] |= rest[1:] != rest[:-1]
        fresh[at] = new
        return
    runs = np.cumsum(new) - 1
    within, fresh[at] = _sorted(runs, int(runs[-1]) + 1, rest)
    order[at] = own[within]
