"""Before an experiment: how many units it will take, and which bets suit the effect that is looked for."""

import math

import numpy as np
from scipy.special import ndtri

from policies.checks import between, refuse
from policies.evalues import mixture
from policies.policy_plan import GridPlan

_BITS_MAX = 50


def fixed_size(effect: float, *, discordant: float, alpha: float = 0.05, power: float = 0.8) -> int:
    """Return the pairs that one planned look needs, two-sided, for differences of -1, 0 and 1.

    `discordant` is the share of pairs that differ, `effect` the mean difference. Miettinen (1968):
    (z_a sqrt(d) + z_b sqrt(d - effect^2))^2/effect^2.

    Raises:
        PlanError: a figure is out of range.

    >>> fixed_size(0.01, discordant=0.15)
    11771
    """
    _check(effect, discordant, alpha)
    between("planning.power", power, 0.0, 1.0)
    between("planning.effect", effect, 0.0, 1.0)
    far = -ndtri(alpha / 2.0) * math.sqrt(discordant) + ndtri(power) * math.sqrt(discordant - effect**2)
    return math.ceil(float((far / effect) ** 2))


def expected_units(
    effect: float, *, discordant: float, alpha: float = 0.05, null: float = 0.0, grid: GridPlan | None = None
) -> int | None:
    """Return about how many pairs the betting grid takes to show a mean above `null`, at any look.

    The number at which the expected log capitals, mixed, reach ln(1/alpha): half of the runs are faster.
    None when no bet of the grid gains at this effect, however long.

    Raises:
        PlanError: a figure is out of range.

    >>> expected_units(0.0, discordant=0.15) is None
    True
    """
    _check(abs(effect), discordant, alpha)
    between("planning.null", null, -1.0, 1.0)
    chosen = grid or GridPlan()
    bets = np.geomspace(chosen.low, chosen.high, chosen.size)
    stake = bets / (null + 1.0)
    better, worse = (discordant + effect) / 2.0, (discordant - effect) / 2.0
    rates = (
        better * np.log1p(stake * (1.0 - null))
        + (1.0 - discordant) * np.log1p(-stake * null)
        + worse * np.log1p(-bets)
    )
    wanted = -math.log(alpha)
    low, high = 0, 1
    while mixture(rates * high) < wanted:
        low, high = high, 2 * high
        if high.bit_length() > _BITS_MAX:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if mixture(rates * middle) < wanted else (low, middle)
    return high


def suited_grid(effect: float, *, discordant: float) -> GridPlan:
    """Return a grid around the best bet for this effect, effect/discordant: a third of it to three times it.

    Narrower than the default, which serves effects from a tenth of a point to several: about a tenth less
    data where the effect was guessed well, more where it was not. To be registered, never to be chosen later.

    Raises:
        PlanError: a figure is out of range.

    >>> round(suited_grid(0.01, discordant=0.15).high, 3)
    0.2
    """
    _check(effect, discordant, 0.05)
    between("planning.effect", effect, 0.0, 1.0)
    best = effect / discordant
    return GridPlan(size=16, low=min(best / 3.0, 0.5), high=min(3.0 * best, 0.9))


def _check(effect: float, discordant: float, alpha: float) -> None:
    between("planning.alpha", alpha, 0.0, 0.5)
    if not 0.0 < discordant <= 1.0:
        refuse("planning.discordant", discordant, "a share above 0 and at most 1", "Correct it.")
    if not 0.0 <= effect <= discordant:
        refuse("planning.effect", effect, f"from 0 to the discordant share, {discordant!r}", "Correct it.")
