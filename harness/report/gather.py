"""From the log to the page: one experiment at one position, read, counted and frozen."""

import datetime as dt
import zoneinfo

import pyarrow as pa

from harness.beside import asides
from harness.experiment_file import duration
from harness.experiments import Experiment
from harness.log.log import Log
from harness.log.places import When
from harness.looks import Taken
from harness.report import from_rows
from harness.report.coverage import coverage
from harness.report.data import Claim, Gate, GateState, Metric, Model, Plan, PlannedLook, ReportData
from harness.report.figures import Absent, Flips
from harness.report.findings import NoLook, Verdict
from harness.report.from_log import events_of, limits_of, provenance_of
from harness.report.from_looks import gates_of, levels_of, looks_of
from harness.report.from_monitors import inputs_of
from harness.report.from_rows import naive_z, primary
from harness.report.from_verdict import Reading, finding_of
from harness.report.metric_words import metric_of
from harness.report.numbers import day_year
from harness.report.view import View, view_of
from harness.window import microseconds
from policies.estimate import UNIT_NOUNS
from policies.rules import RULES
from policies.slice_plan import SlicePlan

_CLAIMS: dict[str, Claim] = {
    "superiority": "superiority",
    "noninferiority": "non-inferiority",
    "equivalence": "equivalence",
    "harm": "harm",
}
_DAY = dt.timedelta(days=1)
_EVERY = {"1d": "daily", "24h": "daily", "7d": "weekly", "1w": "weekly"}
_PLANNED_MAX = 60


def gather(log: Log, name: str, as_of: When = None) -> ReportData:
    """Return the page of an experiment as of a place (default: its newest control event).

    Raises:
        NotFound: no such experiment.
        UsageError: it was not registered yet at `as_of`.
    """
    view = view_of(log, name, as_of)
    experiment, last = view.experiment, view.last
    plan = _plan(view)
    metric = metric_of(primary(experiment), _width(last))
    claim = "harm" if last and last.look.verdict.state == "REJECT" else RULES[plan.policy].promotes_on
    looks = looks_of(
        view.looks, primary(experiment), experiment.plan, claim=claim, naive=lambda taken: _naive(view, taken)
    )
    names = (view.champion, experiment.declared.challenger.model)
    flips = from_rows.flips(view.rows, experiment)
    bounds, unseen, total = None, 0, 0
    if metric.identification == "blocked":
        bounds, unseen, total = from_rows.bounds(view.rows, experiment)
    events = events_of(log, experiment, view.place.position, names[0])
    scores_up_to = last.look.scores.up_to if last else view.place.position
    noise = last.look.integrity.noise_floor if last else None
    return ReportData(
        decision_point=experiment.decision_point,
        question=experiment.declared.experiment.question,
        predicts=f"“{experiment.declared.label.name}”",
        experiment=experiment.id,
        position=view.place.position,
        time=view.place.time,
        champion=_champion(experiment, names[0]),
        challenger=_model(names[1], experiment.challenger.trained_until),
        metric=metric,
        plan=plan,
        verdict=_verdict(view, metric, names, flipped=_flipped(flips), unseen=(unseen, total)),
        looks=looks,
        evaluated=(view.start, view.stop),
        window=view.window,
        gates=_gates(view, metric),
        levels=levels_of(last, primary(experiment)) if last else None,
        coverage=coverage(view),
        scores=from_rows.scores(view.rows, experiment, names),
        flips=flips,
        calibration=from_rows.calibration(view.rows, experiment),
        differences=from_rows.differences(view.rows, log, experiment, noise, scores_up_to),
        slices=Absent(_slices_said(experiment)),
        serving=from_rows.serving(view.rows, view.experiment),
        maturity=from_rows.maturity(view.rows, experiment),
        missing=from_rows.missing(view.rows, experiment) if last else Absent("Comes with the first look."),
        bounds=bounds,
        events=events,
        provenance=provenance_of(
            experiment,
            last,
            (view.place.position, view.place.digest),
            champion=names[0],
            ends=(view.start, view.stop),
        ),
        limits=limits_of(experiment, plan, _days_compared(view)),
        claim=_CLAIMS[claim],
        next_look=_next_look(view),
        window_over=view.window_over,
        asides=asides(last.look.verdict) if last else (),
        inputs=inputs_of(log, experiment.decision_point, view.place.position),
    )


def _days_compared(view: View) -> tuple[str, str]:
    """Return the first and the last day that the comparison holds for, local ones where the unit is a day."""
    first, last = view.window
    unit = view.experiment.plan.unit
    if unit.kind == "day" and unit.timezone is not None:
        zone = zoneinfo.ZoneInfo(unit.timezone)
        # A page names days in UTC: the wall clock of the place is what they are days of.
        first, last = (end.astimezone(zone).replace(tzinfo=dt.UTC) for end in (first, last))
    return day_year(first), day_year(last)


def _slices_said(experiment: Experiment) -> str:
    if isinstance(experiment.plan.slices, SlicePlan):
        return f"Their gate stands above; each is listed by “harness verdict explain {experiment.id}”."
    return "No slices are registered in this experiment."


