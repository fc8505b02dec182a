"""Exact sums of floats: one integer that does not know in which order, or in how many parts, it was added."""

import numpy as np

from policies.columns import Floats

UNIT_BITS = 1074  # every double is a whole multiple of 2**-1074
_BLOCK = 2**16
_HEADROOM = 17  # 2**16 parts of at most 2**-17 of the ceiling sum without rounding
_HIGHEST = 960  # beyond this exponent the ceiling itself would overflow


def exact_total(values: Floats) -> int:
    """Return the sum of finite `values` in units of 2**-1074: exact, so equal over any split and order.

    Each pass splits off the leading 36 bits of every value against a common ceiling (Rump, Ogita and Oishi
    2008): what is split off, its sum and what remains are all exact. Two passes serve most columns.

    >>> exact_total(np.array([1e308, 1.0, -1e308])) == 2**UNIT_BITS
    True
    """
    total = 0
    for start in range(0, values.size, _BLOCK):
        rest = np.array(values[start : start + _BLOCK], dtype=np.float64)
        total += _block_total(rest)
    return total


def as_mean(total: int, count: int) -> float | None:
    """Return total/count as the nearest double; None of nothing."""
    return total / (count << UNIT_BITS) if count else None


def _block_total(rest: Floats) -> int:
    total = 0
    part = np.empty_like(rest)
    while True:
        largest = max(float(rest.max()), -float(rest.min()))
        if largest == 0.0:
            return total
        exponent = int(np.frexp(largest)[1])
        if exponent > _HIGHEST:
            return total + sum(_units(value) for value in rest.tolist())
        ceiling = float(np.ldexp(1.0, exponent + _HEADROOM))
        np.add(rest, ceiling, out=part)
        np.subtract(part, ceiling, out=part)
        np.subtract(rest, part, out=rest)
        total += _units(float(part.sum()))


def _units(value: float) -> int:
    numerator, denominator = value.as_integer_ratio()
    return (numerator << UNIT_BITS) // denominator
