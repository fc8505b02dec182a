"""The experiment file: what a person writes and what registration keeps, as frozen structs.

The structs are the only list of keys: the linter, `harness experiment new` and the reference in
docs/experiments.md all read them. The tables [unit], [[metrics]], [policy], [slices],
[retraining], [arms] and [completeness] are the plan of `policies`, key for key.
"""

import datetime as dt
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from policies.intake_plan import ArmsPlan, CompletenessPlan
from policies.metric_plan import MetricPlan
from policies.plan import Plan, UnitPlan
from policies.policy_plan import PolicyPlan
from policies.retrain_rule import RetrainRule
from policies.slice_plan import SlicePlan
from policies.wealth import Control
from recorders.canonical import canonical_json, digest

Text = Annotated[str, Meta(min_length=1)]
Position = Annotated[int, Meta(ge=1)]
Instant = Annotated[dt.datetime, Meta(tz=True)]
Duration = Annotated[str, Meta(pattern=r"^[1-9][0-9]{0,5}[smhdw]$", examples=["24h", "7d"])]
ModelName = Annotated[str, Meta(pattern=r"^[^\s:]+:[^\s:]+$", examples=["late-gbm:1"])]
Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$", examples=["late-gbm-1"])]

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def duration(text: str) -> dt.timedelta:
    """Return the duration that `text` names: a whole number and one of s, m, h, d, w.

    >>> duration("24h") == duration("1d")
    True
    """
    return dt.timedelta(seconds=int(text[:-1]) * _SECONDS[text[-1]])


class About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked, where, and by whom."""

    id: Name
    decision_point: Text
    question: Text
    owner: Text


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which decisions count: half-open; both ends times with offset, or both log positions."""

    start: Position | Instant = msgspec.field(name="from")
    stop: Position | Instant = msgspec.field(name="to")


class Champion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The model whose recorded decisions are compared against."""

    uri: Literal["recorded:champion"] = "recorded:champion"
    rescore: ModelName | None = None


class Challenger(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The candidate, which never acts."""

    model: ModelName


class Label(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The outcome that both models are judged by."""

    name: Text
    window: Duration


class Looks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often somebody intends to look. Looks at other times are as valid."""

    every: Duration = "7d"


class WealthPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ledger that an experiment draws its level from; the policy's alpha is that of the whole ledger."""

    ledger: Name
    control: Control = "share"


class Rivals(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom a challenger for retraining must beat too, and the past that is the reference. Half-open."""

    all: ModelName
    start: Position | Instant = msgspec.field(name="from")
    stop: Position | Instant = msgspec.field(name="to")


Range = TypeVar("Range", Window, Rivals)


class ExperimentFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An experiment as it is written and registered."""

    schema: Literal[1] = 1
    experiment: About
    window: Window
    champion: Champion = Champion()
    challenger: Challenger
    label: Label
    unit: UnitPlan
    metrics: tuple[MetricPlan, ...]
    policy: PolicyPlan = PolicyPlan()
    looks: Looks = Looks()
    # Unset and not null, so that the experiments before it keep their digests.
    slices: SlicePlan | UnsetType = UNSET
    wealth: WealthPlan | UnsetType = UNSET
    retraining: RetrainRule | UnsetType = UNSET
    rivals: Rivals | UnsetType = UNSET
    arms: ArmsPlan | UnsetType = UNSET
    completeness: CompletenessPlan | UnsetType = UNSET

    @property
    def plan(self) -> Plan:
        """The part that `policies` reads, with the catalogue's defaults filled in.

        Raises:
            PlanError: the tables do not fit together; the message names the key.
        """
        return Plan(
            metrics=self.metrics,
            unit=self.unit,
            policy=self.policy,
            slices=self.slices,
            retraining=self.retraining,
            arms=self.arms,
            completeness=self.completeness,
        )

    def declaration(self) -> dict[str, object]:
        """Return the plain values of this experiment, defaults written out and times in UTC."""
        plain: dict[str, object] = msgspec.to_builtins(self.in_utc())
        return plain

    def in_utc(self) -> "ExperimentFile":
        """Return the same experiment with its times in UTC, so that one instant has one text."""
        rivals = self.rivals if isinstance(self.rivals, UnsetType) else _in_utc(self.rivals)
        return msgspec.structs.replace(self, window=_in_utc(self.window), rivals=rivals)

    @property
    def digest(self) -> str:
        """The SHA-256 of the canonical JSON of the declaration, 64 hex digits."""
        return digest(canonical_json(self.declaration()))


def _in_utc(declared: Range) -> Range:
    """Return the range with ends in UTC, where they are times."""
    ends = {
        name: value.astimezone(dt.UTC)
        for name in ("start", "stop")
        if isinstance(value := getattr(declared, name), dt.datetime)
    }
    return msgspec.structs.replace(declared, **ends)


def from_declaration(declaration: object) -> ExperimentFile:
    """Return the experiment whose `declaration()` is given.

    Raises:
        msgspec.ValidationError: the value is no declaration; the log holds none such.
    """
    return msgspec.convert(declaration, ExperimentFile)
