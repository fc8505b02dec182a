"""A day of a monitor: which positions it has, and the state of the decisions that were recorded in it."""

import datetime as dt
import zoneinfo
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from harness.watched import SCORE, fold_batch
from policies.columns import Floats, Ints
from policies.drift import MonitorPlan, WindowState
from policies.drift.reliability import Reliability
from recorders.canonical import canonical_json

EPOCH = dt.date(1970, 1, 1)
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
    """What the decisions of a day, or of an hour of it, were like: integers alone.

    `scores` counts them by score, of probabilities. `newest_us` is when the newest decision before the day's
    end occurred, None for no decision ever.
    Laws (tests/laws/test_monitor_hours.py): states merge in any order to that of one pass, to the byte; what
    was merged can be taken away again.
    """

    decisions: int
    newest_us: int | None
    window: WindowState
    scores: Reliability

    @classmethod
    def empty(cls, plan: MonitorPlan) -> "DayState":
        """Return the state of no decision, the identity of `merge`."""
        return cls(0, None, WindowState.empty(plan), Reliability.empty())

    @classmethod
    def of(cls, batch: pa.RecordBatch, plan: MonitorPlan, threshold: float) -> "DayState":
        """Return the state of some decisions, of which there is at least one."""
        values = floats(batch.column(SCORE))
        known = values[(values >= 0.0) & (values <= 1.0)]
        scores = Reliability.of(known, np.full(known.size, np.nan), threshold)
        return cls(batch.num_rows, int(occurred_us(batch).max()), fold_batch(batch, plan), scores)

    def merge(self, *others: "DayState") -> "DayState":
        """Return the state of all these decisions together.

        Raises:
            EvidenceMismatch: one of them was counted under another plan.
        """
        scores = self.scores
        for other in others:
            scores = scores.merge(other.scores)
        times = [each.newest_us for each in (self, *others) if each.newest_us is not None]
        return DayState(
            self.decisions + sum(other.decisions for other in others),
            max(times, default=None),
            self.window.merge(*(other.window for other in others)),
            scores,
        )

    def subtract(self, other: "DayState") -> "DayState":
        """Return the state without the decisions of `other`, which must be among them.

        When the newest decision came stays as it is: the largest of some values cannot be taken away.

        Raises:
            EvidenceMismatch: counted under another plan, or it holds decisions that this does not.
        """
        return DayState(
            self.decisions - other.decisions,
            self.newest_us,
            self.window.subtract(other.window),
            self.scores.subtract(other.scores),
        )

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


def occurred_us(batch: pa.RecordBatch) -> Ints:
    """Return when decisions occurred, in microseconds since 1970."""
    found: Ints = batch.column("occurred_at").cast(pa.int64()).to_numpy()
    return found


def floats(column: Any) -> Floats:
    """Return a column of numbers with NaN where there is none."""
    found: Floats = np.asarray(
        column.cast(pa.float64()).fill_null(float("nan")).to_numpy(zero_copy_only=False), dtype=np.float64
    )
    return found
