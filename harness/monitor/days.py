"""The days of a monitor: which positions each has, and the state of their decisions, each computed once."""

import datetime as dt
import zoneinfo
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from harness.log.log import Log
from harness.watched import SCORE, fold_batch, watched_batches
from policies.columns import Floats
from policies.drift import MonitorPlan, WindowState
from policies.drift.reference import Day
from policies.drift.reliability import Reliability
from recorders.canonical import canonical_json, digest
from replay.ranges import AsOf

EPOCH = dt.date(1970, 1, 1)
_MICROSECOND = dt.timedelta(microseconds=1)
_FORMAT = 1


class DayRange(msgspec.Struct, frozen=True):
    """A local day as positions [start, stop): those that were recorded in it. `ends` is its midnight in UTC.

    So every decision is in one day, and a day that is over can never change.
    """

    date: dt.date
    start: int
    stop: int
    ends: dt.datetime

    @property
    def number(self) -> int:
        """The day as days since 1970-01-01."""
        return (self.date - EPOCH).days


class DayState(msgspec.Struct, frozen=True):
    """What the decisions of a day were like: integers alone. `scores` counts them by score, of probabilities.

    `newest_us` is when the newest decision before the day's end occurred, None for no decision ever.
    """

    decisions: int
    newest_us: int | None
    window: WindowState
    scores: Reliability

    def to_json(self) -> bytes:
        """Return the canonical JSON that is kept."""
        return canonical_json(
            {
                "format": _FORMAT,
                "decisions": self.decisions,
                "newest_us": self.newest_us,
                "window": self.window.to_json().decode(),
                "scores": msgspec.to_builtins(self.scores),
            }
        )

    @classmethod
    def from_json(cls, data: bytes, plan: MonitorPlan) -> "DayState":
        """Return the state that `to_json` wrote under this plan."""
        raw = msgspec.json.decode(data)
        window = WindowState.from_json(raw["window"], plan)
        return cls(raw["decisions"], raw["newest_us"], window, msgspec.convert(raw["scores"], Reliability))


def midnight(date: dt.date, timezone: str) -> dt.datetime:
    """Return the beginning of a local day, in UTC."""
    return dt.datetime.combine(date, dt.time(), tzinfo=zoneinfo.ZoneInfo(timezone)).astimezone(dt.UTC)


def range_of_day(log: Log, date: dt.date, timezone: str) -> DayRange:
    """Return the positions of a local day that is over."""
    begins, ends = (midnight(day, timezone) for day in (date, date + dt.timedelta(days=1)))
    start, stop = (log.as_of(instant - _MICROSECOND).position + 1 for instant in (begins, ends))
    return DayRange(date, start, stop, ends)


class Days:
    """Gives the state of a day: out of a folder where it was kept, else out of the log.

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
        path = self._path(day)
        if path is not None and path.exists():
            kept = path.read_bytes()
            mark, _, data = kept.partition(b"\n")
            if mark == digest(data).encode():
                return DayState.from_json(data, self._plan)
        found = self._fold(day)
        if path is not None:
            _keep(path, found.to_json())
        return found

    def days(self, ranges: list[DayRange]) -> list[Day]:
        """Return the days of a reference that had decisions."""
        found = ((day, self.state(day)) for day in ranges)
        return [Day(day.number, state.window) for day, state in found if state.decisions]

    def _path(self, day: DayRange) -> Path | None:
        if self._folder is None:
            return None
        end: AsOf = self._log.as_of(day.stop - 1)
        name = digest(
            canonical_json([self._plan.digest, self._point, self._threshold, day.start, end.digest])
        )
        return self._folder / f"{day.date.isoformat()}-{name[:24]}.json"

    def _fold(self, day: DayRange) -> DayState:
        window, decisions = WindowState.empty(self._plan), 0
        scores, newest = Reliability.empty(), None
        for batch in watched_batches(self._log, day.start, day.stop, self._point, closed=self._closed):
            window = window.merge(fold_batch(batch, self._plan))
            decisions += batch.num_rows
            values = floats(batch.column(SCORE))
            known = values[(values >= 0.0) & (values <= 1.0)]
            scores = scores.merge(Reliability.of(known, np.full(known.size, np.nan), self._threshold))
            occurred = int(batch.column("occurred_at").cast(pa.int64()).to_numpy().max())
            newest = occurred if newest is None else max(newest, occurred)
        return DayState(decisions, newest if decisions else self._newest_before(day), window, scores)

    def _newest_before(self, day: DayRange) -> int | None:
        """Return when the newest decision before a day without any was recorded."""
        latest = self._log.latest(day.start, kind="decision", decision_point=self._point)
        return None if not latest else _us(latest[0].header.occurred_max)


def floats(column: Any) -> Floats:
    """Return a column of numbers with NaN where there is none."""
    found: Floats = np.asarray(
        column.cast(pa.float64()).fill_null(float("nan")).to_numpy(zero_copy_only=False), dtype=np.float64
    )
    return found


def _us(instant: dt.datetime | None) -> int | None:
    return None if instant is None else round(instant.timestamp() * 1e6)


def _keep(path: Path, data: bytes) -> None:
    """Write a state whole or not at all; where there is no room or right for it, it is not kept."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_bytes(digest(data).encode() + b"\n" + data)
        fresh.replace(path)
    except OSError:
        return
