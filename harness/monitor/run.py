"""Runs of a monitor: each day judged once, in the log; explained by judging it again."""

import datetime as dt
import zoneinfo
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.config import Config
from harness.errors import NotFound
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.log.places import When
from harness.looks import first_difference
from harness.monitor.day import DayRange, midnight
from harness.monitor.days import Days, range_of_day
from harness.monitor.errors import MonitorAltered
from harness.monitor.hours import DayHours
from harness.monitor.outcomes import matured, matures_at
from harness.monitor.registered import Monitor, get_monitor, reference_days
from harness.monitor.watch import judge_inputs, judge_outcomes
from policies.accumulators import Moments
from policies.drift import reference_of
from policies.drift.detector import LossDay
from policies.drift.reference import Reference
from recorders.canonical import canonical_json
from recorders.errors import WriterForked

INPUTS, OUTCOMES, ASKED = "monitor.inputs", "monitor.outcomes", "monitor.asked"
# What a command that ends in an answer returns; the gravest of a run counts.
EXIT_CODES = {"ok": 0, "not enough data": 10, "drift": 20, "alarm": 20, "broken": 30}
_FOLDER = Path(".harness", "monitors")


class Ran(msgspec.Struct, frozen=True):
    """What a run added: the days judged now, oldest first, by their inputs and then by their outcomes."""

    monitor: str
    inputs: tuple[dict[str, Any], ...]
    outcomes: tuple[dict[str, Any], ...]

    @property
    def answer(self) -> str:
        """The gravest answer of the run; "ok" where no day was judged."""
        said = [each["answer"] for each in (*self.inputs, *self.outcomes)]
        for answer in ("broken", "alarm", "drift", "ok"):
            if answer in said:
                return answer
        return said[0] if said else "ok"


def run(log: Log, name: str, as_of: When = None, *, dry_run: bool = False, folder: Path | None = None) -> Ran:
    """Return the days that are over, or have matured, at `as_of` and were not judged; each is stored once.

    What is judged is a function of the log: whoever runs it, whenever, stores the same bytes.

    Raises:
        NotFound: no such monitor.
    """
    monitor = get_monitor(log, name)
    watched = _Watched(log, monitor, folder)
    place = log.as_of(as_of)
    judged = [{body["day"] for body in bodies} for bodies in history(log, name)]
    inputs = [
        _stored(log, INPUTS, watched.inputs(day), dry_run=dry_run)
        for day in watched.over(place.time)
        if day.date.isoformat() not in judged[0]
    ]
    outcomes = []
    for day in watched.mature(place.time):
        if day.date.isoformat() not in judged[1]:
            outcomes.append(_stored(log, OUTCOMES, watched.outcomes(day), dry_run=dry_run))
            watched.losses[day.number] = _losses(outcomes[-1])
    return Ran(name, tuple(inputs), tuple(outcomes))


def tell_time(log: Log, name: str, now: dt.datetime) -> None:
    """Record that somebody asks now, where the log has been silent since before the last midnight.

    A day is over when the log says so. Where the service has died nothing else would, and nobody would hear.
    """
    monitor = get_monitor(log, name)
    zone = monitor.declared.monitor.timezone
    today = midnight(now.astimezone(zoneinfo.ZoneInfo(zone)).date(), zone)
    if log.rows("identity")[0][2] == "server" and log.head().recorded_at < today:
        log.control(ASKED, name, {"monitor": name})


def explain(log: Log, name: str, date: dt.date) -> list[dict[str, Any]]:
    """Return the answers on a day after judging it again from the log alone, and comparing every byte.

    Raises:
        MonitorAltered: an answer is not what the log gives; the first differing field is named.
        NotFound: the day was not judged.
    """
    watched = _Watched(log, get_monitor(log, name), None, kept=False)
    day = range_of_day(log, date, watched.timezone)
    checked = []
    for type_, judge in ((INPUTS, watched.inputs), (OUTCOMES, watched.outcomes)):
        event = _find(log, type_, name, date)
        if event is None:
            continue
        again = judge(day)
        if canonical_json(event.body) != canonical_json(again):
            raise MonitorAltered(name, date.isoformat(), *first_difference(event.body, again))
        checked.append(event.body)
    if not checked:
        raise NotFound("judged day", date.isoformat(), _judged(log, name))
    return checked


def hours(
    log: Log, name: str, date: dt.date, *, without: Sequence[str] = (), folder: Path | None = None
) -> dict[str, Any]:
    """Return what would be said of a judged day's inputs without some of its hours; nothing is stored.

    Each hour comes with `state_bytes`, the size of the largest state of one feature in it.

    Raises:
        NotFound: the day was not judged, or has no decision in such an hour.
    """
    if _find(log, INPUTS, name, date) is None:
        raise NotFound("judged day", date.isoformat(), _judged(log, name))
    watched = _Watched(log, get_monitor(log, name), folder)
    day = range_of_day(log, date, watched.timezone)
    sizes = watched.hours(day).sizes()
    body = watched.without(day, without)
    listed = [{**each, "state_bytes": sizes[each["hour"]]} for each in body["hours"]]
    return {**body, "hours": listed, "without": list(without)}


