"""Quantiles of a stream, such as the p99 of latency: a mergeable histogram and its confidence sequence.

For the report. A decision about latency rests on the paired share of answers beyond the objective, which
needs a third of the data (measured: 7,090 pairs for a change of 10 % of p99 that separate sequences found
in 9 % of runs).
"""

import math
from collections.abc import Mapping

import msgspec
import numpy as np
from scipy.special import betaln

from policies.checks import between
from policies.columns import Floats, Ints
from policies.errors import ColumnsError
from recorders.canonical import canonical_json

_PRIOR_WEIGHT = 200.0  # the mixture is sharpest when a few hundred were seen
_SHIFT = 47  # of 52 bits of mantissa five are kept: 32 bins per octave, 3 % wide
_ENDS = 2  # each spends half of alpha


class Histogram(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Counts per bin of values of at least 0: a bin is the leading bits of a double, so edges are exact.

    Bin k holds [edge(k), edge(k + 1)). Only bins with a count are kept.
    """

    counts: dict[int, int]

    @classmethod
    def empty(cls) -> "Histogram":
        """Return the histogram of nothing."""
        return cls({})

    @classmethod
    def of(cls, values: Floats) -> "Histogram":
        """Return the histogram of these values.

        Raises:
            ColumnsError: a value is below 0, infinite or not a number.
        """
        bad = int(np.count_nonzero(~(np.isfinite(values) & (values >= 0.0))))
        if bad:
            raise ColumnsError(
                "values",
                f"below 0 or not finite in {bad} rows",
                "finite values of at least 0",
                "Leave them out.",
            )
        codes = (np.ascontiguousarray(np.abs(values), dtype=np.float64).view(np.int64)) >> _SHIFT
        counts = np.bincount(codes)  # sixteen bits: counting is ten times faster than sorting
        bins = np.flatnonzero(counts)
        return cls(dict(zip(bins.tolist(), counts[bins].tolist(), strict=True)))

    def merge(self, other: "Histogram") -> "Histogram":
        """Return the histogram of both samples together."""
        return Histogram(
            {k: _at(self.counts, k) + _at(other.counts, k) for k in sorted(self.counts | other.counts)}
        )

    def to_json(self) -> bytes:
        """Return the canonical JSON."""
        return canonical_json(msgspec.to_builtins(self, str_keys=True))

    @property
    def count(self) -> int:
        """Return how many values were seen."""
        return sum(self.counts.values())


def edge(code: int) -> float:
    """Return the lower edge of a bin: exact, and the same on every machine.

    >>> edge(int(Histogram.of(np.array([100.0])).counts.popitem()[0]))
    100.0
    """
    return float(np.array([code << _SHIFT], dtype=np.int64).view(np.float64)[0])


def share_log_e(below: Ints, count: int, share: float) -> Floats:
    """Return the log e-values against "a share of exactly `share` lies below", two-sided; exact.

    `below` are counts out of `count`, any shape. The beta mixture of binomial likelihoods around the share
    (Howard and Ramdas 2022), with a = 200 share and b = 200 (1 - share).

    >>> share_log_e(np.array([0]), 0, 0.99).tolist()
    [0.0]
    """
    a, b = _PRIOR_WEIGHT * share, _PRIOR_WEIGHT * (1.0 - share)
    mixed = betaln(a + below, b + count - below) - betaln(a, b)
    logs: Floats = mixed - below * math.log(share) - (count - below) * math.log1p(-share)
    return logs


def quantile_sequence(seen: Histogram, share: float, alpha: float) -> tuple[float, float]:
    """Return where the quantile lies, at every look at once with probability at least 1 - alpha.

    The ends are edges of bins; 0 and infinity where nothing is excluded yet. An edge is below the quantile
    when too few values lie below it: for the true share below, which is then at least `share`, the evidence
    is stronger still. Each end spends alpha/2.

    Raises:
        PlanError: the share or alpha is not strictly between 0 and 1.

    >>> quantile_sequence(Histogram.empty(), 0.5, 0.05)
    (0.0, inf)
    """
    between("quantile", share, 0.0, 1.0)
    between("alpha", alpha, 0.0, 1.0)
    codes = sorted(seen.counts)
    counts = np.array([seen.counts[code] for code in codes], dtype=np.int64)
    above, count = np.cumsum(counts), seen.count  # values below each bin's upper edge
    edges = np.append(above - counts, above)
    excluded = (share_log_e(edges, count, share) >= math.log(_ENDS / alpha)).reshape(2, -1)
    low = np.flatnonzero(excluded[0] & (above - counts < share * count))
    high = np.flatnonzero(excluded[1] & (above > share * count))
    return edge(codes[low[-1]]) if low.size else 0.0, edge(codes[high[0]] + 1) if high.size else math.inf


def _at(counts: Mapping[int, int], code: int) -> int:
    return counts.get(code, 0)
