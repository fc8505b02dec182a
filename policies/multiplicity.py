"""Many hypotheses at once: which e-values count when several could have been lucky.

Everything here holds under any dependence between the e-values, and at any time of stopping. Guardrails need
none of it: all of them must pass, so each is tested at the full alpha.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from policies.evalues import mixture


def bonferroni(log_e: Mapping[str, float], alpha: float) -> tuple[str, ...]:
    """Return the names shown when the chance of *any* wrong one is at most alpha: e at least m/alpha.

    >>> bonferroni({"a": math.log(41), "b": math.log(39)}, 0.05)
    ('a',)
    """
    limit = math.log(len(log_e) / alpha) if log_e else 0.0
    return tuple(name for name, log in log_e.items() if log >= limit)


def holm(log_e: Mapping[str, float], alpha: float) -> tuple[str, ...]:
    """Return the names shown at the same level as `bonferroni`, never fewer: Holm (1979) on 1/e.

    The largest must reach m/alpha, the next (m-1)/alpha, and so on until one does not.

    >>> holm({"a": math.log(41), "b": math.log(39)}, 0.05)
    ('a', 'b')
    """
    shown: set[str] = set()
    for left, name in zip(range(len(log_e), 0, -1), _descending(log_e), strict=True):
        if log_e[name] < math.log(left / alpha):
            break
        shown.add(name)
    return tuple(name for name in log_e if name in shown)


def average(log_e: Mapping[str, float]) -> float:
    """Return the log of the mean e-value, against "none of them is true"; 0 of no hypothesis.

    The mean is the best symmetric way to merge e-values of any dependence (Vovk and Wang 2021). It tells
    that something is there, not which.
    """
    return mixture(np.array(list(log_e.values()))) if log_e else 0.0


def e_bh(log_e: Mapping[str, float], alpha: float) -> tuple[str, ...]:
    """Return the names shown when the expected share of wrong ones among them is at most alpha.

    Wang and Ramdas (2022): the k largest, for the largest k whose k-th e-value is at least m/(k alpha).

    >>> e_bh({"a": math.log(25), "b": math.log(21), "c": 0.0}, 0.1)
    ('a', 'b')
    """
    order = _descending(log_e)
    found = [k for k, name in enumerate(order, 1) if log_e[name] >= math.log(len(order) / (k * alpha))]
    shown = set(order[: found[-1]]) if found else set()
    return tuple(name for name in log_e if name in shown)


def worst_slices(harm: Mapping[str, float], alpha: float) -> tuple[str, ...]:
    """Return the slices in which harm is shown by e-BH, the strongest evidence first.

    `harm` holds the log e-value for "the challenger is worse here" of *every* slice that was searched:
    leaving out those that looked harmless would spend the level twice.

    >>> worst_slices({"north": math.log(45), "south": math.log(90), "east": 0.0}, 0.05)
    ('south', 'north')
    """
    shown = e_bh(harm, alpha)
    return tuple(name for name in _descending(harm) if name in shown)


def _descending(log_e: Mapping[str, float]) -> Sequence[str]:
    """Return the names from the largest e-value on; of equals, by name, so that order never decides."""
    assert not any(math.isnan(log) for log in log_e.values()), "an e-value is never NaN"
    return sorted(log_e, key=lambda name: (-log_e[name], name))
