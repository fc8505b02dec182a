"""Outcomes that a decision blocks: what can be said without them, and how much exploration would tell."""

import math
from typing import NamedTuple

from policies.checks import between, positive, refuse
from policies.errors import ColumnsError


class Bounds(NamedTuple):
    """What the mean can be: [low, high] whatever the unseen outcomes are. `unseen` is their share."""

    low: float
    high: float
    unseen: float

    @property
    def decides(self) -> bool:
        """Return whether every possible mean lies on one side of 0."""
        return self.low > 0.0 or self.high < 0.0


def manski(total: float, seen: int, unseen: int, *, low: float, high: float) -> Bounds:
    """Return the worst-case bounds of a mean of `seen` values of that total and `unseen` ones in [low, high].

    Manski (1990). No assumption on why they are unseen, so nothing narrows the bounds but seeing more. They
    are about these decisions; that they are a sample is not in them.

    Raises:
        ColumnsError: nothing was counted, or the total is impossible.
        PlanError: low is not below high.

    >>> manski(30.0, 90, 10, low=-1.0, high=1.0)
    Bounds(low=0.2, high=0.4, unseen=0.1)
    """
    if not -math.inf < low < high < math.inf:
        refuse("bounds.low", low, f"finite and below high, {high!r}", "Correct it.")
    count = seen + unseen
    if seen < 0 or unseen < 0 or not count:
        raise ColumnsError(
            "outcomes", f"{seen} seen and {unseen} unseen", "at least one decision", "Count again."
        )
    if not low * seen <= total <= high * seen:
        raise ColumnsError(
            "outcomes",
            f"a total of {total!r} over {seen}",
            f"each from {low!r} to {high!r}",
            "Correct the bounds.",
        )
    return Bounds((total + unseen * low) / count, (total + unseen * high) / count, unseen / count)


def exploration_share(
    effect: float, *, unseen: float, width: float, decisions: int, alpha: float
) -> float | None:
    """Return the share of blocked decisions to let through so that `decisions` would show `effect`.

    `unseen` is the share of decisions that are blocked, `width` that of the values in them. An outcome let
    through with chance s weighs 1/s, so its variance is at most unseen width^2/(4 s); the e-value then needs
    about 2 (ln(1/alpha) + 1) variance/effect^2 decisions. None when even letting all through is too little.

    Raises:
        PlanError: a figure is out of range.

    >>> round(exploration_share(0.02, unseen=0.1, width=1.0, decisions=20_000, alpha=0.05), 4)
    0.025
    """
    positive("exploration", effect=effect, width=width, decisions=decisions)
    between("exploration.alpha", alpha, 0.0, 0.5)
    if not 0.0 <= unseen <= 1.0:
        refuse("exploration.unseen", unseen, "a share from 0 to 1", "Correct it.")
    share = 2.0 * (1.0 - math.log(alpha)) * unseen * width**2 / (4.0 * decisions * effect**2)
    return share if share <= 1.0 else None
