"""What a monitor watches: each feature's type, frozen bins and limits, and the rule that raises an alarm."""

from functools import cached_property
from typing import Literal

import msgspec
import numpy as np

from policies.checks import between, positive, refuse
from policies.drift.edges import Edges
from policies.errors import PlanError
from recorders.canonical import canonical_json, digest
from recorders.fields import FIELD_TYPES

LEVELS_MAX = 512
Role = Literal["feature", "prediction", "label"]
NUMBERS = ("float64", "int64", "timestamp")
CATEGORIES = ("bool", "string", "category")


class FeaturePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """One column as watched. `column` is its name in the table, `f.<name>` unless said otherwise.

    `edges` are the frozen bins of a number, `levels` the known values of a category; `closed` says that the
    levels are all there were, so that any other one is unseen; of an open list the share of other values is
    limited where `max_unseen` is above 0. `low` and `high` bound the allowed values. The shares are limits:
    of values missing (null, NaN or infinite), outside the bounds, of an unseen level, and served stale.
    """

    name: str
    type: str
    role: Role = "feature"
    column: str = ""
    edges: Edges | None = None
    levels: tuple[str, ...] = ()
    closed: bool = True
    low: float | None = None
    high: float | None = None
    max_missing: float = 0.05
    max_outside: float = 0.0
    max_unseen: float = 0.0
    max_stale: float = 0.05

    def __post_init__(self) -> None:
        path = f"features.{self.name}"
        if self.type not in FIELD_TYPES:
            refuse(f"{path}.type", self.type, f"one of {', '.join(FIELD_TYPES)}", "Use one of these.")
        if not self.column:
            msgspec.structs.force_setattr(self, "column", f"f.{self.name}")
        if self.edges is not None and self.type not in NUMBERS:
            refuse(f"{path}.edges", "declared", f"none for type {self.type}", "Leave them out.")
        if list(self.levels) != sorted(set(self.levels)) or len(self.levels) > LEVELS_MAX:
            refuse(
                f"{path}.levels", f"{len(self.levels)} levels", f"at most {LEVELS_MAX}, sorted", "Sort them."
            )
        for key in ("low", "high"):
            value = getattr(self, key)
            if value is not None and not np.isfinite(value):
                refuse(f"{path}.{key}", value, "a finite number", "Leave it out for no bound.")
        if self.low is not None and self.high is not None and self.low > self.high:
            refuse(f"{path}.low", self.low, f"at most high, {self.high!r}", "Swap them.")
        for key in ("max_missing", "max_outside", "max_unseen", "max_stale"):
            if not 0.0 <= getattr(self, key) <= 1.0:
                refuse(f"{path}.{key}", getattr(self, key), "a share from 0 to 1", "Correct it.")

    @cached_property
    def shape(self) -> str:
        """Return what states must agree on before they are added: 16 hex digits of type, bins and bounds."""
        bins = [self.type, msgspec.to_builtins(self.edges), self.levels, self.low, self.high]
        return digest(canonical_json(bins))[:16]


class DriftRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When a difference is drift: significant at the chosen rate of false alarms, and material.

    `alarms_per_year` false alarms are accepted for one model whose features move as they always did, at
    `looks_per_year` looks; their quotient is what one look may spend over all its features.
    `floor`: the least effect that matters, a distance between distributions from 0 to 1; `presence_floor`
    the same for the share of missing values. `spread`: an effect is material from that many times the
    feature's natural day-to-day variation on. `min_days` of reference teach that variation; with fewer, an
    effect must be shown larger than the floor itself. `season` says which days are compared. `visible`: the
    effect that a look must be able to see before it may answer "ok".
    """

    alarms_per_year: float = 1.0
    looks_per_year: int = 365
    floor: float = 0.05
    presence_floor: float = 0.02
    spread: float = 3.0
    min_days: int = 14
    season: Literal["weekday", "none"] = "weekday"
    visible: float = 0.15

    def __post_init__(self) -> None:
        positive("drift", alarms_per_year=self.alarms_per_year, spread=self.spread)
        for key in ("floor", "presence_floor", "visible"):
            between(f"drift.{key}", getattr(self, key), 0.0, 1.0)
        for key, least in (("looks_per_year", 1), ("min_days", 2)):  # two days vary
            if getattr(self, key) < least:
                refuse(f"drift.{key}", getattr(self, key), f"at least {least}", "Raise it.")
        if self.alarms_per_year > self.looks_per_year / 2:
            refuse("drift.alarms_per_year", self.alarms_per_year, "at most one in two looks", "Lower it.")

    @property
    def alpha(self) -> float:
        """Return the chance of a false alarm that one look may spend.

        >>> round(DriftRule().alpha, 6)
        0.00274
        """
        return self.alarms_per_year / self.looks_per_year


class MonitorPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """All that can change what a monitor answers."""

    features: tuple[FeaturePlan, ...]
    rule: DriftRule = DriftRule()

    def __post_init__(self) -> None:
        names = [feature.name for feature in self.features]
        if not names or len(set(names)) < len(names):
            refuse("features", names, "each feature once, and at least one", "Correct the list.")

    def to_json(self) -> bytes:
        """Return the canonical JSON that is registered."""
        return canonical_json(msgspec.to_builtins(self))

    @classmethod
    def from_json(cls, data: bytes | str) -> "MonitorPlan":
        """Return the plan that `to_json` wrote.

        Raises:
            PlanError: a key is unknown, of the wrong type or out of range.
        """
        try:
            return msgspec.json.decode(data, type=cls)
        except msgspec.DecodeError as error:
            raise PlanError("the monitor", str(error), "what `to_json` wrote", "Correct it.") from error

    @cached_property
    def digest(self) -> str:
        """Return the digest of the canonical JSON: 64 hex digits."""
        return digest(self.to_json())