def _flipped(flips: Flips | Absent) -> float | None:
    return flips.flipped / flips.scored if isinstance(flips, Flips) and flips.scored else None


def _model(name: str, trained_until: int | None) -> Model:
    return Model(name, None if trained_until is None else (1, trained_until + 1))


def _champion(experiment: Experiment, name: str) -> Model:
    declared = experiment.rescore
    known = declared is not None and f"{declared.name}:{declared.version}" == name
    return _model(name, declared.trained_until if known and declared is not None else None)


def _width(last: Taken | None) -> float | None:
    if last is None:
        return None
    found = next((e for e in last.look.verdict.estimates if e.role == "primary"), None)
    return None if found is None or found.low is None or found.high is None else found.high - found.low


def _plan(view: View) -> Plan:
    experiment = view.experiment
    declared, policy = experiment.plan, experiment.plan.policy
    kind = declared.unit.kind
    note = {
        "day": f"local day in {declared.unit.timezone}",
        "column": "what the service names",
        "request": "decision",
    }[kind]
    last = view.last
    exact = last is None or all(e.validity in {"exact", "report_only"} for e in last.look.verdict.estimates)
    return Plan(
        policy=policy.name,
        registered_at=experiment.event.position,
        alpha=policy.alpha,
        unit=UNIT_NOUNS[kind],
        unit_note=note,
        min_units=policy.min_units,
        min_decisions=policy.min_decisions,
        max_looks=policy.max_looks,
        every=_EVERY.get(experiment.declared.looks.every, f"every {experiment.declared.looks.every}"),
        exact=exact,
        window_hours=experiment.label_window.total_seconds() / 3_600,
        expected=_expected(view),
    )


def _expected(view: View) -> tuple[PlannedLook, ...]:
    """Return the looks that are intended, with the decisions that the present rate gives by then."""
    begin, stop = view.experiment.bounds.start, view.experiment.bounds.stop
    if not isinstance(begin, dt.datetime) or not isinstance(stop, dt.datetime) or view.per_day is None:
        return ()
    every, late = duration(view.experiment.declared.looks.every), view.experiment.label_window
    made = []
    for number in range(1, min(view.experiment.plan.policy.max_looks, _PLANNED_MAX) + 1):
        time = begin + number * every
        days = min(max(0.0, (time - late - begin) / _DAY), (stop - begin) / _DAY)
        made.append(PlannedLook(time, round(view.per_day * days)))
        if time >= stop + late:
            break
    return tuple(made)


def _verdict(
    view: View, metric: Metric, names: tuple[str, str], *, flipped: float | None, unseen: tuple[int, int]
) -> Verdict:
    if view.last is None:
        return Verdict("NONE", _no_look(view))
    experiment = view.experiment
    reading = Reading(
        experiment.plan,
        metric,
        begin=view.window[0],
        champion=names[0],
        challenger=names[1],
        rival="" if experiment.all is None else f"{experiment.all.name}:{experiment.all.version}",
        over=view.window_over,
    )
    finding = finding_of(view.last, reading, flipped=flipped, unseen=unseen)
    promoted = view.promoted.position if view.promoted is not None else None
    return Verdict(view.last.look.verdict.state, finding, _approvals(view), promoted)


def _no_look(view: View) -> NoLook:
    first = _next_look(view)
    planned = _expected(view)
    recorded = view.rows.counted
    return NoLook(
        first=first,
        expected=planned[0].used if planned else None,
        recorded=recorded,
        scored=view.rows.scored,
        matured=view.rows.mature_count,
    )


def _approvals(view: View) -> tuple[int, int] | None:
    """Return how many approvals a recorded PROMOTE has, of the one that it needs; None for other verdicts."""
    if view.reached is None or view.reached.body["state"] != "PROMOTE":
        return None
    return len(view.approvals), 1


def _gates(view: View, metric: Metric) -> tuple[Gate, ...]:
    if view.last is None:
        return ()
    found = gates_of(view.last, view.experiment.plan, metric)
    approvals = _approvals(view)
    if approvals is None:
        return found
    state: GateState = "passes" if approvals[0] >= approvals[1] else "waits"
    return (
        *found,
        Gate(
            "Approval", "people", "one, recorded", state, "words", words=f"{approvals[0]} of {approvals[1]}"
        ),
    )


def _next_look(view: View) -> dt.datetime | None:
    """Return when the next look is intended: None once concluded, used up, or with its window over."""
    experiment = view.experiment
    if view.concluded or view.window_over or len(view.looks) >= experiment.plan.policy.max_looks:
        return None
    begin = view.last.look.as_of.time if view.last else experiment.bounds.start
    return begin + duration(experiment.declared.looks.every) if isinstance(begin, dt.datetime) else None


def _naive(view: View, taken: Taken) -> float | None:
    """Return the paired z over the single decisions that had matured, with outcome, by a look."""
    rows, at = view.rows, taken.look.as_of
    occurred = rows.table.column("occurred_at").cast(pa.int64()).to_numpy()
    position = rows.table.column("position").to_numpy()
    old = occurred <= microseconds(at.time - view.experiment.label_window)
    known = rows.known & old & (rows.outcome_position <= at.position) & (position < taken.look.stop)
    return naive_z(rows, primary(view.experiment), known)
