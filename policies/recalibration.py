"""The recalibrated champion: the same scores, moved by an intercept and a slope. It is the cheapest rival.

When it closes the gap that a retrained challenger would close, labels have shifted and the concept has not:
then recalibrate, do not retrain (docs/adr/0015).
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.special import expit

from policies.columns import Floats
from policies.errors import ColumnsError

_EDGE = 1e-6
_STEPS = 50
_STILL = 1e-10
_PRIOR = 1.0  # one pseudo-row of "unchanged": keeps the fit finite where labels separate the scores


class Recalibration(NamedTuple):
    """A map of probabilities: logit(q) = intercept + slope * logit(p). (0, 1) changes nothing."""

    intercept: float
    slope: float

    def apply(self, scores: Floats) -> Floats:
        """Return the recalibrated probabilities, shape kept.

        >>> Recalibration(0.0, 1.0).apply(np.array([0.25])).round(9).tolist()
        [0.25]
        """
        moved: Floats = expit(self.intercept + self.slope * _logit(scores))
        return moved


def recalibrate(scores: Floats, labels: Floats) -> Recalibration:
    """Return the recalibration of these probabilities to labels 0 and 1 (Platt 1999), by Newton's method.

    Shrunk towards no change by one pseudo-row, so that no row, one label and separable rows have an answer.

    Raises:
        ColumnsError: a score is no probability, or a label neither 0 nor 1.

    >>> recalibrate(np.zeros(0), np.zeros(0))
    Recalibration(intercept=0.0, slope=1.0)
    """
    if not ((scores >= 0.0) & (scores <= 1.0)).all():
        raise ColumnsError("score", "outside 0 to 1 in some rows", "probabilities", "Leave those rows out.")
    if not ((labels == 0.0) | (labels == 1.0)).all():
        raise ColumnsError("label", "neither 0 nor 1 in some rows", "matured labels", "Leave those rows out.")
    design = np.column_stack([np.ones(scores.size), _logit(scores)])
    start = np.array([0.0, 1.0])
    found, loss = start, _penalised(start, start, design, labels)
    for _ in range(_STEPS):
        chance = expit(design @ found)
        gradient = design.T @ (chance - labels) + _PRIOR * (found - start)
        curve = (design.T * (chance * (1.0 - chance))) @ design + _PRIOR * np.eye(2)
        step = np.linalg.solve(curve, gradient)
        share = 1.0
        while (tried := _penalised(found - share * step, start, design, labels)) > loss and share > _STILL:
            share /= 2.0
        if share <= _STILL or float(np.abs(share * step).max()) < _STILL:
            break
        found, loss = found - share * step, tried
    return Recalibration(float(f"{found[0]:.12g}"), float(f"{found[1]:.12g}"))


def _penalised(found: Floats, start: Floats, design: Floats, labels: Floats) -> float:
    reached = design @ found
    fit = float((np.logaddexp(0.0, reached) - labels * reached).sum())
    return fit + _PRIOR * math.fsum(((found - start) ** 2).tolist()) / 2.0


def _logit(scores: Floats) -> Floats:
    kept = np.clip(scores, _EDGE, 1.0 - _EDGE)
    odds: Floats = np.log(kept) - np.log1p(-kept)
    return odds
