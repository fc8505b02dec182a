"""The days of a monitor out of the log, each folded once: whole, or by the hour."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pyarrow as pa

from harness.log.log import Log
from harness.monitor.day import DayRange, DayState, midnight
from harness.monitor.hours import DayHours, fold_hours
from harness.watched import watched_batches
from policies.drift import MonitorPlan
from policies.drift.reference import Day
from recorders.canonical import canonical_json, digest
from replay.ranges import AsOf

_MICROSECOND = dt.timedelta(microseconds=1)


def range_of_day(log: Log, date: dt.date, timezone: str) -> DayRange:
    """Return the positions of a local day that is over."""
    begins, ends = (midnight(day, timezone) for day in (date, date + dt.timedelta(days=1)))
    start, stop = (log.as_of(instant - _MICROSECOND).position + 1 for instant in (begins, ends))
    return DayRange(date, start, stop, ends)


class Days:
    """Gives the state of a day, or of its hours: out of a folder where they were kept, else out of the log.

    What is kept is named by the plan, the range and the chain's digest at its end, and has its own digest; a
    file that was cut short, or altered, is computed again. Nothing rests on the folder: it saves time.
    With `closed` no encrypted field is opened, so that no value of a person gets there.
    """

    def __init__(
        self,
        log: Log,
        point: str,
        plan: MonitorPlan,
        *,
        threshold: float,
        folder: Path | None,
        closed: bool,
    ) -> None:
        self._log, self._point, self._plan = log, point, plan
        self._threshold = threshold
        self._folder, self._closed = folder, closed

    def state(self, day: DayRange) -> DayState:
        """Return the state of a day."""
        path = self._path(day, "json")
        kept = _kept(path)
        if kept is not None:
            return DayState.from_json(kept, self._plan)
        found = DayState.empty(self._plan)
        for batch in self._batches(day):
            found = found.merge(DayState.of(batch, self._plan, self._threshold))
        found = self.dated(found, day)
        _keep(path, found.to_json())
        return found

    def hours(self, day: DayRange, timezone: str) -> DayHours:
        """Return the states of a day's hours in its zone."""
        path = self._path(day, "hours.json")
        kept = _kept(path)
        if kept is not None:
            return DayHours.from_json(kept, self._plan)
        found = fold_hours(self._batches(day), self._plan, day, timezone=timezone, threshold=self._threshold)
        _keep(path, found.to_json())
        return found

    def dated(self, found: DayState, day: DayRange) -> DayState:
        """Return the state with when the newest decision before its day was recorded, where it has none."""
        if found.decisions:
            return found
        latest = self._log.latest(day.start, kind="decision", decision_point=self._point)
        newest = _us(latest[0].header.occurred_max) if latest else None
        return msgspec.structs.replace(found, newest_us=newest)

    def days(self, ranges: list[DayRange]) -> list[Day]:
        """Return the days of a reference that had decisions."""
        found = ((day, self.state(day)) for day in ranges)
        return [Day(day.number, state.window) for day, state in found if state.decisions]

    def _batches(self, day: DayRange) -> Iterator[pa.RecordBatch]:
        return watched_batches(self._log, day.start, day.stop, self._point, closed=self._closed)

    def _path(self, day: DayRange, kind: str) -> Path | None:
        if self._folder is None:
            return None
        end: AsOf = self._log.as_of(day.stop - 1)
        name = digest(
            canonical_json([self._plan.digest, self._point, self._threshold, day.start, end.digest])
        )
        return self._folder / f"{day.date.isoformat()}-{name[:24]}.{kind}"


def _us(instant: dt.datetime | None) -> int | None:
    return None if instant is None else round(instant.timestamp() * 1e6)


def _kept(path: Path | None) -> bytes | None:
    """Return what a file keeps, if it has the bytes that were written."""
    if path is None or not path.exists():
        return None
    mark, _, data = path.read_bytes().partition(b"\n")
    return data if mark == digest(data).encode() else None


def _keep(path: Path | None, data: bytes) -> None:
    """Write a state whole or not at all; where there is no room or right for it, it is not kept."""
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(digest(data).encode() + b"\n" + data)
        fresh.replace(path)
    except OSError:
        return
