"""The plan of an experiment: what is registered before the data is looked at, and decides alone."""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from msgspec import UNSET, UnsetType

from policies.checks import refuse
from policies.errors import PlanError
from policies.intake_plan import ArmsPlan, CompletenessPlan
from policies.logged import LoggedPlan
from policies.metric_checks import check_beside, check_in_plan, check_retrained
from policies.metric_plan import MetricPlan
from policies.options import declared
from policies.policy_plan import PolicyPlan
from policies.retrain_rule import RetrainRule
from policies.rules import RULES, Combination, Hypothesis
from policies.slice_plan import SlicePlan
from recorders.canonical import canonical_json, digest

HYPOTHESES: tuple[Hypothesis, ...] = get_args(Hypothesis)
DEFAULT_SCALE = 2**24
SCALE_MAX = 2**40
STEPS_MIN = 2**10  # in the widest difference: rounding then moves no value by more than 1/2048 of it


class UnitPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What counts as one independent observation (docs/adr/0009).

    `request`: every decision. `column`: the decisions that share a `unit`. `day`: the decisions of one
    local calendar day in `timezone`, an IANA name.
    """

    kind: Literal["request", "column", "day"] = "request"
    timezone: str | None = None

    def __post_init__(self) -> None:
        if (self.kind == "day") != (self.timezone is not None):
            refuse(
                "unit.timezone", self.timezone, 'a time zone for kind = "day" and none else', "Correct it."
            )
        if self.timezone is not None:
            try:
                ZoneInfo(self.timezone)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                refuse(
                    "unit.timezone",
                    self.timezone,
                    "an IANA time zone",
                    'Use a name such as "America/New_York".',
                )


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, dict=True):
    """Everything that can change a verdict. `scale` is the fixed-point unit: values are kept as k/scale."""

    metrics: tuple[MetricPlan, ...]
    unit: UnitPlan = UnitPlan()
    policy: PolicyPlan = PolicyPlan()
    scale: int = DEFAULT_SCALE
    slices: SlicePlan | UnsetType = UNSET
    retraining: RetrainRule | UnsetType = UNSET
    arms: ArmsPlan | UnsetType = UNSET
    completeness: CompletenessPlan | UnsetType = UNSET

    def __post_init__(self) -> None:
        names = [metric.name for metric in self.metrics]
        if len(set(names)) < len(names):
            raise PlanError("metrics", names, "each metric once", "Keep one entry of each name.")
        if not any(metric.role == "primary" for metric in self.metrics):
            raise PlanError(
                "metrics", names, "at least one primary metric", 'Give one metric role = "primary".'
            )
        if not 1 <= self.scale <= SCALE_MAX or self.scale & (self.scale - 1):
            raise PlanError("scale", self.scale, "a power of two up to 2**40", f"Use {DEFAULT_SCALE}.")
        filled = tuple(self._filled(metric) for metric in self.metrics)
        msgspec.structs.force_setattr(self, "metrics", filled)
        if isinstance(self.slices, SlicePlan):
            self._check_slices(self.slices)
        self._check_retraining()

    def _check_retraining(self) -> None:
        rule, wanted = self.retraining, self.policy.name == "retraining"
        if wanted != isinstance(rule, RetrainRule):
            found = "declared" if not wanted else None
            refuse(
                "retraining", found, 'declared with policy.name = "retraining" and none else', "Correct it."
            )
        if not isinstance(rule, RetrainRule):
            return
        primaries = [metric for metric in self.metrics if metric.role == "primary"]
        if len(primaries) != 1:
            names = [metric.name for metric in primaries]
            refuse("metrics", names, "one primary metric to retrain for", "Declare the one that decides.")
        check_retrained(primaries[0])
        largest, clip = max(rule.margin, rule.slice_margin), self.clip(primaries[0].name)
        if largest >= clip:
            refuse("retraining.margin", largest, f"below the clip, {clip!r}", "Lower it, or widen the clip.")
        if isinstance(self.slices, SlicePlan) and self.slices.margin:
            refuse("slices.margin", self.slices.margin, "none", "Use retraining.slice_margin.")

    def _check_slices(self, slices: SlicePlan) -> None:
        metric = self.sliced
        if metric.identification != "direct":
            refuse("slices.metric", metric.name, "a metric that is identified directly", "Name another.")
        if slices.margin >= self.clip(metric.name):
            refuse("slices.margin", slices.margin, f"less than {self.clip(metric.name)!r}", "Lower it.")

    def _filled(self, metric: MetricPlan) -> MetricPlan:
        kind = metric.kind
        if kind.limit(metric) * self.scale > SCALE_MAX:
            raise PlanError(
                f"scale with metrics.{metric.name}",
                self.scale,
                f"bound times scale up to 2**40, the bound is {kind.limit(metric)!r}",
                "Lower the scale or the bound.",
            )
        widest = kind.limit(metric) if metric.clip is None else metric.clip
        if widest * self.scale < STEPS_MIN:
            refuse(
                f"scale with metrics.{metric.name}",
                self.scale,
                f"at least {STEPS_MIN} steps of the scale in the widest difference, {widest!r}",
                "Raise the clip, or count in a smaller unit: differences would be rounded away.",
            )
        needed = RULES[self.policy.name].hypotheses(metric.role)[0]
        check_in_plan(metric, unit=self.unit.kind, promotes=needed)
        check_beside(metric, unit=self.unit.kind)
        if metric.off_policy:
            self.logged(metric)
        if metric.role == "context":
            return metric
        wanted = metric.hypotheses or RULES[self.policy.name].hypotheses(metric.role)
        if needed not in wanted:
            refuse(f"metrics.{metric.name}.hypotheses", wanted, f'"{needed}" among them', "Add it.")
        if {"noninferiority", "equivalence"} & set(wanted) and metric.margin is None:
            raise PlanError(
                f"metrics.{metric.name}.margin",
                None,
                "a margin, in the metric's unit",
                "Declare how much worse is tolerable.",
            )
        if metric.bounded and "equivalence" in wanted:
            refuse(
                f"metrics.{metric.name}.hypotheses",
                wanted,
                "no equivalence of what is bounded",
                "Correct it.",
            )
        return msgspec.structs.replace(metric, hypotheses=tuple(h for h in HYPOTHESES if h in wanted))

    @property
    def gating(self) -> tuple[MetricPlan, ...]:
        """Return the metrics that can change the verdict."""
        return tuple(metric for metric in self.metrics if metric.role != "context")

    @property
    def combination(self) -> Combination:
        """Return how many of the combined metrics must be shown."""
        return declared(self.policy.primaries) or RULES[self.policy.name].combines

    @property
    def combined(self) -> tuple[MetricPlan, ...]:
        """Return the metrics of which one is enough; none where all must be shown."""
        if self.combination == "all":
            return ()
        counted = RULES[self.policy.name].guardrails_count
        return tuple(metric for metric in self.gating if counted or metric.role == "primary")

    @property
    def sliced(self) -> MetricPlan:
        """Return the metric that is searched for harm in slices: the declared one, or the first primary.

        Raises:
            PlanError: it is not registered.
        """
        named = self.slices.metric if isinstance(self.slices, SlicePlan) else ""
        return self.metric(named or next(each.name for each in self.metrics if each.role == "primary"))

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that the metrics read beside scores, decisions and label."""
        return tuple(sorted({name for metric in self.metrics for name in metric.columns}))

    @property
    def features(self) -> tuple[str, ...]:
        """Return the features of decisions that the metrics read."""
        return tuple(sorted({name for metric in self.metrics for name in metric.wanted_features}))

    def logged(self, metric: MetricPlan) -> LoggedPlan:
        """Return how a `logged_action` metric is estimated: rewards are scaled to [0, 1], larger is better.

        Raises:
            PlanError: a weight is out of range.
        """
        largest = declared(metric.weight_max)
        assert largest is not None  # what makes the metric off-policy
        clip = declared(metric.weight_clip)
        cut = largest if clip is None else clip
        return LoggedPlan(weight_max=largest, clip=cut, alpha=self.policy.alpha)

    def metric(self, name: str) -> MetricPlan:
        """Return the registered metric of that name.

        Raises:
            PlanError: the plan has no such metric.
        """
        for metric in self.metrics:
            if metric.name == name:
                return metric
        known = ", ".join(metric.name for metric in self.metrics)
        raise PlanError("metric", name, f"one of {known}", "Use a registered metric.")

    def clip(self, name: str) -> float:
        """Return the largest paired difference that a unit can have, in the metric's unit."""
        metric = self.metric(name)
        return metric.kind.limit(metric) if metric.clip is None else metric.clip

    def to_json(self) -> bytes:
        """Return the canonical JSON that is registered."""
        return canonical_json(msgspec.to_builtins(self))

    @cached_property
    def digest(self) -> str:
        """Return the digest that evidence carries: 64 hex digits over the canonical JSON."""
        return digest(self.to_json())

    @classmethod
    def from_json(cls, data: bytes | str) -> "Plan":
        """Return the plan that `to_json` wrote."""
        return plan_from(msgspec.json.decode(data))


