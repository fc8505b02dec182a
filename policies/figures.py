"""Figures as they are written: the same text on every machine, and no more digits than are known."""

import math

from policies.columns import Floats
from policies.evalues import mixture

_DIGITS = 12  # beyond them, two machines' logarithms may differ
_SIGNIFICANT = 2


def more_needed(capital: Floats, units: int, wanted: float) -> int | None:
    """Return how many more units the log e-value needs to reach `wanted` at the present rate.

    Each bet's log capital grows by its own mean per unit; the mixture follows the best. Rounded up to two
    significant digits. 0 when it is reached; None when no bet gains, or when more than ten times the
    units seen would be needed: more of the same will not decide.

    >>> from numpy import array
    >>> more_needed(array([1.0]), 10, 3.0)
    20
    >>> more_needed(array([-1.0]), 10, 3.0) is None
    True
    """
    rates = capital / units
    if mixture(capital) >= wanted:
        return 0
    most = 11.0 * units
    if mixture(rates * most) < wanted:
        return None
    from scipy.optimize import brentq  # it takes a second to load

    reached = float(brentq(lambda n: mixture(rates * n) - wanted, units, most, rtol=1e-9))
    return rounded_up(math.ceil(reached - units - 1e-6))


def rounded_up(count: int) -> int:
    """Return `count` rounded up to two significant digits.

    >>> [rounded_up(n) for n in (0, 7, 99, 101, 12_001)]
    [0, 7, 99, 110, 13000]
    """
    unit: int = 10 ** max(len(str(count)) - _SIGNIFICANT, 0)
    return -(-count // unit) * unit


def tidy(value: float) -> float:
    """Return `value` at twelve significant digits: the same text on every machine; 0.0 has no sign."""
    return float(f"{value:.{_DIGITS}g}") + 0.0
