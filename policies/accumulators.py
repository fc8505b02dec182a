"""Accumulators: small sums that merge. All are integers, so any partition and order gives the same bytes.

Laws (tests/laws/test_accumulators.py): `empty()` is the identity of `merge`; `merge` is commutative and
associative; one pass over the rows equals any split of them.
"""

from typing import Annotated

import msgspec
import numpy as np

from policies.columns import Floats, Ints
from policies.fixed import exact_squares, exact_sum

Count = Annotated[int, msgspec.Meta(ge=0)]  # held when evidence is read back


class TernaryCounts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often the challenger was better, level and worse, per unit."""

    better: Count
    level: Count
    worse: Count

    @classmethod
    def empty(cls) -> "TernaryCounts":
        """Return the counts of nothing."""
        return cls(0, 0, 0)

    @classmethod
    def of(cls, differences: Ints) -> "TernaryCounts":
        """Return the counts of these paired differences, by sign."""
        better, worse = int(np.count_nonzero(differences > 0)), int(np.count_nonzero(differences < 0))
        return cls(better, differences.size - better - worse, worse)

    def merge(self, other: "TernaryCounts") -> "TernaryCounts":
        """Return the counts of both samples together."""
        return TernaryCounts(self.better + other.better, self.level + other.level, self.worse + other.worse)

    @property
    def count(self) -> int:
        """Return the number of units."""
        return self.better + self.level + self.worse


class Moments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The three sums of a sample: how many, their total and the total of their squares.

    `total` is in the fixed-point unit, `squares` in its square; exact integers without bound.
    """

    count: Count
    total: int
    squares: int

    @classmethod
    def empty(cls) -> "Moments":
        """Return the moments of nothing.

        >>> Moments.empty().merge(Moments.empty()).count
        0
        """
        return cls(0, 0, 0)

    @classmethod
    def of(cls, values: Ints) -> "Moments":
        """Return the moments of these fixed-point values, each at most 2**41 in size."""
        return cls(int(values.size), exact_sum(values), exact_squares(values))

    def merge(self, other: "Moments") -> "Moments":
        """Return the moments of both samples together."""
        return Moments(self.count + other.count, self.total + other.total, self.squares + other.squares)

    def negated(self) -> "Moments":
        """Return the moments of the values with the other sign: champion and challenger swapped."""
        return Moments(self.count, -self.total, self.squares)

    @property
    def mean(self) -> float | None:
        """Return the mean in the fixed-point unit, correctly rounded; None of nothing."""
        return self.total / self.count if self.count else None


LOG_UNIT = 2**40
_BLOCK = 2**16  # the largest loss, log(2**-53), is below 2**6 in size: sums stay below 2**62


class GridCapital(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The logarithm of the capital of each bet of a grid, in units of 2**-40.

    Each unit's logarithm is rounded *down* before it is added. So the sum is exact, in any order, and the
    e-value is never above the true one: rounding can only cost evidence, not invent it.
    """

    count: Count
    logs: tuple[int, ...]

    @classmethod
    def empty(cls, size: int) -> "GridCapital":
        """Return the capital before any bet: 1 on each of `size` bets."""
        return cls(0, (0,) * size)

    @classmethod
    def of(cls, gains: Floats, bets: Floats) -> "GridCapital":
        """Return the capital after betting each of `bets` (each from 0 to below 1) on `gains` (at least -1).

        >>> GridCapital.of(np.array([-1.0]), np.array([0.5])).logs[0] <= -0.6931 * LOG_UNIT
        True
        """
        totals = [0] * bets.size
        for start in range(0, gains.size, _BLOCK):
            won = np.multiply.outer(bets, gains[start : start + _BLOCK])
            np.log1p(won, out=won)
            won *= LOG_UNIT
            sums = np.floor(won, out=won).astype(np.int64).sum(axis=1).tolist()
            totals = [total + block for total, block in zip(totals, sums, strict=True)]
        return cls(int(gains.size), tuple(totals))

    def merge(self, other: "GridCapital") -> "GridCapital":
        """Return the capital after both samples."""
        assert len(self.logs) == len(other.logs), "one grid per plan"
        return GridCapital(self.count + other.count, tuple(map(sum, zip(self.logs, other.logs, strict=True))))

    def log_capital(self) -> list[float]:
        """Return the natural logarithm of each bet's capital."""
        return [log / LOG_UNIT for log in self.logs]
