"""The schedules of harness.toml: which job runs when. They say how often, never what a verdict is."""

import datetime as dt
import re
import zoneinfo
from typing import Annotated, Literal

import msgspec
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.interval import IntervalTrigger
from msgspec import Meta

from harness.config import FILE, Config
from harness.experiment_file import Duration, Instant, Name, Text, duration
from harness.strict_toml import Problem, TomlFileError, check_table

# A Monday, so that "7d" runs on Mondays.
_ANCHOR = dt.datetime(1970, 1, 5, tzinfo=dt.UTC)
WITHOUT_EXPERIMENT = ("seal", "checkpoint", "monitor")
_LOOK_BACK = tuple(dt.timedelta(minutes=2 * 8**power) for power in range(8))


class Schedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One job and its times: every so often, or a cron expression."""

    name: Annotated[Name, Meta(description="The name under which its runs are recorded.")]
    job: Annotated[
        Literal["evaluate", "replay", "seal", "checkpoint", "monitor"],
        Meta(
            description='"evaluate": score, then take a look; "replay": only score; '
            '"seal": put what is new in the log into segments; '
            '"checkpoint": sign the log, have it cosigned and anchored; '
            '"monitor": judge the days that are over.'
        ),
    ]
    experiment: Annotated[
        Name | None, Meta(description='The registered experiment, for "evaluate" and "replay".')
    ] = None
    monitor: Annotated[Name | None, Meta(description='The registered monitor, for "monitor".')] = None
    every: Annotated[Duration | None, Meta(description="The time between runs.")] = None
    start: Annotated[
        Instant | None,
        Meta(description='The instant that "every" counts from; by default a Monday, 00:00 UTC.'),
    ] = None
    cron: Annotated[
        Text | None, Meta(description="Minute, hour, day, month and weekday (by name: mon to sun).")
    ] = None
    timezone: Annotated[Text, Meta(description='The time zone of "cron".')] = "UTC"
    decide: Annotated[
        bool, Meta(description="Record the verdict as soon as a look ends in PROMOTE, REJECT or RETRAIN.")
    ] = True

    def slot(self, now: dt.datetime) -> dt.datetime | None:
        """Return the newest time (UTC) at or before `now` at which this schedule was due, or None.

        Only the newest matters: runs that were missed are caught up once, not one by one.

        >>> weekly = Schedule(name="w", job="evaluate", experiment="e", every="7d")
        >>> weekly.slot(dt.datetime(2026, 3, 4, 5, tzinfo=dt.UTC)).isoformat()
        '2026-03-02T00:00:00+00:00'
        """
        if self.every is None:
            return self._last_cron(now)
        start, step = self.start or _ANCHOR, duration(self.every)
        if now < start:
            return None
        return (start + (now - start) // step * step).astimezone(dt.UTC)

    def next_slot(self, now: dt.datetime) -> dt.datetime | None:
        """Return the first time (UTC) after `now` at which this schedule is due, or None."""
        if self.every is None:
            following = self._cron().get_next_fire_time(None, now + dt.timedelta(microseconds=1))
            return None if following is None else _utc(following)
        last = self.slot(now)
        if last is None:
            return (self.start or _ANCHOR).astimezone(dt.UTC)
        return last + duration(self.every)

    def trigger(self) -> BaseTrigger:
        """Return when the scheduler library runs this."""
        if self.every is None:
            return self._cron()
        seconds = int(duration(self.every).total_seconds())
        return IntervalTrigger(seconds=seconds, start_date=self.start or _ANCHOR, timezone=dt.UTC)

    def _cron(self) -> CronTrigger:
        return CronTrigger.from_crontab(self.cron, timezone=zoneinfo.ZoneInfo(self.timezone))

    def _last_cron(self, now: dt.datetime) -> dt.datetime | None:
        """Look back ever further: a cron expression can only be asked what comes next."""
        trigger = self._cron()
        for back in _LOOK_BACK:
            found, following = None, trigger.get_next_fire_time(None, now - back)
            while following is not None and following <= now:
                found, following = following, trigger.get_next_fire_time(following, following)
            if found is not None:
                return _utc(found)
        return None


def _utc(instant: dt.datetime) -> dt.datetime:
    return instant.astimezone(dt.UTC)


class _ScheduleTables(msgspec.Struct, frozen=True):
    schedule: tuple[Schedule, ...] = ()


def read_schedules(config: Config) -> tuple[Schedule, ...]:
    """Return the schedules that harness.toml lists; none when there is no such file.

    Raises:
        TomlFileError: a table does not say what it should; every fault is listed.
    """
    tables = {"schedule": config.sections["schedule"]} if "schedule" in config.sections else {}
    problems = list(check_table(tables, _ScheduleTables, root=_ScheduleTables)) if tables else []
    if not problems:
        schedules = msgspec.convert(tables, _ScheduleTables).schedule
        problems = [problem for number, each in enumerate(schedules, 1) for problem in _faults(each, number)]
        names = [each.name for each in schedules]
        problems += [
            Problem("schedule", name, "two schedules have this name.", "Names are unique.", "Rename one.")
            for name in sorted({name for name in names if names.count(name) > 1})
        ]
        if not problems:
            return schedules
    raise TomlFileError(str(config.folder / FILE), problems)


def _faults(schedule: Schedule, number: int) -> list[Problem]:
    table = f"schedule {number}"
    if (schedule.experiment is None) != (schedule.job in WITHOUT_EXPERIMENT):
        found = (
            "no experiment is named." if schedule.experiment is None else f"{schedule.job} has no experiment."
        )
        expected = 'Expected one for "evaluate" and "replay", none for "seal", "checkpoint" and "monitor".'
        return [Problem(table, "experiment", found, expected, "Correct it.")]
    if (schedule.monitor is not None) != (schedule.job == "monitor"):
        found = "no monitor is named." if schedule.monitor is None else f"{schedule.job} has no monitor."
        return [
            Problem(table, "monitor", found, 'Expected one for "monitor" and for no other.', "Correct it.")
        ]
    return _time_faults(schedule, table)


def _time_faults(schedule: Schedule, table: str) -> list[Problem]:
    if (schedule.every is None) == (schedule.cron is None):
        found = "neither is set." if schedule.every is None else "both are set."
        return [Problem(table, "every, cron", found, "Expected one of the two.", "Keep one.")]
    if schedule.timezone not in zoneinfo.available_timezones():
        expected = 'Expected a name such as "Europe/Berlin".'
        return [Problem(table, "timezone", f"{schedule.timezone!r} is unknown.", expected, "Correct it.")]
    if schedule.cron is None:
        return []
    # The scheduler library counts weekdays from Monday, cron from Sunday: a number would be a trap.
    if re.search(r"\d", schedule.cron.split()[-1]):
        expected = "Expected weekdays by name, since programs count them differently."
        return [
            Problem(table, "cron", f"{schedule.cron!r} numbers its weekdays.", expected, "Write mon to sun.")
        ]
    try:
        schedule.slot(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
    except ValueError as error:
        expected = 'Expected five fields, such as "0 3 * * mon".'
        return [Problem(table, "cron", f"{schedule.cron!r} is no cron expression.", expected, f"({error}.)")]
    return []
