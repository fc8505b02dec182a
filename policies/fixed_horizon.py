"""Tests for a single look at a planned size: familiar, and wrong as soon as somebody looks twice.

They are marked `planned_once` and never gate: the naive use of the same figures at 100 looks promotes 37 % of
equal models (tests/calibration/test_type_one.py).
"""

import math
from typing import Literal, NamedTuple

import numpy as np

from policies.accumulators import Moments, TernaryCounts
from policies.checks import between, positive
from policies.columns import Floats
from policies.errors import ColumnsError

_FEWEST = 2


class Planned(NamedTuple):
    """One fixed-horizon test: its statistic, and p where it can be told. `point` in the unit of the data."""

    method: str
    point: float | None
    p: float | None
    reason: str = ""
    validity: Literal["exact", "asymptotic"] = "asymptotic"
    planned_once: bool = True


def exact_mcnemar(counts: TernaryCounts) -> Planned:
    """Return the exact test of P(better) = P(worse), two-sided (McNemar 1947, binomial).

    >>> round(exact_mcnemar(TernaryCounts(30, 100, 10)).p, 6)
    0.002221
    """
    if not counts.better + counts.worse:
        return Planned("exact McNemar", 0.0 if counts.count else None, None, "no pair differs", "exact")
    from statsmodels.stats.contingency_tables import mcnemar  # it loads pandas

    found = mcnemar([[0, counts.better], [counts.worse, counts.level]], exact=True)
    point = (counts.better - counts.worse) / counts.count
    return Planned("exact McNemar", point, float(found.pvalue), validity="exact")


def tost(moments: Moments, margin: float) -> Planned:
    """Return the test of "the mean is not within +-margin" by two one-sided t tests (Schuirmann 1987).

    `margin` is in the unit of the moments; p is the larger of both sides.

    Raises:
        PlanError: the margin is not above 0.
    """
    positive("tost", margin=margin)
    count = moments.count
    if count < _FEWEST:
        return Planned("TOST", moments.mean, None, f"{count} units, a variance needs two")
    mean = moments.total / count
    # In integers: a difference of floats would be below 0 for large means.
    variance = (count * moments.squares - moments.total**2) / (count * (count - 1))
    if not variance:
        return Planned("TOST", mean, None, "all differences are alike")
    error = math.sqrt(variance / count)
    from scipy.stats import t as student  # it takes two seconds to load

    sides = student.sf(np.array([mean + margin, margin - mean]) / error, count - 1)
    return Planned("TOST", mean, float(sides.max()))


def wilson(successes: int, count: int, alpha: float = 0.05) -> tuple[float, float]:
    """Return the interval of a share (Wilson 1927); all of [0, 1] of nothing.

    Raises:
        PlanError: alpha is out of range.
        ColumnsError: there are more successes than trials.

    >>> [round(end, 7) for end in wilson(10, 20)]
    [0.299298, 0.700702]
    """
    between("alpha", alpha, 0.0, 1.0)
    if not 0 <= successes <= count:
        raise ColumnsError("successes", f"{successes} of {count}", "a count among all", "Count again.")
    if not count:
        return 0.0, 1.0
    from statsmodels.stats.proportion import proportion_confint  # it loads pandas

    low, high = proportion_confint(successes, count, alpha=alpha, method="wilson")
    return float(low), float(high)


def auc(score: Floats, label: Floats) -> float | None:
    """Return the chance that a positive scores above a negative, ties half; None without both labels.

    >>> auc(np.array([0.1, 0.5, 0.5]), np.array([0.0, 1.0, 0.0]))
    0.75
    """
    positives = int(np.count_nonzero(label == 1.0))
    negatives = label.size - positives
    if not positives or not negatives:
        return None
    from scipy.stats import rankdata  # it takes two seconds to load

    ranks = rankdata(score)
    above = float(ranks[label == 1.0].sum()) - positives * (positives + 1) / 2.0
    return above / (positives * negatives)


def delong(champion: Floats, challenger: Floats, label: Floats) -> Planned:
    """Return the test of equal AUC of two models on the same decisions (DeLong et al. 1988), two-sided.

    Labels are 0 and 1, scores finite. Placements by mid-ranks (Sun and Xu 2014): sorting is all it costs.

    Raises:
        ColumnsError: a label is neither 0 nor 1, or a score is not finite.
    """
    if not np.isin(label, (0.0, 1.0)).all():
        raise ColumnsError("label", "neither 0 nor 1 in some rows", "labels 0 and 1", "Leave them out.")
    if not (np.isfinite(champion).all() and np.isfinite(challenger).all()):
        raise ColumnsError("score", "not finite in some rows", "finite scores", "Leave them out.")
    positive_rows = label == 1.0
    m, n = int(positive_rows.sum()), int(label.size - positive_rows.sum())
    if min(m, n) < _FEWEST:
        return Planned("DeLong", None, None, f"{m} positives and {n} negatives, two of each are needed")
    of_positives, of_negatives = zip(
        *(_placements(score, positive_rows) for score in (champion, challenger)), strict=True
    )
    point = float(of_positives[1].mean() - of_positives[0].mean())
    variance = sum(
        float(np.var(each[1] - each[0], ddof=1)) / size
        for each, size in ((of_positives, m), (of_negatives, n))
    )
    if not variance:
        return Planned("DeLong", point, None, "both models rank alike")
    from scipy.stats import norm  # it takes two seconds to load

    return Planned("DeLong", point, float(2.0 * norm.sf(abs(point) / math.sqrt(variance))))


def stratified_delong(groups: int, difference: int, variance: int, scale: int) -> Planned:
    """Return DeLong's test of equal AUC within groups, from totals over them in fixed point, two-sided.

    >>> stratified_delong(0, 0, 0, 2**40).reason
    'no group has two decisions of either label'
    """
    if not groups:
        return Planned("DeLong", None, None, "no group has two decisions of either label")
    point = difference / scale / groups
    if not variance:
        return Planned("DeLong", point, None, "both models rank alike")
    from scipy.stats import norm  # it takes two seconds to load

    z = abs(difference / scale) / math.sqrt(variance / scale)
    return Planned("DeLong", point, float(2.0 * norm.sf(z)))


def _placements(score: Floats, positive_rows: np.ndarray) -> tuple[Floats, Floats]:
    """Return for each positive the share of negatives below it, for each negative of positives above it."""
    from scipy.stats import rankdata  # it takes two seconds to load

    m = int(positive_rows.sum())
    n = score.size - m
    ranks = rankdata(score)
    own_positive, own_negative = rankdata(score[positive_rows]), rankdata(score[~positive_rows])
    return (ranks[positive_rows] - own_positive) / n, 1.0 - (ranks[~positive_rows] - own_negative) / m
