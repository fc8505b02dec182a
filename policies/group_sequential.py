"""Group-sequential boundaries: a planned alternative, for experiments whose looks are fixed beforehand.

Needs less data than a test for any look (11.8k decisions in place of 14.4k), but only at the registered times
and with a normal limit: its validity is `asymptotic`, and a look in between voids it. It never gates.
"""

import math
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Literal

import numpy as np
from scipy.special import ndtr, ndtri

from policies.checks import between, refuse
from policies.columns import Floats

Spending = Literal["obrien-fleming", "pocock", "quadratic"]
Shape = Literal["obrien-fleming", "pocock"]
LOOKS_MAX = 200
_HIGHEST = 12.0
_NODES = (64, 128, 256, 512)  # few sizes, so that their nodes are computed once
_PER_STEP = 10.0


def spent(kind: Spending, time: float, alpha: float) -> float:
    """Return how much of a two-sided alpha may be spent by this share of the planned data (Lan, DeMets 1983).

    >>> round(spent("pocock", 1.0, 0.05), 12), round(spent("obrien-fleming", 1.0, 0.05), 12)
    (0.05, 0.05)
    """
    if kind == "pocock":
        return alpha * math.log1p((math.e - 1.0) * time)
    if kind == "quadratic":
        return alpha * time**2
    return float(4.0 * ndtr(ndtri(alpha / 4.0) / math.sqrt(time)))  # each side spends its own half


def spending_bounds(times: Sequence[float], kind: Spending, alpha: float = 0.05) -> tuple[float, ...]:
    """Return the bound of |z| at each look, two-sided; 12 where less may be spent than can be told.

    `times` are shares of the planned data, rising, at most 1.

    Raises:
        PlanError: alpha or the times are out of range.

    >>> [round(bound, 3) for bound in spending_bounds([0.5, 1.0], "obrien-fleming")]
    [2.963, 1.969]
    """
    between("group_sequential.alpha", alpha, 0.0, 0.5)
    _check(times)
    return _spending(tuple(times), kind, alpha)[1]


@lru_cache(maxsize=2 * LOOKS_MAX)
def _spending(times: tuple[float, ...], kind: Spending, alpha: float) -> "tuple[_Walk, tuple[float, ...]]":
    """Return the walk that goes on after these looks, and their bounds; the next look needs both again."""
    if not times:
        return _Walk(), ()
    from scipy.optimize import brentq  # it takes a second to load

    walk, bounds = _spending(times[:-1], kind, alpha)
    before = spent(kind, times[-2], alpha) if bounds else 0.0
    wanted, step, bound = spent(kind, times[-1], alpha) - before, walk.to(times[-1]), _HIGHEST
    if step.outside(_HIGHEST) < wanted:
        bound = float(brentq(lambda z: step.outside(z) - wanted, 0.0, _HIGHEST, xtol=1e-10))
    return step.inside(bound), (*bounds, bound)


def constant_bounds(looks: int, shape: Shape, alpha: float = 0.05) -> tuple[float, ...]:
    """Return the classical bounds of |z| for equal steps.

    Alike (Pocock 1977) or falling with the root of time (O'Brien and Fleming 1979).

    Raises:
        PlanError: alpha or the number of looks is out of range.

    >>> [round(bound, 4) for bound in constant_bounds(2, "pocock")]
    [2.1783, 2.1783]
    """
    between("group_sequential.alpha", alpha, 0.0, 0.5)
    times = [k / looks for k in range(1, looks + 1)]
    _check(times)
    from scipy.optimize import brentq  # it takes a second to load

    form = [1.0 if shape == "pocock" else 1.0 / math.sqrt(time) for time in times]
    last = float(brentq(lambda c: crossing([c * f for f in form], times) - alpha, 0.5, _HIGHEST, xtol=1e-10))
    return tuple(last * f for f in form)


def crossing(bounds: Sequence[float], times: Sequence[float], drift: float = 0.0) -> float:
    """Return the chance that |z| reaches its bound at some look; `drift` is the mean of z at the end.

    The recursion of Armitage, McPherson and Rowe (1969), by Gauss-Legendre quadrature.

    >>> round(crossing([1.959964, 1.959964], [0.5, 1.0]), 4)
    0.0831
    """
    _check(times)
    assert len(bounds) == len(times), "one bound a look"
    walk, crossed = _Walk(drift=drift), 0.0
    for bound, time in zip(bounds, times, strict=True):
        step = walk.to(time)
        crossed += step.outside(bound)
        walk = step.inside(bound)
    return crossed


class _Walk:
    """A Brownian motion that has not crossed yet: its density at quadrature nodes."""

    def __init__(
        self,
        nodes: Floats | None = None,
        mass: Floats | None = None,
        *,
        time: float = 0.0,
        drift: float = 0.0,
    ) -> None:
        self.nodes = np.zeros(1) if nodes is None else nodes
        self.mass = np.ones(1) if mass is None else mass  # density times weight
        self.time, self.drift = time, drift

    def to(self, time: float) -> "_Step":
        """Return the walk on its way to the next look."""
        return _Step(self, time)


class _Step:
    """The walk just before it is held against a bound."""

    def __init__(self, walk: _Walk, time: float) -> None:
        self.walk, self.time = walk, time
        self.spread = math.sqrt(time - walk.time)
        self.mean = walk.nodes + walk.drift * (time - walk.time)

    def outside(self, bound: float) -> float:
        """Return the chance of lying beyond +-bound, in z, now and not before."""
        edge = bound * math.sqrt(self.time)
        beyond = ndtr((self.mean - edge) / self.spread) + ndtr((-edge - self.mean) / self.spread)
        return float(self.walk.mass @ beyond)

    def inside(self, bound: float) -> _Walk:
        """Return the walk that goes on."""
        edge = bound * math.sqrt(self.time)
        wanted = math.ceil(_PER_STEP * 2.0 * min(edge, _HIGHEST) / self.spread)
        points, weights = _legendre(next((size for size in _NODES if size >= wanted), _NODES[-1]))
        nodes: Floats = points * edge
        z = (nodes[:, None] - self.mean[None, :]) / self.spread
        density = np.exp(-0.5 * z * z) @ self.walk.mass / (self.spread * math.sqrt(2.0 * math.pi))
        return _Walk(nodes, weights * edge * density, time=self.time, drift=self.walk.drift)


@cache
def _legendre(size: int) -> tuple[Floats, Floats]:
    points, weights = np.polynomial.legendre.leggauss(size)
    points.flags.writeable = weights.flags.writeable = False  # they are shared
    return points, weights


def _check(times: Sequence[float]) -> None:
    rising = all(a < b for a, b in zip([0.0, *times], times, strict=False))
    if not times or len(times) > LOOKS_MAX or not rising or not times[-1] <= 1.0:
        refuse(
            "group_sequential.times",
            list(times)[:5],
            f"1 to {LOOKS_MAX} rising shares of the planned data, up to 1",
            "Correct them.",
        )
