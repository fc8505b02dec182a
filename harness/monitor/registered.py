"""Monitors in the log: registered once, with the bins, limits and baseline that their reference shows."""

import datetime as dt
from functools import partial
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import UnsetType

from harness.errors import NotFound
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.monitor.day import DayRange, midnight
from harness.monitor.days import range_of_day
from harness.monitor.errors import FeatureEncrypted, MonitorChanged, ReferenceUnusable
from harness.monitor.file import MonitorFile, Outcomes
from harness.monitor.outcomes import LABEL, Matured, matured, matures_at
from harness.surveyed import cut_plan, survey
from harness.watched import encrypted_in, watched_batches
from policies.drift import MonitorPlan, WindowState
from policies.drift.detector import Baseline, baseline_of
from policies.drift.edges import cut_edges
from policies.drift.reference import Day
from policies.drift.reliability import Reliability
from policies.drift.survey import Survey, finite_numbers
from recorders.errors import WriterForked

REGISTERED = "monitor.registered"
_LONGEST = 256  # characters of a known level: five hundred texts of 64 kB are no event of the log
_LIMITS = ("low", "high", "max_missing", "max_outside", "max_unseen", "max_stale")


class Monitor(msgspec.Struct, frozen=True):
    """A registered monitor: what was declared, and what its reference showed then.

    `inputs` watches features and scores, `labels` the label where one is declared, `baseline` its losses;
    `label_days` are the reference's labels by day, `past` its scores with their labels. `encrypted` are the
    features that are not watched since they are kept encrypted (docs/adr/0065); None of a monitor that was
    registered before that was told apart, and opens them. `hourly` says that days are folded by the hour and
    answers name the hour in which something broke (docs/adr/0073); those registered before do not.
    """

    declared: MonitorFile
    event: ControlEvent
    inputs: MonitorPlan
    labels: MonitorPlan | None
    baseline: Baseline | None
    label_days: tuple[Day, ...]
    past: Reliability
    encrypted: tuple[str, ...] | None
    hourly: bool

    @property
    def id(self) -> str:
        """The monitor's name."""
        return self.declared.id

    @property
    def label(self) -> Outcomes | None:
        """The label that it watches, if any."""
        return None if isinstance(self.declared.label, UnsetType) else self.declared.label


def register(log: Log, declared: MonitorFile) -> Monitor:
    """Return the monitor, registered under its id; registering the same file again changes nothing.

    Raises:
        MonitorChanged: the id names another monitor.
        ReferenceUnusable: the reference is not over, or holds no decisions.
        FeatureEncrypted: a feature of the file is kept encrypted.
        PlanError: a limit is out of range, or of no watched feature.
    """
    stored = _find(log, declared.id)
    if stored is not None:
        return _same(stored, declared)
    body = check(log, declared)
    try:
        event = log.control(REGISTERED, declared.id, body, key=f"monitor:{declared.id}")
    except WriterForked:
        return _same(get_monitor(log, declared.id), declared)  # somebody was first
    return _monitor(event)


def check(log: Log, declared: MonitorFile) -> dict[str, Any]:
    """Return what `register` would store; nothing is stored.

    Raises:
        MonitorChanged, ReferenceUnusable, FeatureEncrypted, PlanError: as `register`.
    """
    stored = _find(log, declared.id)
    if stored is not None:
        return _same(stored, declared).event.body
    days = reference_days(log, declared)
    point = declared.monitor.decision_point
    start, stop = days[0].start, days[-1].stop
    read = partial(watched_batches, log, start, stop, point, closed=True)
    surveyed = survey(read(), stop - start, longest=_LONGEST)
    encrypted = encrypted_in(log, surveyed.feature_sets)
    only = [each.name for each in declared.features]
    for name in only:
        if name in encrypted:
            raise FeatureEncrypted(declared.id, name)
    plan = cut_plan(surveyed, read(), declared.rule, only=only, without=encrypted)
    if plan is None:
        raise ReferenceUnusable(declared.id, f'has no decision at "{point}".', "Choose other days.")
    for name in only:
        if name not in surveyed.features:
            raise NotFound("feature", name, surveyed.features)
    body: dict[str, Any] = {
        "declaration": declared.declaration(),
        "declaration_digest": declared.digest,
        "inputs": msgspec.to_builtins(_limited(plan, declared)),
        "encrypted": encrypted,
        "hourly": True,
    }
    if isinstance(declared.label, UnsetType):
        return body
    return body | _outcomes(log, declared, declared.label, days)


