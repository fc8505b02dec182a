"""The hours of a day: one state for each hour in which its decisions occurred, which add up to the day's.

A day is what was recorded in it. Its hours are of occurrence: what occurred before the day and came late is
one state of its own, and so is what claims to occur after it. So a day has at most 27 states, whatever the
clocks of services say, and each can be taken out again.
"""

import datetime as dt
import zoneinfo
from collections.abc import Iterable, Iterator

import msgspec
import numpy as np
import pyarrow as pa

from harness.errors import NotFound
from harness.monitor.day import DayRange, DayState, midnight, occurred_us
from policies.drift import MonitorPlan
from recorders.canonical import canonical_json
from replay.columns import mask_of

EARLIER, LATER = "earlier", "later"
_HOUR = dt.timedelta(hours=1)
_HOUR_US = 3_600_000_000
_FORMAT = 1


class DayHours(msgspec.Struct, frozen=True):
    """The states of a day by hour, in order of time: those with decisions alone.

    An hour is named by its beginning, `2026-03-18T07:00:00+01:00`, counted from local midnight.
    """

    hours: dict[str, DayState]

    def merged(self, plan: MonitorPlan) -> DayState:
        """Return the state of the day: to the byte what one pass over its decisions gives."""
        return DayState.empty(plan).merge(*self.hours.values())

    def without(self, names: Iterable[str], plan: MonitorPlan) -> DayState:
        """Return the state of the day when some hours are taken out of it.

        Raises:
            NotFound: the day has no decision in that hour.
        """
        found = self.merged(plan)
        for name in dict.fromkeys(names):
            if name not in self.hours:
                raise NotFound("hour with decisions", name, list(self.hours))
            found = found.subtract(self.hours[name])
        return found

    def sizes(self) -> dict[str, int]:
        """Return the bytes of the largest state of one feature, by hour."""
        return {
            name: max(len(canonical_json(each.to_builtins())) for each in state.window.features.values())
            for name, state in self.hours.items()
        }

    def to_json(self) -> bytes:
        """Return the canonical JSON that is kept."""
        hours = [[name, state.to_json().decode()] for name, state in self.hours.items()]
        return canonical_json({"format": _FORMAT, "hours": hours})

    @classmethod
    def from_json(cls, data: bytes, plan: MonitorPlan) -> "DayHours":
        """Return the hours that `to_json` wrote under this plan."""
        raw = msgspec.json.decode(data)
        return cls({name: DayState.from_json(text.encode(), plan) for name, text in raw["hours"]})


def names_of(day: DayRange, timezone: str) -> tuple[str, ...]:
    """Return the names of a day's hours, between those of what came late and of what is ahead of its time.

    >>> spring = dt.date(2026, 3, 29)
    >>> end = midnight(spring + dt.timedelta(days=1), "Europe/Berlin")
    >>> names = names_of(DayRange(spring, 1, 1, end), "Europe/Berlin")
    >>> len(names), names[2:4]
    (25, ('2026-03-29T01:00:00+01:00', '2026-03-29T03:00:00+02:00'))
    """
    zone, begins = zoneinfo.ZoneInfo(timezone), midnight(day.date, timezone)
    count = -((begins - day.ends) // _HOUR)
    hours = ((begins + place * _HOUR).astimezone(zone).isoformat() for place in range(count))
    return (EARLIER, *hours, LATER)


def fold_hours(
    batches: Iterable[pa.RecordBatch],
    plan: MonitorPlan,
    day: DayRange,
    *,
    timezone: str,
    threshold: float,
) -> DayHours:
    """Return the states of a day's decisions by the hour in which they occurred."""
    names = names_of(day, timezone)
    begins = round(midnight(day.date, timezone).timestamp() * 1e6)
    states: dict[int, DayState] = {}
    for batch in batches:
        for place, rows in _by_hour(batch, begins, len(names)):
            state = DayState.of(rows, plan, threshold)
            states[place] = states[place].merge(state) if place in states else state
    return DayHours({names[place]: states[place] for place in sorted(states)})


def _by_hour(batch: pa.RecordBatch, begins: int, count: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the decisions of each hour with its place among the names; most batches have one."""
    places = np.clip((occurred_us(batch) - begins) // _HOUR_US + 1, 0, count - 1)
    held = np.unique(places).tolist()
    for place in held:
        yield place, batch if len(held) == 1 else batch.filter(mask_of(places == place))
