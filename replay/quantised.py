"""Scores to twelve significant digits: equal where sums were merely added in another order."""

import hashlib

import numpy as np
import numpy.typing as npt

DIGITS = 12

Scores = npt.NDArray[np.float64]


def quantised(scores: Scores) -> Scores:
    """Return the scores rounded to twelve significant digits; NaN and infinities stay.

    >>> quantised(np.array([0.1 + 0.2, 0.0])).tolist()
    [0.3, 0.0]
    """
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        power = DIGITS - 1 - np.floor(np.log10(np.abs(scores)))
        usable = np.isfinite(scores) & (scores != 0.0) & (np.abs(power) < 300)  # noqa: PLR2004  10**300 is finite
        scale = 10.0 ** np.where(usable, power, 0.0)
        return np.where(usable, np.round(scores * scale) / scale, scores)


def quantised_digest(scores: Scores) -> str:
    """Return the digest of the scores, in order, to twelve significant digits.

    >>> quantised_digest(np.array([0.1 + 0.2])) == quantised_digest(np.array([0.3]))
    True
    """
    return hashlib.sha256(np.ascontiguousarray(quantised(scores) + 0.0, dtype="<f8").tobytes()).hexdigest()


def fragile(scores: Scores, threshold: float, margin: float) -> int:
    """Return how many scores lie within `margin` of the threshold: the last bits decide there.

    >>> fragile(np.array([0.5, 0.5000001, 0.7]), 0.5, 1e-6)
    2
    """
    return int(np.count_nonzero(np.abs(scores - threshold) <= margin))
