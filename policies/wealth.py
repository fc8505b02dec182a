"""The alpha-wealth of a log: one candidate after the other is judged on it, and errors must not add up.

Each candidate gets its level when it is registered, from what had been shown until then (e-LOND, Xu and
Ramdas 2024): level_t = alpha * gamma_t * (1 + shown before), with gamma_t = 6/(pi t)^2, which sum to 1. The
expected share of wrong promotions among all is then at most alpha, under any dependence, and so for
candidates that run side by side: one not yet concluded counts as not shown, which only lowers a level.
"""

import math
from typing import Literal

import msgspec

from policies.checks import between, refuse

Control = Literal["share", "any"]


class Candidate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One candidate: the level it was given, and whether it was shown; None until it is concluded."""

    name: str
    alpha: float
    shown: bool | None = None


class Wealth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The ledger, a value: what the control events of a log add up to, in their order.

    `control` is "share" (expected share of wrong ones among the shown) or "any" (chance of any wrong one:
    levels never grow back).
    """

    alpha: float
    control: Control = "share"
    candidates: tuple[Candidate, ...] = ()

    def __post_init__(self) -> None:
        between("wealth.alpha", self.alpha, 0.0, 0.5)

    @property
    def next_alpha(self) -> float:
        """Return the level of the next candidate.

        >>> round(Wealth(0.05).next_alpha, 4)
        0.0304
        """
        turn = len(self.candidates) + 1
        shown = sum(bool(each.shown) for each in self.candidates) if self.control == "share" else 0
        return self.alpha * 6.0 / (math.pi * turn) ** 2 * (1 + shown)

    def register(self, name: str) -> "Wealth":
        """Return the ledger with one candidate more, at the level that is its own from now on.

        Raises:
            PlanError: a candidate of that name was registered before.
        """
        if any(each.name == name for each in self.candidates):
            refuse("candidate", name, "a name that was not registered before", "Give it a name of its own.")
        return self._with((*self.candidates, Candidate(name, self.next_alpha)))

    def conclude(self, name: str, log_e: float) -> "Wealth":
        """Return the ledger after the candidate's largest e-value: shown when it reaches 1/level.

        Raises:
            PlanError: no such candidate is open.
        """
        places = [k for k, each in enumerate(self.candidates) if each.name == name and each.shown is None]
        if not places:
            refuse("candidate", name, "a registered candidate that is not concluded", "Register it first.")
        found = self.candidates[places[0]]
        done = Candidate(name, found.alpha, log_e >= -math.log(found.alpha))
        return self._with((*self.candidates[: places[0]], done, *self.candidates[places[0] + 1 :]))

    def _with(self, candidates: tuple[Candidate, ...]) -> "Wealth":
        return Wealth(self.alpha, self.control, candidates)
