"""Pairing completeness: did every live decision get its challenger's answer, whatever was decided?

Answers that are missing where one decision was made and present where the other was make any comparison
wrong. Each cell (a decision, a slice, a host) is tested for itself, at every look, exactly.
"""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from policies.checks import between
from policies.columns import Floats, Ints
from policies.errors import ColumnsError
from policies.evalues import grid, mixture, share_mismatch
from policies.multiplicity import holm

_BETS = grid(16, 0.001, 0.5)
_SUM_ERROR = 1e-9


class Completeness(NamedTuple):
    """What is known of missing pairs. `broken`: cells that miss more than the limit, largest share first."""

    log_e: dict[str, float]
    broken: tuple[str, ...]


def excess_log_e(missing: int, count: int, limit: float) -> float:
    """Return the log e-value against "each is missing with a chance of at most `limit`"; exact.

    A mixture over stakes of Bernoulli bets: missing wins 1 + s(1 - limit), present costs 1 - s limit, for s
    up to half of the largest stake 1/limit.

    >>> excess_log_e(0, 0, 0.01)
    0.0
    """
    between("completeness.limit", limit, 0.0, 1.0)
    if not 0 <= missing <= count:
        raise ColumnsError("missing", f"{missing} of {count}", "a count among all", "Count again.")
    return mixture(excess_capital(np.array(missing), np.array(count), limit))


def excess_capital(missing: Ints, count: Ints, limit: float) -> Floats:
    """Return the log capital of each stake, along a last axis, for arrays of counts."""
    stakes: Floats = _BETS / limit
    won, kept = np.log1p(stakes * (1.0 - limit)), np.log1p(-_BETS)
    capital: Floats = missing[..., np.newaxis] * won + (count - missing)[..., np.newaxis] * kept
    return capital


def completeness(cells: Mapping[str, tuple[int, int]], *, limit: float, alpha: float) -> Completeness:
    """Return the cells in which more than `limit` of the decisions lack their pair.

    `cells` holds (missing, all) by name. The chance of naming any sound cell, at any look, is at most alpha
    (Holm over the cells, Ville over the looks).

    >>> completeness({"approve": (0, 1000), "block": (90, 1000)}, limit=0.01, alpha=0.01).broken
    ('block',)
    """
    between("completeness.alpha", alpha, 0.0, 1.0)
    between("completeness.limit", limit, 0.0, 1.0)
    log_e = {name: excess_log_e(missing, count, limit) for name, (missing, count) in cells.items()}
    broken = sorted(holm(log_e, alpha), key=lambda name: (-cells[name][0] / cells[name][1], name))
    return Completeness(log_e, tuple(broken))


def ratio_mismatch(counts: Mapping[str, int], shares: Mapping[str, float]) -> float:
    """Return the log e-value against "arms come with these shares": the sample ratio test, at any look.

    Dirichlet-multinomial (Lindon and Malek 2022), exact. Infinite when an arm was seen whose share is 0.

    Raises:
        ColumnsError: an arm has no share, or the shares do not add up to 1.

    >>> round(ratio_mismatch({"a": 5300, "b": 4700}, {"a": 0.5, "b": 0.5}), 9)
    15.524011683
    """
    unknown = sorted(counts.keys() - shares.keys())
    if unknown:
        raise ColumnsError("arm", f"{unknown} without a share", "a share for each arm", "Declare it.")
    if (
        not all(share >= 0.0 for share in shares.values())
        or abs(math.fsum(shares.values()) - 1.0) > _SUM_ERROR
    ):
        raise ColumnsError(
            "shares", f"{dict(shares)}", "shares of at least 0 that add up to 1", "Correct them."
        )
    if any(counts.get(name, 0) for name, share in shares.items() if not share):
        return math.inf
    kept = [name for name in sorted(shares) if shares[name]]
    return share_mismatch([counts.get(name, 0) for name in kept], [shares[name] for name in kept])
