"""DeLong's test in parts: each group's difference of AUC with its variance, as integers that add up.

The test wants all scores at once, and evidence keeps none. But groups that are folded whole are strata: their
differences add up, and so do the variances (DeLong et al. 1988 within each).
"""

import msgspec
import numpy as np

from policies.accumulators import Count
from policies.columns import Floats, Ints
from policies.fixed import exact_sum, to_fixed
from policies.ranking import Ranking

SCALE = 2**40  # a group of a million decisions has a variance of about 1e-7
_FEWEST = 2


class RankSums(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Groups with two decisions of either label, and the totals of differences and variances, by SCALE."""

    groups: Count
    difference: int
    variance: int

    def merge(self, other: "RankSums") -> "RankSums":
        """Return those of both samples together."""
        return RankSums(
            self.groups + other.groups, self.difference + other.difference, self.variance + other.variance
        )


def rank_sums(codes: Ints, scores: tuple[Floats, Floats], label: Floats, groups: int) -> RankSums:
    """Return the sums over groups of challenger minus champion; smaller groups are left out.

    `codes` from 0 to groups - 1 say which group; labels are 0 and 1.
    """
    order = np.lexsort((scores[1], scores[0], label, codes))  # by content: floats are added in one order
    codes, label = codes[order], label[order]
    apart: Floats = np.subtract(*(_placements(codes, score[order], label, groups) for score in scores[::-1]))
    first = _of_label(apart, codes, label == 1.0, groups)
    second = _of_label(apart, codes, label == 0.0, groups)
    kept = (first.count >= _FEWEST) & (second.count >= _FEWEST)
    difference = to_fixed(first.mean[kept], SCALE)
    variance = to_fixed((first.error + second.error)[kept], SCALE)
    return RankSums(int(np.count_nonzero(kept)), exact_sum(difference), exact_sum(variance))


class _Side(msgspec.Struct, frozen=True):
    count: Ints
    mean: Floats
    error: Floats


def _of_label(apart: Floats, codes: Ints, rows: np.ndarray, groups: int) -> _Side:
    """Return of each group the count, the mean and the squared error of the mean over these rows."""
    own, values = codes[rows], apart[rows]
    count = np.bincount(own, minlength=groups)
    size = np.maximum(count, 1)
    mean: Floats = np.bincount(own, weights=values, minlength=groups) / size
    squares = np.bincount(own, weights=(values - mean[own]) ** 2, minlength=groups)
    return _Side(count, mean, squares / np.maximum(count - 1, 1) / size)


def _placements(codes: Ints, score: Floats, label: Floats, groups: int) -> Floats:
    """Return of each positive the share of its group's negatives below it, of each negative the like.

    Negatives: the share of positives above them. Ties count half.
    """
    total = np.bincount(codes, weights=label, minlength=groups)
    size = np.bincount(codes, minlength=groups)
    ranking = Ranking(codes, groups, score)
    lengths = np.diff(ranking.bounds)
    positive, block = label[ranking.order], np.repeat(np.arange(lengths.size), lengths)
    group = codes[ranking.order[ranking.bounds[:-1]]]
    found = np.empty(codes.size)
    for own, whole in ((1.0, size - total), (0.0, total)):
        others = np.where(positive == own, 0.0, 1.0)
        inside = np.bincount(block, weights=others)
        before = np.cumsum(inside) - inside
        start = np.cumsum(whole) - whole  # others of the groups before
        below = (before - start[group] + inside / 2.0) / np.maximum(whole[group], 1.0)
        rows = positive == own
        share = below[block[rows]]
        found[ranking.order[rows]] = share if own else 1.0 - share
    return found
