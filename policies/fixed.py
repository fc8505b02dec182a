"""Fixed-point numbers: integers whose sums are the same in any order, on any machine (docs/adr/0008).

A value x is kept as k = x * scale, rounded half to even. Values are at most 2**40, differences 2**41,
so that every partial sum below fits 64 bits; totals are Python integers, which have no end.
"""

import numpy as np

from policies.columns import Floats, Ints
from policies.errors import EvidenceOverflow

VALUE_MAX = 2**40
_HALF_BITS = 21  # a difference of 2**41 splits into two halves of at most 2**21
_HALF_MASK = (1 << _HALF_BITS) - 1
_SMALL_BITS = 25
_EXACT_BITS = 53
_BLOCK = 2**20  # 2**20 products of 2**42 stay below 2**63


def to_fixed(values: Floats, scale: int) -> Ints:
    """Return `values` in units of 1/scale, rounded half to even, shape kept.

    `scale` is a power of two, so the product itself is exact.

    >>> to_fixed(np.array([0.5, 1.5, -0.25]), 1).tolist()
    [0, 2, 0]
    """
    scaled = values * scale
    fixed: Ints = np.rint(scaled, out=scaled).astype(np.int64)
    if fixed.size:  # the plan has checked bound times scale
        assert -VALUE_MAX <= int(fixed.min()) <= int(fixed.max()) <= VALUE_MAX
    return fixed


def exact_sum(values: Ints) -> int:
    """Return the sum of differences as a Python integer.

    >>> exact_sum(np.array([], dtype=np.int64))
    0
    """
    return sum(int(values[i : i + _BLOCK].sum()) for i in range(0, values.size, _BLOCK))


def exact_squares(values: Ints) -> int:
    """Return the sum of squared differences as a Python integer, by parts that cannot overflow.

    >>> exact_squares(np.array([-(2**41), 2**41 - 1])) == 2**82 + (2**41 - 1) ** 2
    True
    """
    bits = max(int(values.max(initial=0)), -int(values.min(initial=0))).bit_length()
    if bits <= _SMALL_BITS:  # whole squares fit, in blocks small enough for their sum to fit too
        step = 1 << (62 - 2 * bits)
        return sum(int(each @ each) for each in (values[i : i + step] for i in range(0, values.size, step)))
    total = 0
    for i in range(0, values.size, _BLOCK):
        block = values[i : i + _BLOCK]
        high, low = block >> _HALF_BITS, block & _HALF_MASK
        squares, cross, rest = int(high @ high), int(high @ low), int(low @ low)
        total += (squares << 2 * _HALF_BITS) + (cross << _HALF_BITS + 1) + rest
    return total


def exact_products(a: Ints, b: Ints) -> int:
    """Return the sum of products of differences as a Python integer, by parts that cannot overflow.

    >>> exact_products(np.array([2**41]), np.array([-(2**41)])) == -(2**82)
    True
    """
    total = 0
    for i in range(0, a.size, _BLOCK):
        one, other = a[i : i + _BLOCK], b[i : i + _BLOCK]
        high, low = one >> _HALF_BITS, one & _HALF_MASK
        up, down = other >> _HALF_BITS, other & _HALF_MASK
        total += (int(high @ up) << 2 * _HALF_BITS) + int(low @ down)
        total += (int(high @ down) + int(low @ up)) << _HALF_BITS
    return total


def group_sums(codes: Ints, values: Ints, groups: int) -> Ints:
    """Return the sum of `values` per code, shape (groups,).

    They are summed as floats, whose integers are exact up to 2**53: whole where no sum can be larger, else
    in halves, which allows 2**32 rows.

    Raises:
        EvidenceOverflow: one group's sum does not fit 64 bits.
    """
    bits = max(int(values.max(initial=0)), -int(values.min(initial=0))).bit_length()
    if bits + values.size.bit_length() <= _EXACT_BITS:
        return np.bincount(codes, weights=values, minlength=groups).astype(np.int64)
    high = np.bincount(codes, weights=values >> _HALF_BITS, minlength=groups)
    low = np.bincount(codes, weights=values & _HALF_MASK, minlength=groups)
    largest = float(np.abs(high).max(initial=0.0))
    if largest >= float(2 ** (62 - _HALF_BITS)):
        raise EvidenceOverflow("one unit", int(largest) << _HALF_BITS)
    sums: Ints = (high.astype(np.int64) << _HALF_BITS) + low.astype(np.int64)
    return sums


def divide_half_even(sums: Ints, counts: Ints) -> Ints:
    """Return sums / counts rounded half to even, in integer arithmetic alone; `counts` are above 0.

    >>> divide_half_even(np.array([1, 3, -1, -3, 7]), np.array([2, 2, 2, 2, 3])).tolist()
    [0, 2, 0, -2, 2]
    """
    quotient = sums // counts
    rest = sums - quotient * counts
    # `rest > counts - rest` says "more than half" without doubling, which could overflow.
    above = rest > counts - rest
    tie = rest == counts - rest
    rounded: Ints = quotient + (above | (tie & (quotient & 1 == 1)))
    return rounded
