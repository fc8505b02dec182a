"""The reference: days of the past, pooled by weekday, with the variation that they taught."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from policies.checks import refuse
from policies.drift.plan import MonitorPlan
from policies.drift.state import FeatureState, WindowState
from policies.drift.variation import Variation, learn
from policies.errors import EvidenceMismatch
from recorders.canonical import canonical_json

FORMAT = 1
ALL = "all"
_LEAST_A_WEEKDAY = 2  # a day is compared with the others of its weekday, so there must be another
_WEEK = 7
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday, Monday is 0


class Day(NamedTuple):
    """One closed local day: its number since 1970-01-01 and the state of its features."""

    number: int
    window: WindowState

    @property
    def weekday(self) -> int:
        """Return the weekday, 0 for Monday.

        >>> Day(0, WindowState("", {})).weekday
        3
        """
        return (self.number + _EPOCH_WEEKDAY) % _WEEK


class Reference(msgspec.Struct, frozen=True):
    """What a window is compared with: pools by name ("all", and "0" to "6" where weekdays are told apart)."""

    plan: str
    days: int
    pools: dict[str, WindowState]
    variation: dict[str, Variation]

    def pool(self, weekday: int | None) -> WindowState:
        """Return the pool that fits a weekday; all days where weekdays are not told apart."""
        return self.pools.get(str(weekday), self.pools[ALL])

    def to_json(self) -> bytes:
        """Return the canonical JSON that is kept."""
        pools = {
            name: {feature: state.to_builtins() for feature, state in pool.features.items()}
            for name, pool in self.pools.items()
        }
        variation = msgspec.to_builtins(self.variation)
        found = {
            "format": FORMAT,
            "plan": self.plan,
            "days": self.days,
            "pools": pools,
            "variation": variation,
        }
        return canonical_json(found)

    @classmethod
    def from_json(cls, data: bytes | str, plan: MonitorPlan) -> "Reference":
        """Return the reference that `to_json` wrote.

        Raises:
            EvidenceMismatch: it was written in another format, or under another plan.
        """
        raw: dict[str, Any] = msgspec.json.decode(data)
        for key, wanted in (("format", FORMAT), ("plan", plan.digest)):
            if raw.get(key) != wanted:
                raise EvidenceMismatch(f"the {key}", raw.get(key), wanted)
        pools = {}
        for name, features in raw["pools"].items():
            states = {
                each.name: FeatureState.from_builtins(features[each.name], each) for each in plan.features
            }
            pools[name] = WindowState(plan.digest, states)
        return cls(plan.digest, raw["days"], pools, msgspec.convert(raw["variation"], dict[str, Variation]))


def reference_of(days: Sequence[Day], plan: MonitorPlan) -> Reference:
    """Return the reference that these days make, whatever their order.

    Weekdays are told apart when the rule says so and each weekday that occurs has at least two days. A single
    window of training data is one day: it can be compared with, and teaches no variation.

    Raises:
        PlanError: there is no day, or one twice.
        EvidenceMismatch: a day was counted under another plan.
    """
    numbers = [day.number for day in days]
    if not days or len(set(numbers)) < len(numbers):
        refuse("reference", f"{len(numbers)} days", "at least one day, and each once", "Correct the days.")
    ordered = sorted(days, key=lambda day: day.number)
    empty = WindowState.empty(plan)
    pools = {ALL: empty.merge(*(day.window for day in ordered))}
    weekdays = {day.weekday for day in ordered}
    grouped = {each: [day.window for day in ordered if day.weekday == each] for each in sorted(weekdays)}
    apart = plan.rule.season == "weekday" and all(len(g) >= _LEAST_A_WEEKDAY for g in grouped.values())
    if apart:
        pools |= {str(weekday): empty.merge(*windows) for weekday, windows in grouped.items()}
    named = [(str(day.weekday) if apart else ALL, day.window) for day in ordered]
    return Reference(plan.digest, len(days), pools, _variation(named, pools, plan))


def _variation(
    named: Sequence[tuple[str, WindowState]], pools: Mapping[str, WindowState], plan: MonitorPlan
) -> dict[str, Variation]:
    found = {}
    for feature in plan.features:
        of_feature = {pool: window.features[feature.name] for pool, window in pools.items()}
        days = [(pool, window.features[feature.name]) for pool, window in named]
        found[feature.name] = learn(feature, days, of_feature)
    return found
