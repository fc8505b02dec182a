"""Scores against labels in bins: expected performance before labels come, and whether P(label | score) moved.

The estimate without labels (CBPE) assumes that a score still means what it meant. So it is `report_only`,
advisory, and blind to concept drift by construction: it must never promote, retrain or reject.
"""

import math
from typing import Literal, NamedTuple

import msgspec
import numpy as np
from scipy.stats import chi2

from policies.columns import Floats, Ints
from policies.drift.distance import effective
from policies.errors import ColumnsError, EvidenceMismatch
from policies.figures import tidy

BINS = 50
BLIND = (
    "Assumes that a score still means what it meant in the reference: blind to concept drift. Advisory: it "
    "promotes, retrains and rejects nothing."
)
_LEAST = 5.0


class Reliability(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Per bin of the score (50 equal bins from 0 to 1): rows, positive decisions, labelled rows, positives.

    `scores` is the sum of the scores per bin in units of 2**-24. Integers: merges and subtracts to the byte.
    """

    rows: tuple[int, ...]
    decided: tuple[int, ...]
    labelled: tuple[int, ...]
    positives: tuple[int, ...]
    scores: tuple[int, ...]

    @classmethod
    def empty(cls) -> "Reliability":
        """Return the counts of no rows."""
        none = (0,) * BINS
        return cls(none, none, none, none, none)

    @classmethod
    def of(cls, scores: Floats, labels: Floats, threshold: float) -> "Reliability":
        """Return the counts of these rows; a label is 0, 1, or NaN where it has not matured.

        Raises:
            ColumnsError: a score is no probability, or a label is neither 0, 1 nor NaN.
        """
        if not ((scores >= 0.0) & (scores <= 1.0)).all():
            raise ColumnsError(
                "score", "outside 0 to 1 in some rows", "probabilities", "Leave those rows out."
            )
        known = ~np.isnan(labels)
        positive = labels == 1.0
        if not (positive | (labels == 0.0) | ~known).all():
            raise ColumnsError(
                "label", "neither 0 nor 1 in some rows", "0, 1 or no label", "Declare it binary."
            )
        bins = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
        masks = (np.ones(scores.size, dtype=np.bool_), scores >= threshold, known, positive)
        counts = [tuple(np.bincount(bins[mask], minlength=BINS).tolist()) for mask in masks]
        sums = np.zeros(BINS, dtype=np.int64)
        np.add.at(sums, bins, np.rint(scores * 2**24).astype(np.int64))
        return cls(counts[0], counts[1], counts[2], counts[3], tuple(sums.tolist()))

    def merge(self, other: "Reliability") -> "Reliability":
        """Return the counts of both windows together."""
        return self._combined(other, 1)

    def subtract(self, other: "Reliability") -> "Reliability":
        """Return the counts without those of `other`.

        Raises:
            EvidenceMismatch: the other window holds rows that this one does not.
        """
        found = self._combined(other, -1)
        least = min(min(getattr(found, name)) for name in self.__struct_fields__)
        if least < 0:
            raise EvidenceMismatch("counts to take away", -least, "counts that were added before")
        return found

    def _combined(self, other: "Reliability", sign: int) -> "Reliability":
        sums = {
            name: tuple(a + sign * b for a, b in zip(getattr(self, name), getattr(other, name), strict=True))
            for name in self.__struct_fields__
        }
        return Reliability(**sums)

    def calibrated(self) -> Floats:
        """Return P(label 1 | bin), isotonic over the labelled rows, shape (BINS,); NaN where there are none.

        Pool adjacent violators (Ayer et al. 1955); a bin without labels takes its neighbour's.
        """
        blocks: list[tuple[int, int, int]] = []  # positives, labelled, bins
        for positives, labelled in zip(self.positives, self.labelled, strict=True):
            block = (positives, labelled, 1)
            while blocks and (not block[1] or blocks[-1][0] * block[1] >= block[0] * blocks[-1][1]):
                before = blocks.pop()
                block = (before[0] + block[0], before[1] + block[1], before[2] + block[2])
            blocks.append(block)
        rates = [(p / n if n else math.nan) for p, n, bins in blocks for _ in range(bins)]
        return np.array(rates)


class Expected(NamedTuple):
    """What the performance would be if scores still meant the same; None where it cannot be told."""

    accuracy: float | None
    label_rate: float | None
    brier: float | None
    rows: int
    validity: Literal["report_only"] = "report_only"
    assumption: str = BLIND


class CalibrationShift(NamedTuple):
    """Whether labels moved at the same scores: the mean absolute change of the label rate, and its chance.

    `effect` is freed of what noise adds on average; `signed` is the mean change itself.
    """

    effect: float
    signed: float
    p: float
    bins: int


def expected_performance(current: Reliability, reference: Reliability) -> Expected:
    """Return the performance that the reference's calibration expects of the current scores (CBPE).

    >>> expected_performance(Reliability.empty(), Reliability.empty()).accuracy is None
    True
    """
    rate, rows = reference.calibrated(), np.array(current.rows, dtype=np.float64)
    total = float(rows.sum())
    held = rows > 0
    if not total or np.isnan(rate[held]).any():
        return Expected(None, None, None, int(total))
    rows, rate = rows[held], rate[held]
    positive = np.array(current.decided, dtype=np.float64)[held]
    right = positive * rate + (rows - positive) * (1.0 - rate)
    score = np.array(current.scores, dtype=np.float64)[held] / 2**24 / rows
    squares = rows * (rate * (1.0 - score) ** 2 + (1.0 - rate) * score**2)
    sums = (float(right.sum()), float((rows * rate).sum()), float(squares.sum()))
    accuracy, label_rate, brier = (tidy(each / total) for each in sums)
    return Expected(accuracy, label_rate, brier, int(total))


def calibration_shift(reference: Reliability, current: Reliability) -> CalibrationShift:
    """Return how far P(label | score) moved between two labelled windows, and the chance of that.

    A chi-square over the bins that expect at least 5 positives and 5 others on either side. Other bins are
    left out and not pooled: scores far apart in one bin would move with the population alone.
    """
    counts = np.array(
        [reference.labelled, reference.positives, current.labelled, current.positives], dtype=np.int64
    )
    statistic, freedom, effects, weights, noise = 0.0, 0, [], [], []
    for n, k, m, j in counts[:, _dense(counts)].T.tolist():
        size = effective(n, m)
        rate = (k + j) / (n + m)
        variance = rate * (1.0 - rate)
        change = j / m - k / n
        statistic, freedom = statistic + change * change * size / variance, freedom + 1
        effects.append(change)
        weights.append(m)
        noise.append(math.sqrt(2.0 * variance / math.pi / size))
    if not freedom:
        return CalibrationShift(0.0, 0.0, 1.0, 0)
    whole = sum(weights)
    moved = sum(w * abs(e) for w, e in zip(weights, effects, strict=True)) / whole
    chance = sum(w * e for w, e in zip(weights, noise, strict=True)) / whole
    signed = sum(w * e for w, e in zip(weights, effects, strict=True)) / whole
    effect = math.sqrt(max(moved * moved - chance * chance, 0.0))
    return CalibrationShift(tidy(effect), tidy(signed), tidy(float(chi2.sf(statistic, freedom))), freedom)


def _dense(counts: Ints) -> Ints:
    """Return the bins with enough of both labels to be compared."""
    n, k, m, j = counts.astype(np.float64)
    rate = np.divide(k + j, n + m, out=np.zeros(BINS), where=n + m > 0)
    return np.flatnonzero(np.minimum(n, m) * np.minimum(rate, 1.0 - rate) >= _LEAST)
