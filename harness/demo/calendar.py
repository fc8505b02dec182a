"""The year of the demo: when a model was trained, when it was judged, when it began to decide. Local days."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from harness.demo.flights import HOME
from harness.schedule_file import Schedule

_ZONE = ZoneInfo(HOME)


def midnight(day: str | date) -> datetime:
    """Return the instant (UTC) at which a local day begins.

    >>> midnight("2013-05-01").isoformat()
    '2013-05-01T04:00:00+00:00'
    """
    day = date.fromisoformat(day) if isinstance(day, str) else day
    return datetime.combine(day, time(), tzinfo=_ZONE).astimezone(UTC)


CHAMPION_TRAINED = midnight("2013-01-31")
OPENS = midnight("2013-02-01")
FIRST_WINDOW = midnight("2013-05-01")
FIRST_ENDS = midnight("2013-07-01")
SECOND_WINDOW = midnight("2013-10-01")
# The last look at the second window comes when its last day has matured.
SECOND_ENDS = midnight("2013-12-05")
# The last arrivals of the year land on the morning after.
LAST_ARRIVALS = midnight("2014-01-02")


def midnights(start: datetime, stop: datetime) -> list[datetime]:
    """Return the local midnights in (start, stop], ascending. Days of 23 and 25 hours count as days.

    >>> len(midnights(OPENS, FIRST_WINDOW))
    89
    """
    day = start.astimezone(_ZONE).date()
    found = []
    while (instant := midnight(day)) <= stop:
        if instant > start:
            found.append(instant)
        day += timedelta(days=1)
    return found


def slots(schedule: Schedule, start: datetime, stop: datetime) -> list[datetime]:
    """Return the instants in (start, stop] at which a schedule is due, ascending."""
    found = []
    due = schedule.next_slot(start)
    while due is not None and due <= stop:
        found.append(due)
        due = schedule.next_slot(due)
    return found


def local(instant: datetime) -> datetime:
    """Return the instant on the clocks of New York."""
    return instant.astimezone(_ZONE)
