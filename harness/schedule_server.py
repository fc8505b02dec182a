"""The scheduler process: the library says when, the runner does it, a signal ends it after its job."""

import datetime as dt
import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

from apscheduler.events import EVENT_JOB_ERROR
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from harness.errors import DatabaseUnavailable
from harness.schedule_file import Schedule
from harness.scheduler import Run, Runner
from recorders.errors import LinkUnavailable

# How soon a slot is found that was missed, left over by a scheduler that died, or held up by the database.
SWEEP_S = 30.0
_SWEEP = "sweep"
_LOGGER = logging.getLogger("harness.schedule")


def serve(
    schedules: Sequence[Schedule],
    runner: Runner,
    stop: threading.Event,
    *,
    report: Callable[[Run], None],
    sweep_s: float = SWEEP_S,
) -> None:
    """Run the schedules until `stop` is set, then return when the current job has ended.

    One job runs at a time. At the start, and then every `sweep_s` seconds, slots that are due and have no
    end are run: that is how missed runs are caught up. `report` is told of each slot that ended here.
    """

    def run(schedule: Schedule) -> None:
        if stop.is_set():
            return
        done = runner.run_due(schedule)
        if done.state in ("completed", "failed"):
            report(done)

    scheduler = BackgroundScheduler(
        executors={"default": ThreadPoolExecutor(1)},
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
        timezone=dt.UTC,
    )
    for schedule in schedules:
        scheduler.add_job(run, schedule.trigger(), args=[schedule], id=f"slot:{schedule.name}")
        scheduler.add_job(
            run,
            IntervalTrigger(seconds=sweep_s, timezone=dt.UTC),
            args=[schedule],
            id=f"{_SWEEP}:{schedule.name}",
            next_run_time=dt.datetime.now(dt.UTC),
        )

    def failed(event: Any) -> None:
        """Say what a run raised: its slot has ended, or stays open for the next sweep."""
        if isinstance(event.exception, LinkUnavailable | DatabaseUnavailable):
            _LOGGER.warning("%s", event.exception)
        else:
            _LOGGER.error("%s: %s", type(event.exception).__name__, event.exception)

    # It would log each job that a longer one holds up; what matters is in the log of the harness.
    logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
    scheduler.add_listener(failed, EVENT_JOB_ERROR)
    scheduler.start()
    try:
        stop.wait()
    finally:
        scheduler.shutdown(wait=True)
