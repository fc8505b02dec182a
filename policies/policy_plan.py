"""The policy of a plan: the rule, its limits, and the bets of its mixtures."""

import msgspec
from msgspec import UNSET, UnsetType

from policies.checks import between, refuse
from policies.errors import PlanError
from policies.rules import RULES, Combination

GRID_MAX = 64


class GridPlan(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """The bets of the mixtures, [size, low, high]: geometric, as shares of the largest possible bet."""

    size: int = 16
    low: float = 0.0125
    high: float = 0.25

    def __post_init__(self) -> None:
        if not 1 <= self.size <= GRID_MAX:
            refuse("policy.grid.size", self.size, f"from 1 to {GRID_MAX}", "Use 16.")
        between("policy.grid.low", self.low, 0.0, 1.0)
        between("policy.grid.high", self.high, 0.0, 1.0)
        if self.low > self.high:
            refuse("policy.grid.low", self.low, f"at most high, {self.high!r}", "Swap them.")


class PolicyPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The rule and its limits. `min_units` and `min_decisions` count mature, used ones.

    `max_failed_share`: decisions that the challenger could not score. `min_coverage`: share of the mature
    decisions that could be used. `max_repeats`: share of decisions whose unit had been seen before, at
    which `request` is refused as a unit. `max_noise_share`: share of decisions that the champion, scored
    again on its own snapshots, decides differently, or scores differently where no decision was recorded;
    `max_noise_difference`: how far one of its scores may then be from the recorded one, None for any
    distance. `primaries`: whether all primary metrics must be shown, which needs no correction, or one of
    them at a corrected level (policies/combined.py).
    """

    name: str = "promotion"
    alpha: float = 0.05
    min_units: int = 1
    min_decisions: int = 1
    max_looks: int = 100
    max_failed_share: float = 0.01
    min_coverage: float = 0.8
    grid: GridPlan = GridPlan()
    max_repeats: float = 0.05
    max_noise_share: float = 0.01
    max_noise_difference: float | None = None
    # Unset and not null, so that the plans before it keep their digests.
    primaries: Combination | UnsetType = UNSET

    def __post_init__(self) -> None:
        if self.name not in RULES:
            raise PlanError("policy.name", self.name, f"one of {', '.join(sorted(RULES))}", "Use one.")
        between("policy.alpha", self.alpha, 0.0, 0.5)
        if self.max_noise_difference is not None and not 0.0 <= self.max_noise_difference < float("inf"):
            refuse("policy.max_noise_difference", self.max_noise_difference, "at least 0", "Correct it.")
        for key in ("min_units", "min_decisions", "max_looks"):
            if getattr(self, key) < 1:
                refuse(f"policy.{key}", getattr(self, key), "at least 1", "Raise it.")
        for key in ("max_failed_share", "min_coverage", "max_repeats", "max_noise_share"):
            if not 0.0 <= getattr(self, key) <= 1.0:
                refuse(f"policy.{key}", getattr(self, key), "a share from 0 to 1", "Correct it.")
