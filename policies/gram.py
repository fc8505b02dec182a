"""The Gram matrix of covariates and a difference, in integers: all that a regression needs, and it merges."""

from collections.abc import Sequence

import msgspec

from policies.columns import Ints
from policies.fixed import exact_products, exact_sum


class Gram(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How many rows, the total of each column, and the totals of the products of each two, by rows.

    `products` holds the upper triangle with the diagonal: (0, 0), (0, 1), ..., (1, 1), ... The last column is
    the difference. All in fixed point; exact integers without bound.
    """

    count: int
    totals: tuple[int, ...]
    products: tuple[int, ...]

    @classmethod
    def empty(cls, columns: int) -> "Gram":
        """Return the matrix of no rows.

        >>> Gram.empty(2).products
        (0, 0, 0)
        """
        return cls(0, (0,) * columns, (0,) * (columns * (columns + 1) // 2))

    @classmethod
    def of(cls, columns: Sequence[Ints]) -> "Gram":
        """Return the matrix of fixed-point columns of one length, each value at most 2**41 in size."""
        pairs = [(i, j) for i in range(len(columns)) for j in range(i, len(columns))]
        return cls(
            int(columns[0].size),
            tuple(exact_sum(column) for column in columns),
            tuple(exact_products(columns[i], columns[j]) for i, j in pairs),
        )

    def merge(self, other: "Gram") -> "Gram":
        """Return the matrix of both samples together."""
        assert len(self.totals) == len(other.totals), "one set of covariates a plan"
        return Gram(
            self.count + other.count,
            tuple(map(sum, zip(self.totals, other.totals, strict=True))),
            tuple(map(sum, zip(self.products, other.products, strict=True))),
        )

    def product(self, i: int, j: int) -> int:
        """Return the total of the products of two columns."""
        first, second, size = min(i, j), max(i, j), len(self.totals)
        return self.products[first * size - first * (first - 1) // 2 + second - first]
