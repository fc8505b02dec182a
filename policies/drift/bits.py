"""The float-bit histogram: a double's own leading bits name its bin, so no edge has to be chosen or kept.

Sixteen bins per octave from 2**-12 to 2**30, one bin per eight octaves beyond, the same mirrored for negative
values, and one bin around zero: 1,849 bins in numerical order, each a union of whole bit patterns. A column
like 1e9 plus or minus 1 lies in one bin; the fixed edges of the plan are for that (docs/adr/0014).
"""

import numpy as np
import numpy.typing as npt

from policies.columns import Floats, Ints

CORE_LOW, CORE_HIGH = -12, 30
_PER_OCTAVE, _TAIL_OCTAVES = 16, 8
_BIAS, _SPECIAL = 1023, 0x7FF
_BELOW = -((-_BIAS + 1 - CORE_LOW) // _TAIL_OCTAVES)
_CORE = (CORE_HIGH - CORE_LOW) * _PER_OCTAVE
_ABOVE = (_BIAS - CORE_HIGH) // _TAIL_OCTAVES + 1
MAGNITUDES = _BELOW + _CORE + _ABOVE
BINS = 2 * MAGNITUDES + 1
_PATTERNS = 2**16
_BLOCK = 2**18  # fewer turns over the 65,536 patterns; larger blocks leave the cache


def _table() -> npt.NDArray[np.int64]:
    """Return the bin of each pattern of sign, exponent and four mantissa bits; -1 for NaN and infinity."""
    magnitude = np.arange(_PATTERNS // 2)
    exponent, mantissa = magnitude >> 4, magnitude & 15
    octave = exponent - _BIAS
    below = _BELOW - (CORE_LOW - 1 - octave) // _TAIL_OCTAVES
    core = _BELOW + 1 + (octave - CORE_LOW) * _PER_OCTAVE + mantissa
    above = _BELOW + _CORE + 1 + (octave - CORE_HIGH) // _TAIL_OCTAVES
    index = np.where(octave < CORE_LOW, below, np.where(octave < CORE_HIGH, core, above))
    index = np.where(exponent == 0, 0, index)  # zero and what is subnormal
    both = np.concatenate([MAGNITUDES + index, MAGNITUDES - index])
    both[np.concatenate([exponent, exponent]) == _SPECIAL] = -1
    both.flags.writeable = False
    return both


_TABLE = _table()


def bit_counts(values: Floats) -> tuple[Ints, int]:
    """Return the count per bin, shape (BINS,), and how many values are NaN or infinite and so in none.

    >>> counts, special = bit_counts(np.array([-0.0, 0.0, 5e-324, float("nan")]))
    >>> int(counts[MAGNITUDES]), special
    (3, 1)
    """
    patterns = np.ascontiguousarray(values, dtype="<f8").view("<u2")[3::4]
    seen = np.zeros(_PATTERNS, dtype=np.int64)
    for start in range(0, patterns.size, _BLOCK):
        seen += np.bincount(patterns[start : start + _BLOCK], minlength=_PATTERNS)
    found = np.flatnonzero(seen != 0)  # truths are searched four times as fast as numbers
    bins, counts = _TABLE[found], seen[found]
    held = bins >= 0
    total = np.zeros(BINS, dtype=np.int64)
    np.add.at(total, bins[held], counts[held])
    return total, int(counts[~held].sum())
