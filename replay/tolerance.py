"""Tolerances: when two scores count as the same answer."""

import math
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from replay.errors import ToleranceUnknown

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
Kind = Literal["exact", "absolute", "relative", "ulp", "rank", "decision"]

_FORM = re.compile(r"(exact|decision)|(absolute|relative|ulp|rank):([0-9.eE+-]+)")


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far two scores may be apart.

    `exact`: equal bits. `absolute`: |a - b| <= limit. `relative`: |a - b| <= limit * max(|a|, |b|).
    `ulp`: at most `limit` doubles lie between. `rank`: their places among all compared differ by at most
    `limit` (a share, at most 1) of their number, ties at their mean; a row without a score on one side has no
    place on either. `decision`: scores do not matter.
    """

    kind: Kind
    limit: float = 0.0

    @classmethod
    def parse(cls, text: str) -> "Tolerance":
        """Return the tolerance that is written as a kind, or a kind and its limit.

        Raises:
            ToleranceUnknown: it is neither.

        >>> Tolerance.parse("ulp:4")
        Tolerance(kind='ulp', limit=4.0)
        """
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise ToleranceUnknown(text)
        if found[1]:
            return cls(found[1])  # type: ignore[arg-type]  # the form allows these two alone
        try:
            limit = float(found[3])
        except ValueError as error:
            raise ToleranceUnknown(text) from error
        most = 1.0 if found[2] == "rank" else math.inf
        if not (math.isfinite(limit) and 0 <= limit <= most) or (found[2] == "ulp" and limit % 1):
            raise ToleranceUnknown(text)
        return cls(found[2], limit)  # type: ignore[arg-type]  # as above

    def __str__(self) -> str:
        return (
            self.kind
            if self.kind in {"exact", "decision"}
            else f"{self.kind}:{repr(self.limit).removesuffix('.0')}"
        )

    def within(self, a: Floats, b: Floats) -> Flags:
        """Return where two scores count as the same. NaN is the same as NaN, and as nothing else.

        >>> Tolerance("absolute", 0.1).within(np.array([1.0, np.nan]), np.array([1.05, 1.0])).tolist()
        [True, False]
        """
        same: Flags = (a == b) | (np.isnan(a) & np.isnan(b))
        finite = np.isfinite(a) & np.isfinite(b)
        with np.errstate(invalid="ignore", over="ignore"):
            close = self._close(a, b)
        return same | (finite & close)

    def _close(self, a: Floats, b: Floats) -> Flags:
        apart = np.abs(a - b)
        match self.kind:
            case "exact":
                return np.zeros(a.size, dtype=np.bool_)
            case "decision":
                return np.ones(a.size, dtype=np.bool_)
            case "absolute":
                return np.asarray(apart <= self.limit)
            case "relative":
                return np.asarray(apart <= self.limit * np.maximum(np.abs(a), np.abs(b)))
            case "ulp":
                # As floats: the distance of two integers of either sign may not fit one.
                return np.asarray(np.abs(_ordinal(a) - _ordinal(b)) <= self.limit)
            case "rank":
                compared = ~(np.isnan(a) | np.isnan(b))
                apart[compared] = np.abs(_rank(a[compared]) - _rank(b[compared]))
                return np.asarray(apart <= self.limit * np.count_nonzero(compared))


def _ordinal(values: Floats) -> npt.NDArray[np.longdouble]:
    """Return the place of each double among all doubles: neighbours differ by one, both zeros are 0."""
    bits = values.view(np.int64)
    placed = np.where(bits < 0, np.int64(-(2**63)) - bits, bits)
    return placed.astype(np.longdouble)


def _rank(values: Floats) -> Floats:
    """Return the place of each value in their order, from 0 on; equal ones share the mean of theirs."""
    _unique, of, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean = last - (counts + 1) / 2
    return np.asarray(mean[of], dtype=np.float64)