def plan_from(declared: Mapping[str, Any]) -> Plan:
    """Return the plan that a mapping (of TOML or JSON) declares, with the catalogue's defaults filled in.

    Raises:
        PlanError: a key is unknown (the nearest known one is named), of the wrong type, or out of range.

    >>> plan_from({"metrics": [{"name": "brier"}]}).metrics[0].hypotheses
    ('superiority', 'harm')
    """
    for path, table, struct in _tables(declared):
        known = {field.name for field in msgspec.structs.fields(struct)}
        for key in table:
            if key not in known:
                near = get_close_matches(str(key), known, n=1)
                hint = f'The nearest known key is "{near[0]}".' if near else "Remove it."
                refuse(f"{path}{key}", "an unknown key", f"one of {', '.join(sorted(known))}", hint)
    try:
        return msgspec.convert(declared, Plan)
    except msgspec.ValidationError as error:
        raise PlanError("the plan", str(error), "values of the documented types", "Correct it.") from error


def _tables(declared: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any], type[msgspec.Struct]]]:
    """Return each table of the plan, for messages that name the nearest known key."""
    metrics = declared.get("metrics")
    found: list[tuple[str, Any, type[msgspec.Struct]]] = [
        ("", declared, Plan),
        ("unit.", declared.get("unit"), UnitPlan),
        ("policy.", declared.get("policy"), PolicyPlan),
        ("slices.", declared.get("slices"), SlicePlan),
        ("retraining.", declared.get("retraining"), RetrainRule),
        ("arms.", declared.get("arms"), ArmsPlan),
        ("completeness.", declared.get("completeness"), CompletenessPlan),
    ]
    found += [
        ("metrics.", metric, MetricPlan) for metric in metrics or () if isinstance(metrics, list | tuple)
    ]
    return [(path, table, kind) for path, table, kind in found if isinstance(table, Mapping)]