def _outcomes(log: Log, declared: MonitorFile, label: Outcomes, days: list[DayRange]) -> dict[str, Any]:
    """Return what the reference shows of the label: its bins, its days, and the limit of the losses."""
    point, losses = declared.monitor.decision_point, declared.losses
    found = {day.number: matured(log, point, day, label, losses) for day in days}
    plan = _label_plan(declared, list(found.values()))
    past = Reliability.empty()
    for each in found.values():
        past = past.merge(each.reliability)
    return {
        "labels": msgspec.to_builtins(plan),
        "baseline": msgspec.to_builtins(baseline_of([each.day(day) for day, each in found.items()], losses)),
        "label_days": [
            [day, each.window(plan).to_json().decode()] for day, each in found.items() if each.labelled
        ],
        "past": msgspec.to_builtins(past),
    }


def reference_days(log: Log, declared: MonitorFile) -> list[DayRange]:
    """Return the days of the reference.

    Raises:
        ReferenceUnusable: they are not over, or their labels have not matured.
    """
    first, after = declared.reference.days
    timezone = declared.monitor.timezone
    ends = midnight(after, timezone)
    now = log.as_of(None).time
    count = (after - first).days
    if now < ends:
        raise ReferenceUnusable(
            declared.id,
            f"ends at {ends.isoformat()}, the log at {now.isoformat()}.",
            "Wait, or end it sooner.",
        )
    days = [range_of_day(log, first + dt.timedelta(days=place), timezone) for place in range(count)]
    if not isinstance(declared.label, UnsetType) and now < matures_at(days[-1], declared.label):
        known = matures_at(days[-1], declared.label).isoformat()
        raise ReferenceUnusable(
            declared.id, f"has labels that mature until {known}.", "Wait, or end it sooner."
        )
    return days


def _limited(plan: MonitorPlan, declared: MonitorFile) -> MonitorPlan:
    """Return the plan with the limits that the file sets."""
    wanted = {each.name: each for each in declared.features}
    features = []
    for each in plan.features:
        limits = wanted.get(each.name)
        found = {} if limits is None else {key: getattr(limits, key) for key in _LIMITS}
        features.append(
            msgspec.structs.replace(each, **{key: value for key, value in found.items() if value is not None})
        )
    return msgspec.structs.replace(plan, features=tuple(features))


def _label_plan(declared: MonitorFile, found: list[Matured]) -> MonitorPlan:
    seen = Survey("float64", sum(each.labelled for each in found))
    for each in found:
        seen.add(pa.array(each.labels))
    grid, edges = seen.grid(), None
    if grid is not None:
        cells = [grid.cells(finite_numbers(pa.array(each.labels))) for each in found]
        edges = cut_edges(grid, np.sum(cells, axis=0))
    label = seen.plan("(label)", role="label", column=LABEL, edges=edges)
    return MonitorPlan(features=(label,), rule=declared.rule)


def _same(stored: Monitor, declared: MonitorFile) -> Monitor:
    if stored.declared != declared:
        raise MonitorChanged(stored.id, stored.event.position)
    return stored


def get_monitor(log: Log, name: str) -> Monitor:
    """Return the registered monitor of that name.

    Raises:
        NotFound: there is none; the nearest names are in the message.
    """
    found = _find(log, name)
    if found is None:
        raise NotFound("monitor", name, [event.subject for event in log.controls(REGISTERED)])
    return found


def list_monitors(log: Log) -> list[Monitor]:
    """Return all registered monitors, oldest first."""
    return [_monitor(event) for event in log.controls(REGISTERED)]


def _find(log: Log, name: str) -> Monitor | None:
    events = log.controls(REGISTERED, name)
    return _monitor(events[0]) if events else None


def _monitor(event: ControlEvent) -> Monitor:
    body = event.body
    labels = msgspec.convert(body.get("labels"), MonitorPlan | None)
    days = [] if labels is None else body["label_days"]
    return Monitor(
        declared=msgspec.convert(body["declaration"], MonitorFile),
        event=event,
        inputs=msgspec.convert(body["inputs"], MonitorPlan),
        labels=labels,
        baseline=msgspec.convert(body.get("baseline"), Baseline | None),
        label_days=tuple(Day(number, WindowState.from_json(text, labels)) for number, text in days if labels),
        past=msgspec.convert(body["past"], Reliability) if "past" in body else Reliability.empty(),
        encrypted=tuple(body["encrypted"]) if "encrypted" in body else None,
        hourly=body.get("hourly", False),
    )
