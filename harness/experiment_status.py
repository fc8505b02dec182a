"""Where an experiment stands: its looks so far, its verdict, and what comes next."""

import datetime as dt
from collections.abc import Sequence

import msgspec

from harness.experiment_errors import ExperimentUnreadable, LookAltered
from harness.experiment_file import duration
from harness.experiments import REACHED, TAKEN, Experiment, registrations
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.looks import Look, Taken, conclusion, stored_looks
from harness.recovery.invalid import Invalid, invalid
from policies.estimate import UNIT_NOUNS, Estimate
from policies.gates import Gate, e_value

UNREADABLE, ALTERED = "unreadable", "look altered"


class Shown(msgspec.Struct, frozen=True):
    """A look in a line: figures of the first primary metric, None where there are none yet.

    `e_value` is the look's own; the gate reads `largest_e_value`, the largest so far. `more_units` more of
    `noun` would give the verdict `more_leads_to`, if there were that many.
    """

    number: int
    position: int | None
    as_of: int
    time: dt.datetime
    state: str
    units: int
    used: int
    point: float | None
    low: float | None
    high: float | None
    e_value: float | None
    largest_e_value: float | None
    e_limit: float | None
    noun: str
    more_units: int | None
    more_leads_to: str | None


class Status(msgspec.Struct, frozen=True):
    """An experiment in the log. `verdict` is the newest recorded one, `state` in words for a list.

    `next_look` is when the next look was intended, None once the experiment is concluded or used up, or when
    the newest look saw the whole window (`window_over`). `invalid` are looks and verdicts that the log lost
    when it was restored.
    """

    id: str
    decision_point: str
    challenger: str
    registered_at: int
    seen_from: str
    state: str
    looks: tuple[Shown, ...]
    max_looks: int
    next_look: dt.datetime | None
    window_over: bool
    verdict: ControlEvent | None
    concluded: bool
    invalid: tuple[Invalid, ...]


class Unlisted(msgspec.Struct, frozen=True):
    """A registration of which no status can be told; `state` is UNREADABLE or ALTERED, `why` a sentence."""

    id: str
    registered_at: int
    state: str
    why: str


def statuses(log: Log) -> list[Status | Unlisted]:
    """Return where each experiment stands, oldest first; one that cannot be read stops no other."""
    return [_listed(log, each) for each in registrations(log)]


def _listed(log: Log, each: Experiment | ExperimentUnreadable) -> Status | Unlisted:
    if isinstance(each, ExperimentUnreadable):
        return Unlisted(each.name, each.position, UNREADABLE, str(each))
    try:
        return status(log, each)
    except LookAltered as error:
        return Unlisted(each.id, each.event.position, ALTERED, str(error))


def status(log: Log, experiment: Experiment) -> Status:
    """Return where the experiment stands at the end of the log."""
    looks = stored_looks(log, experiment.id)
    final = conclusion(log, experiment.id)
    lost = tuple(invalid(log, experiment.id, [TAKEN, REACHED]))
    reached = log.controls(REACHED, experiment.id)
    limit = experiment.plan.policy.max_looks
    saw_all = bool(looks) and saw_whole_window(log, experiment, looks[-1].look)
    over = final is not None or len(looks) >= limit or saw_all
    return Status(
        id=experiment.id,
        decision_point=experiment.decision_point,
        challenger=experiment.declared.challenger.model,
        registered_at=experiment.event.position,
        seen_from=experiment.seen_from,
        state=_state(final, looks, lost),
        looks=tuple(shown(each) for each in looks),
        max_looks=limit,
        next_look=None if over else _next_look(experiment, looks),
        window_over=saw_all,
        verdict=final or (reached[-1] if reached else None),
        concluded=final is not None,
        invalid=lost,
    )


def saw_whole_window(log: Log, experiment: Experiment, look: Look) -> bool:
    """Return whether all decisions of the window had matured at a look: a later one can see no more."""
    return experiment.bounds.over(log, look.as_of, late=experiment.label_window)


def _state(final: ControlEvent | None, looks: list[Taken], lost: Sequence[Invalid]) -> str:
    newest = max((taken.position or 0 for taken in looks), default=0)
    if any(one.at > newest for one in lost):
        return "INVALID: lost when the log was restored"
    if final is not None:
        return str(final.body["state"])
    return f"{looks[-1].look.verdict.state} so far" if looks else "no look yet"


def _next_look(experiment: Experiment, looks: list[Taken]) -> dt.datetime | None:
    """Return the newest look, or the window's begin, plus the intended time between looks."""
    begin = looks[-1].look.as_of.time if looks else experiment.bounds.start
    return begin + duration(experiment.declared.looks.every) if isinstance(begin, dt.datetime) else None


def shown(taken: Taken) -> Shown:
    """Return a look in a line."""
    look = taken.look
    primary = next((each for each in look.verdict.estimates if each.role == "primary"), None)
    gate = _promoting_gate(look, primary.metric if primary else None)
    return Shown(
        number=look.number,
        position=taken.position,
        as_of=look.as_of.position,
        time=look.as_of.time,
        state=look.verdict.state,
        units=primary.units if primary else 0,
        used=look.integrity.used,
        point=primary.point if primary else None,
        low=primary.low if primary else None,
        high=primary.high if primary else None,
        e_value=_own_e_value(primary, gate) if primary and gate else None,
        largest_e_value=gate.e_value if gate else None,
        e_limit=gate.e_limit if gate else None,
        noun=UNIT_NOUNS[primary.unit] if primary else "units",
        more_units=look.verdict.more_units,
        more_leads_to=look.verdict.more_leads_to,
    )


def _own_e_value(estimate: Estimate, gate: Gate) -> float | None:
    """Return the e-value that the look itself gives to the hypothesis of a gate."""
    logs = [test.log_e for test in estimate.tested if test.hypothesis == gate.hypothesis]
    return e_value(logs[0]) if logs and logs[0] is not None else None


def _promoting_gate(look: Look, metric: str | None) -> Gate | None:
    gates = [gate for gate in look.verdict.gates if gate.hypothesis not in (None, "harm")]
    own = (gate for gate in gates if metric is not None and gate.metric == metric)
    return next(own, next((gate for gate in gates if gate.metric is None), None))
