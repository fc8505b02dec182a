"""Scheduled runs: at most one per slot over all schedulers of a database, caught up once when missed.

A run is intent, act, result, each in the log. `schedule.claimed` pins the slot and the position that it
looks at before anything is done; a run that died is done again *at that position*, where its look, if it was
stored, is found and not taken a second time. `schedule.completed` or `schedule.failed` ends the slot.
"""

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import msgspec

from harness.errors import DatabaseUnavailable
from harness.lease import Lease
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.schedule_file import Schedule
from recorders.errors import HarnessError, LinkUnavailable, WriterForked

CLAIMED, COMPLETED, FAILED = "schedule.claimed", "schedule.completed", "schedule.failed"


class Clock(Protocol):
    """Knows the time at which schedules are due. Nothing that decides a verdict reads it."""

    def now(self) -> dt.datetime:
        """Return the present instant in UTC."""


class WallClock:
    """The machine's clock."""

    def now(self) -> dt.datetime:
        """Return the present instant in UTC."""
        return dt.datetime.now(dt.UTC)


class Job(Protocol):
    """What a schedule does in one slot. Done twice at one position it has the effect of once."""

    def __call__(self, log: Log, schedule: Schedule, position: int) -> dict[str, Any]:
        """Return what is kept in the log as the run's result: plain JSON values."""


class Run(msgspec.Struct, frozen=True):
    """What became of one slot.

    `idle`: nothing was due. `ended`: the slot has its result already. `busy`: another scheduler is at it.
    `completed` and `failed`: this call did it; `position` is that of the control event, `detail` its result.
    """

    schedule: str
    slot: dt.datetime | None
    state: Literal["idle", "ended", "busy", "completed", "failed"]
    position: int | None = None
    detail: dict[str, Any] = {}


class Runner:
    """Runs the slots of schedules that are due. `open_log` gives a fresh log for each run."""

    def __init__(self, open_log: Callable[[], Log], jobs: Mapping[str, Job], clock: Clock) -> None:
        self._open_log = open_log
        self._jobs = jobs
        self._clock = clock

    def run_due(self, schedule: Schedule) -> Run:
        """Return what became of the newest slot that is due now; older ones are never run.

        A job that fails ends its slot as `failed`, and the next slot is run as if nothing had been. What
        is no error of ours is raised again after that. While the database does not answer, the slot stays
        open.

        Raises:
            LinkUnavailable, DatabaseUnavailable: try again later.
        """
        slot = schedule.slot(self._clock.now())
        if slot is None:
            return Run(schedule.name, None, "idle")
        with self._open_log() as log:
            if _end_of(log, schedule, slot) is not None:
                return Run(schedule.name, slot, "ended")
            with Lease(log.url, "schedule", schedule.name) as lease:
                if not lease.held:
                    return Run(schedule.name, slot, "busy")
                return self._run(log, schedule, slot)

    def _run(self, log: Log, schedule: Schedule, slot: dt.datetime) -> Run:
        if _end_of(log, schedule, slot) is not None:  # it ended while we waited for the lock
            return Run(schedule.name, slot, "ended")
        position = _claim(log, schedule, slot)
        try:
            detail = self._jobs[schedule.job](log, schedule, position)
        except (LinkUnavailable, DatabaseUnavailable):
            raise
        except HarnessError as error:
            return _end(log, schedule, slot, FAILED, _told(error))
        except Exception as error:
            _end(log, schedule, slot, FAILED, _told(error))
            raise
        return _end(log, schedule, slot, COMPLETED, detail)


def history(log: Log, schedule: str) -> list[ControlEvent]:
    """Return the ends of the schedule's slots, oldest first."""
    return [event for event in log.controls("schedule.*", schedule) if event.type in (COMPLETED, FAILED)]


def _told(error: Exception) -> dict[str, str]:
    return {"error": str(error), "error_type": type(error).__name__}


def _end_of(log: Log, schedule: Schedule, slot: dt.datetime) -> ControlEvent | None:
    ends = [event for event in history(log, schedule.name) if event.body["slot"] == slot.isoformat()]
    return ends[0] if ends else None


def _claim(log: Log, schedule: Schedule, slot: dt.datetime) -> int:
    """Return the position that this slot looks at, pinned in the log by whoever claimed it first."""
    for event in log.controls(CLAIMED, schedule.name):
        if event.body["slot"] == slot.isoformat():
            return int(event.body["as_of"])
    position = log.head().position
    body = {
        "slot": slot.isoformat(),
        "job": schedule.job,
        "experiment": schedule.experiment,
        "as_of": position,
    }
    try:
        log.control(CLAIMED, schedule.name, body, key=f"schedule:{schedule.name}:{slot.isoformat()}:claim")
    except WriterForked:
        # The lock was lost with its session and another scheduler claimed the slot: its position holds.
        return _claim(log, schedule, slot)
    return position


def _end(log: Log, schedule: Schedule, slot: dt.datetime, type_: str, detail: dict[str, Any]) -> Run:
    key = f"schedule:{schedule.name}:{slot.isoformat()}:end"
    body = {"slot": slot.isoformat(), "job": schedule.job, "experiment": schedule.experiment, **detail}
    try:
        event = log.control(type_, schedule.name, body, key=key)
    except WriterForked:
        return Run(schedule.name, slot, "ended")
    return Run(schedule.name, slot, "completed" if type_ == COMPLETED else "failed", event.position, detail)
