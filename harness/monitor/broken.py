"""When a feature broke: the quality rules of a day on each of its hours."""

from collections.abc import Sequence
from typing import Any

import msgspec

from harness.monitor.hours import DayHours
from policies.drift import MonitorPlan, check_quality
from policies.drift.quality import Finding, broken


class BrokenHours(msgspec.Struct, frozen=True):
    """What the hours of a day say of its quality. No part of the answer, which is the day's.

    `hours` has each hour with decisions, how many, and the features that are broken in it by themselves; all
    hours share the chance of a false alarm that the day may spend. `first` names the hour in which each
    broken rule of the day was broken first.
    """

    hours: list[dict[str, Any]]
    first: list[dict[str, Any]]

    def reason(self, finding: Finding) -> str:
        """Return a finding of the day, with the hour in which it began."""
        found = next((each for each in self.first if _of(each) == (finding.feature, finding.rule)), None)
        return finding.reason if found is None else f"{finding.reason} First in {said(found['hour'])}."


def broken_hours(hours: DayHours, plan: MonitorPlan, day: Sequence[Finding]) -> BrokenHours:
    """Return what the hours say; `day` are the broken rules of all of them together.

    A rule began in the first hour that is broken by itself; where none has the rows for that, in the first
    one with a share above the limit. There is one, since the day's share is above it.
    """
    found = {name: check_quality(state.window, _shared(plan, hours)) for name, state in hours.hours.items()}
    listed = [
        {
            "hour": name,
            "decisions": hours.hours[name].decisions,
            "broken": sorted({str(each.feature) for each in broken(findings)}),
        }
        for name, findings in found.items()
    ]
    by_rule = {
        name: {(each.feature, each.rule): each for each in findings} for name, findings in found.items()
    }
    first = []
    for finding in day:
        key = (finding.feature, finding.rule)
        if finding.feature is not None:
            hour = _began({name: each[key] for name, each in by_rule.items()})
            first.append({"feature": finding.feature, "rule": finding.rule, "hour": hour})
    return BrokenHours(listed, first)


def said(hour: str) -> str:
    """Return the name of an hour as a reader says it.

    >>> said("2026-03-18T07:00:00+01:00"), said("earlier")
    ('the hour from 2026-03-18T07:00+01:00', 'what occurred earlier and came late')
    """
    words = {
        "earlier": "what occurred earlier and came late",
        "later": "what is to occur after the day: compare the clocks",
    }
    return words.get(hour, f"the hour from {hour[:16]}{hour[19:]}")


def _began(by_hour: dict[str, Finding]) -> str:
    for answer in ("broken", "not enough data"):
        for name, finding in by_hour.items():
            if finding.answer == answer and finding.value is not None:
                return name
    raise AssertionError("a day's share is above a limit that no hour's is")


def _shared(plan: MonitorPlan, hours: DayHours) -> MonitorPlan:
    """Return the plan whose looks at all these hours together spend what one look at a day may."""
    looks = plan.rule.looks_per_year * max(1, len(hours.hours))
    return msgspec.structs.replace(plan, rule=msgspec.structs.replace(plan.rule, looks_per_year=looks))


def _of(each: dict[str, Any]) -> tuple[str, str]:
    return each["feature"], each["rule"]
