"""Payoffs of the four cells of a confusion table, and the loss of a quantile, as values per decision."""

import math
from typing import TypeVar

import numpy as np
from msgspec import UNSET, UnsetType

from policies.columns import Floats
from policies.errors import PlanError
from policies.options import Cells, Options

_T = TypeVar("_T")


def by_cell(positive: Floats, label: Floats, cells: Cells) -> Floats:
    """Return what each decision gets: (true positive, false positive, false negative, true negative).

    `positive` and `label` are 0 or 1: they are places in the table.

    >>> by_cell(np.array([1.0, 0.0]), np.array([0.0, 0.0]), (4.0, 3.0, 2.0, 1.0)).tolist()
    [3.0, 1.0]
    """
    place = (3.0 - 2.0 * positive - label).astype(np.intp)
    worth: Floats = np.array(cells, dtype=np.float64).take(place)
    return worth


def profit(positive: Floats, label: Floats, options: Options) -> Floats:
    """Return the gain of each decision, in the currency of `gain`; below 0 where it loses."""
    return by_cell(positive, label, _set(options.gain))


def profit_limit(options: Options) -> float:
    """Return the widest difference of two gains, and at least the largest gain."""
    return _reach(_set(options.gain))


def profit_low(options: Options) -> float:
    """Return the smallest gain, at most 0."""
    return min(*_set(options.gain), 0.0)


def ratio(positive: Floats, label: Floats, options: Options) -> Floats:
    """Return gain minus `reference` times `per` of each decision: the ratio, made linear.

    With gain (1, 0, 0, 0), per (1, 1, 0, 0) it is precision. E[gain]/E[per] is above the reference exactly
    where the mean of this value is above 0, so no delta method is needed and the test stays exact (the
    transformation of Budylin et al. 2018; for precision the net benefit of Vickers and Elkin 2006). When
    the champion's ratio is at least the reference, a better mean shows that the challenger's is above it.
    """
    return by_cell(positive, label, _linear(options))


def ratio_limit(options: Options) -> float:
    """Return the widest difference of two such values, and at least the largest value."""
    return _reach(_linear(options))


def ratio_low(options: Options) -> float:
    """Return the smallest such value, at most 0."""
    return min(*_linear(options), 0.0)


def pinball(score: Floats, label: Floats, options: Options) -> Floats:
    """Return the loss of a score as the forecast of a quantile of the label (Koenker and Bassett 1978).

    Its mean is smallest where `quantile` of the labels lie below the score.
    """
    level, above = _set(options.quantile), label - score
    return np.maximum(level * above, (level - 1.0) * above)


def check_payoff(options: Options) -> None:
    """Refuse payoffs that are not finite, that are all alike, or a quantile that is none.

    Raises:
        PlanError: `gain`, `per`, `reference` or `quantile` is out of range.
    """
    if not isinstance(options.gain, UnsetType) and not (_finite(options.gain) and len(set(options.gain)) > 1):
        raise PlanError(
            "metrics.gain", options.gain, "four finite gains that are not all alike", "Correct them."
        )
    if not isinstance(options.per, UnsetType) and not (
        _finite(options.per) and min(options.per) >= 0.0 < max(options.per)
    ):
        raise PlanError(
            "metrics.per", options.per, "four finite shares of at least 0, one above 0", "Correct them."
        )
    if not isinstance(options.reference, UnsetType) and not math.isfinite(options.reference):
        raise PlanError("metrics.reference", options.reference, "a finite ratio", "Correct it.")
    whole = UNSET not in (options.gain, options.per, options.reference)
    if whole and not any(_linear(options)):
        raise PlanError(
            "metrics.gain", options.gain, "a ratio that some decision can move", "Declare another reference."
        )
    if not isinstance(options.quantile, UnsetType) and not 0.0 < options.quantile < 1.0:
        raise PlanError(
            "metrics.quantile", options.quantile, "above 0 and below 1", "Use 0.5 for the median."
        )


def _finite(cells: Cells) -> bool:
    return all(math.isfinite(cell) for cell in cells)


def _linear(options: Options) -> Cells:
    rate = _set(options.reference)
    gained = [gain - rate * base for gain, base in zip(_set(options.gain), _set(options.per), strict=True)]
    return gained[0], gained[1], gained[2], gained[3]


def _reach(cells: Cells) -> float:
    """Return the largest of the cells and of their differences; above 0 as long as they are not all 0."""
    return max(*cells, 0.0) - min(*cells, 0.0)


def _set(value: _T | UnsetType) -> _T:
    assert not isinstance(value, UnsetType)  # `needs` was checked when the plan was made
    return value
