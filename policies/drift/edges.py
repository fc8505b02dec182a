"""Fixed edges: the bins of one feature, cut once from its reference and frozen in the plan.

The range of the reference (without its outer thousandths) is 2,048 equal cells; neighbouring cells are joined
to about 64 bins of equal mass. A value finds its bin by one subtraction, one product and one table, which
is a quarter of the time of a search among the edges, and the same on every machine.
"""

import math

import msgspec
import numpy as np

from policies.checks import refuse
from policies.columns import Floats, Ints

CELLS = 2048
_BINS = 64
_STEEPEST = 2.0**900  # cells per unit of a feature that never varies: below, at, above
TRIM = 0.001  # of the values lie outside the cells, on each side
_BLOCK = 2**16


class Edges(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Frozen bins: cell = (value - low) * per, and `cuts` are the cells at which a bin begins.

    Cell 0 begins the range and cell 2,048 ends it: below and above it there is one bin each.
    """

    low: float
    per: float
    cuts: tuple[int, ...]

    def __post_init__(self) -> None:
        if not math.isfinite(self.low):
            refuse("edges.low", self.low, "a finite number", "Cut the edges from a reference.")
        if not 0.0 < self.per < math.inf:
            refuse("edges.per", self.per, "a finite number above 0", "Cut the edges from a reference.")
        rising = all(a < b for a, b in zip(self.cuts, self.cuts[1:], strict=False))
        if not rising or len(self.cuts) < 2 or self.cuts[0] != 0 or self.cuts[-1] != CELLS:  # noqa: PLR2004
            refuse("edges.cuts", self.cuts, f"rising cells from 0 to {CELLS}", "Cut them from a reference.")

    @property
    def bins(self) -> int:
        """Return the number of bins, the open ones at both ends among them."""
        return len(self.cuts) + 1

    def counts(self, values: Floats) -> Ints:
        """Return the count of finite `values` per bin, shape (bins,), in numerical order.

        >>> grid_of(7.0, 7.0).counts(np.array([6.9, 7.0, 7.0, 7.1])).tolist()
        [1, 2, 1]
        """
        return np.add.reduceat(self.cells(values), np.array([0, *(cut + 1 for cut in self.cuts)]))

    def cells(self, values: Floats) -> Ints:
        """Return the count of finite `values` per cell, shape (CELLS + 2,): below, the cells, above."""
        found = np.zeros(CELLS + 2, dtype=np.int64)
        cell = np.empty(min(values.size, _BLOCK))
        with np.errstate(over="ignore"):  # values far outside become infinite here, and are clipped
            for start in range(0, values.size, _BLOCK):
                block = values[start : start + _BLOCK]
                part = cell[: block.size]
                np.subtract(block, self.low, out=part)
                np.multiply(part, self.per, out=part)
                np.add(part, 1.0, out=part)
                np.clip(part, 0.0, CELLS + 1.0, out=part)
                found += np.bincount(part.astype(np.intp), minlength=CELLS + 2)
        return found


def grid_of(low: float, high: float) -> Edges:
    """Return the cells between two finite values of a reference, as one bin."""
    half = high / 2.0 - low / 2.0  # the halves cannot overflow, the difference could
    per = min(CELLS / 2.0 / half, _STEEPEST) if half > 0.0 else _STEEPEST
    return Edges(low, per, (0, CELLS))


def cut_edges(grid: Edges, cells: Ints) -> Edges:
    """Return the edges for a feature whose reference has these counts in the cells of its grid."""
    reached = np.cumsum(cells[1:-1])
    steps = np.searchsorted(reached, np.arange(1, _BINS) * (int(reached[-1]) / _BINS), side="right")
    cuts = sorted({0, CELLS, *(int(step) for step in steps if 0 < step < CELLS)})
    return Edges(grid.low, grid.per, tuple(cuts))
