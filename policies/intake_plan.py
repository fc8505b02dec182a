"""What must arrive whole: the shares in which arms come, and a challenger's answer for every decision."""

import math

import msgspec

from policies.checks import between, refuse

LEVELS_MAX = 100
_SUM_ERROR = 1e-9


class ArmsPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where traffic was split: the feature that names the arm, and the share of each.

    A decision of any other arm is one too many.
    """

    feature: str
    levels: tuple[str, ...]
    shares: tuple[float, ...]
    alpha: float = 0.001

    def __post_init__(self) -> None:
        _check_levels("arms.levels", self.levels)
        between("arms.alpha", self.alpha, 0.0, 0.5)
        sound = len(self.shares) == len(self.levels) and all(0.0 < share <= 1.0 for share in self.shares)
        if not sound or abs(math.fsum(self.shares) - 1.0) > _SUM_ERROR:
            expected = "a share above 0 for each level, 1 in all"
            refuse("arms.shares", self.shares, expected, "Correct them.")


class CompletenessPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which decisions are watched for lacking a challenger's answer, each level for itself.

    By the live decision, or by `feature`. Levels that are not named share one. Not more than `limit` of any
    may lack it.
    """

    levels: tuple[str, ...]
    feature: str = ""
    limit: float = 0.01
    alpha: float = 0.001

    def __post_init__(self) -> None:
        _check_levels("completeness.levels", self.levels)
        between("completeness.limit", self.limit, 0.0, 1.0)
        between("completeness.alpha", self.alpha, 0.0, 0.5)


def _check_levels(key: str, levels: tuple[str, ...]) -> None:
    if not 1 <= len(set(levels)) == len(levels) <= LEVELS_MAX:
        refuse(key, levels, f"1 to {LEVELS_MAX} levels, each once", "Correct them.")