def _judged(log: Log, name: str) -> list[str]:
    return [event.body["day"] for event in log.controls(INPUTS, name)]


def history(log: Log, name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return what was said of the inputs and of the outcomes, by day."""
    found = ([event.body for event in log.controls(type_, name)] for type_ in (INPUTS, OUTCOMES))
    inputs, outcomes = (sorted(bodies, key=lambda body: str(body["day"])) for bodies in found)
    return inputs, outcomes


class _Watched:
    """One monitor with its reference, for as many days as are asked for."""

    def __init__(self, log: Log, monitor: Monitor, folder: Path | None, *, kept: bool = True) -> None:
        self._log, self._monitor = log, monitor
        self.timezone = monitor.declared.monitor.timezone
        self._point = monitor.declared.monitor.decision_point
        threshold = 0.5 if monitor.label is None else monitor.label.threshold
        place = Config.load(folder).folder / _FOLDER / monitor.id if kept else None
        closed = monitor.encrypted is not None
        self._days = Days(log, self._point, monitor.inputs, threshold=threshold, folder=place, closed=closed)
        self._inputs: Reference | None = None
        self._labels = None if monitor.labels is None else reference_of(monitor.label_days, monitor.labels)
        self.losses = {
            (dt.date.fromisoformat(body["day"]) - dt.date(1970, 1, 1)).days: _losses(body)
            for body in history(log, monitor.id)[1]
        }

    def over(self, now: dt.datetime) -> Iterator[DayRange]:
        """Yield the watched days that are over."""
        date = self._monitor.declared.reference.days[1]
        while midnight(date + dt.timedelta(days=1), self.timezone) <= now:
            yield range_of_day(self._log, date, self.timezone)
            date += dt.timedelta(days=1)

    def mature(self, now: dt.datetime) -> Iterator[DayRange]:
        """Yield the watched days whose outcomes have matured; none without a label."""
        label = self._monitor.label
        if label is not None:
            yield from (day for day in self.over(now) if matures_at(day, label) <= now)

    def inputs(self, day: DayRange) -> dict[str, Any]:
        """Return the answer on a day's inputs."""
        if not self._monitor.hourly:
            return judge_inputs(self._monitor, day, self._days.state(day), self._reference())
        hours = self.hours(day)
        state = self._days.dated(hours.merged(self._monitor.inputs), day)
        return judge_inputs(self._monitor, day, state, self._reference(), hours)

    def hours(self, day: DayRange) -> DayHours:
        """Return the states of a day's hours."""
        return self._days.hours(day, self.timezone)

    def without(self, day: DayRange, names: Sequence[str]) -> dict[str, Any]:
        """Return the answer on a day's inputs when these hours are taken out of it."""
        hours, plan = self.hours(day), self._monitor.inputs
        rest = self._days.dated(hours.without(names, plan), day)
        kept = DayHours({name: state for name, state in hours.hours.items() if name not in names})
        return judge_inputs(self._monitor, day, rest, self._reference(), kept)

    def _reference(self) -> Reference:
        if self._inputs is None:
            past = self._days.days(reference_days(self._log, self._monitor.declared))
            self._inputs = reference_of(past, self._monitor.inputs)
        return self._inputs

    def outcomes(self, day: DayRange) -> dict[str, Any]:
        """Return the answer on a day's outcomes, given the losses of the days before."""
        label = self._monitor.label
        assert label is not None, "a monitor of outcomes"
        assert self._labels is not None, "a monitor of outcomes"
        found = matured(self._log, self._point, day, label, self._monitor.declared.losses)
        earlier = [
            LossDay(number, self.losses[number]) for number in sorted(self.losses) if number < day.number
        ]
        return judge_outcomes(self._monitor, day, found, self._labels, earlier)


def _find(log: Log, type_: str, name: str, date: dt.date) -> ControlEvent | None:
    day = date.isoformat()
    return next((event for event in log.controls(type_, name) if event.body["day"] == day), None)


def _stored(log: Log, type_: str, body: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
    """Return the answer as it is stored under its day: of two that are given at once, one."""
    if dry_run:
        plain: dict[str, Any] = msgspec.json.decode(canonical_json(body))
        return plain
    try:
        return log.control(type_, body["monitor"], body, key=f"{type_}:{body['monitor']}:{body['day']}").body
    except WriterForked:
        found = _find(log, type_, body["monitor"], dt.date.fromisoformat(body["day"]))
        assert found is not None, "it was just refused for that one"
        return found.body


def _losses(body: dict[str, Any]) -> Moments:
    return msgspec.convert(body["losses"], Moments)
