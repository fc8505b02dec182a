"""A window: which positions and which decisions count for an experiment, seen from one place in the log."""

import datetime as dt
import zoneinfo
from typing import Protocol

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from policies.units import local_days
from replay.ranges import AsOf

Integers = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]

COUNTED, OUTSIDE, PARTIAL, OPEN = range(4)
_MICROSECOND = dt.timedelta(microseconds=1)
_EPOCH = dt.date(1970, 1, 1)


class Places(Protocol):
    """Resolves a time to the last position that was recorded at it or before."""

    def as_of(self, when: int | dt.datetime | str | None) -> AsOf:
        """Return the place in the log; None is its end."""


class Bounds(msgspec.Struct, frozen=True):
    """The ends of a window as they are registered: positions, or times in UTC."""

    start: int | dt.datetime
    stop: int | dt.datetime

    def positions(self, places: Places, now: AsOf, *, late: dt.timedelta) -> tuple[int | None, int | None]:
        """Return the half-open range of positions that can hold its decisions; None for an end not reached.

        A time selects decisions by when they occurred, and they are recorded a little later: the range
        runs on for `late`, the label's window, after its end. What is recorded later still is not counted.
        """
        return self._start(places, now), self._stop(places, now, late)

    def _start(self, places: Places, now: AsOf) -> int | None:
        if isinstance(self.start, int):
            return self.start
        # The first position that is recorded at the start or after it.
        return None if now.time < self.start else places.as_of(self.start - _MICROSECOND).position + 1

    def _stop(self, places: Places, now: AsOf, late: dt.timedelta) -> int | None:
        if isinstance(self.stop, int):
            return self.stop
        end = self.stop + late
        return None if now.time < end else places.as_of(end).position + 1

    def over(self, places: Places, now: AsOf, *, late: dt.timedelta) -> bool:
        """Return whether at `now` all decisions of the window have matured: a later look can see no more."""
        if isinstance(self.stop, dt.datetime):
            return now.time >= self.stop + late
        last = self.stop - 1
        return last <= now.position and places.as_of(last).time + late <= now.time

    def seen_from(self, now: AsOf) -> str:
        """Return where `now` stands: "ahead" of the window, in it ("open"), or "past" it."""
        if not self._reached(self.start, now):
            return "ahead"
        return "past" if self._reached(self.stop, now) else "open"

    @staticmethod
    def _reached(end: int | dt.datetime, now: AsOf) -> bool:
        return now.position >= end if isinstance(end, int) else now.time >= end

    def outside(self, occurred_us: Integers) -> npt.NDArray[np.bool_]:
        """Return where a decision occurred before the window or after it; positions were cut before."""
        outside = np.zeros(occurred_us.size, dtype=np.bool_)
        if isinstance(self.start, dt.datetime):
            outside |= occurred_us < microseconds(self.start)
        if isinstance(self.stop, dt.datetime):
            outside |= occurred_us >= microseconds(self.stop)
        return outside


def microseconds(instant: dt.datetime) -> int:
    """Return the microseconds since 1970 in UTC."""
    return int(pa.scalar(instant, type=pa.timestamp("us", tz="UTC")).value)


def row_codes(
    occurred_us: Integers, bounds: Bounds, *, timezone: str | None, now: AsOf, label_window: dt.timedelta
) -> Codes:
    """Return for each decision whether it is COUNTED, OUTSIDE, of a PARTIAL day, or of an OPEN day.

    Without `timezone` there are no days. A day is closed when its end is older than the label's window at
    `now`: all of its decisions have matured, so a day counts whole or not at all. A day that the window cuts
    is partial: it would be another kind of unit.
    """
    codes = np.where(bounds.outside(occurred_us), OUTSIDE, COUNTED).astype(np.int8)
    if timezone is None or not occurred_us.size:
        return codes
    days, of_row = np.unique(local_days(occurred_us, timezone), return_inverse=True)
    zone = zoneinfo.ZoneInfo(timezone)
    begins, ends = _midnights(days, zone), _midnights(days + 1, zone)
    state = np.full(begins.size, COUNTED, dtype=np.int8)
    state[ends > microseconds(now.time - label_window)] = OPEN
    cut = np.zeros(begins.size, dtype=np.bool_)
    if isinstance(bounds.start, dt.datetime):
        cut |= begins < microseconds(bounds.start)
    if isinstance(bounds.stop, dt.datetime):
        cut |= ends > microseconds(bounds.stop)
    state[cut] = PARTIAL
    of_day = state[of_row]
    return np.where(codes == COUNTED, of_day, codes).astype(np.int8)


def _midnights(days: Integers, zone: zoneinfo.ZoneInfo) -> Integers:
    """Return the beginnings of local days (days since 1970-01-01) in UTC microseconds."""
    dates = (_EPOCH + dt.timedelta(days=int(day)) for day in days)
    starts = [dt.datetime.combine(date, dt.time(), tzinfo=zone).astimezone(dt.UTC) for date in dates]
    return np.asarray([microseconds(start) for start in starts], dtype=np.int64)
