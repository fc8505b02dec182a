"""From the verdict of the newest look to the sentence that the page opens with."""

import datetime as dt

from harness.looks import Look, Taken
from harness.report import numbers as n
from harness.report.data import Metric
from harness.report.findings import (
    Finding,
    Invalid,
    NotIdentifiable,
    Promote,
    Reject,
    Retrain,
    TooFew,
    Undecided,
    Waiting,
)
from harness.report.from_looks import SIZE_GATES, gate_name
from harness.report.metric_words import words
from harness.report.rows import days_between
from policies.estimate import UNIT_NOUNS
from policies.gates import Gate
from policies.plan import Plan
from policies.retraining import Remedy

_HOPELESS = 10


class Reading:
    """What the sentences read beside the look: plan, metric, the window's begin, and the models' names.

    `over`: the look saw the whole window, so that nothing is projected.
    """

    def __init__(
        self,
        plan: Plan,
        metric: Metric,
        *,
        begin: dt.datetime,
        champion: str,
        challenger: str,
        rival: str = "",
        over: bool = False,
    ) -> None:
        self.plan = plan
        self.metric = metric
        self.begin = begin
        self.champion = champion
        self.challenger = challenger
        self.rival = rival
        self.over = over

    @property
    def noun(self) -> str:
        """The plural of the unit."""
        return UNIT_NOUNS[self.plan.unit.kind]


def finding_of(taken: Taken, reading: Reading, *, flipped: float | None, unseen: tuple[int, int]) -> Finding:
    """Return the finding of a look; `unseen` of (that many) decisions have no outcome of the other action."""
    gates = taken.look.verdict.gates
    match taken.look.verdict.state:
        case "PROMOTE":
            promotes = {gate.hypothesis for gate in gates if gate.hypothesis not in (None, "harm")}
            return Promote(superior="superiority" in promotes, flipped=flipped)
        case "REJECT":
            return _reject(gates, reading)
        case "RETRAIN":
            return _retrain(taken.look, reading)
        case "INVALID":
            return _invalid(
                next(g for g in gates if g.state == "fails" and g.leads_to == "INVALID"), taken, reading
            )
        case "NOT_IDENTIFIABLE":
            return NotIdentifiable(
                never_seen="the outcome depends on what was decided, and only the champion decides",
                unseen=unseen[0],
                decisions=unseen[1],
                reason="the models decide differently, and where the challenger leads was never seen",
                explore=None,
                where="the decisions that are blocked",
                period="",
            )
        case "HOLD":
            return _hold(taken, reading)
        case state:
            raise AssertionError(f"no policy gives {state}")


def _retrain(look: Look, reading: Reading) -> Retrain:
    found = look.verdict.retraining
    assert isinstance(found, Remedy), "only a proof ends so"
    duel = next(each for each in found.duels if each.name == found.challenger)
    assert duel.gain is not None, "a winner has one"
    winner = reading.challenger if duel.name == "recent" else reading.rival
    return Retrain(winner, found.diagnosis.change, duel.gain, duel.low or 0.0)


def _reject(gates: tuple[Gate, ...], reading: Reading) -> Reject:
    harm = next(gate for gate in gates if gate.state == "fails" and gate.leads_to == "REJECT")
    what = f"the {words(harm.metric)[1]}" if harm.metric is not None else harm.name
    return Reject(gate_name(harm, reading.plan, reading.metric), what)


def _hold(taken: Taken, reading: Reading) -> Finding:
    look = taken.look
    gates = look.verdict.gates
    short = [gate for gate in gates if gate.name in SIZE_GATES and gate.state == "waits"]
    elapsed = days_between(reading.begin, look.as_of.time)
    if short:
        gate = short[0]
        noun = "decisions" if gate.name.startswith("decisions") else reading.noun
        matured, required = round(gate.value or 0), round(gate.limit or 0)
        if reading.over:
            return TooFew(required, matured, noun, None, None)
        per_day = matured / elapsed
        by = look.as_of.time + dt.timedelta(days=(required - matured) / per_day) if per_day > 0 else None
        return TooFew(required, matured, noun, per_day or None, by)
    estimate = next((e for e in look.verdict.estimates if e.role == "primary"), None)
    open_ = any(gate.state == "waits" and gate.metric is not None for gate in gates)
    if open_ and estimate is not None and estimate.low is not None:
        more = look.verdict.more_units
        seen = max(estimate.units, 1)
        if reading.over or (more is not None and more > _HOPELESS * seen):
            more = None
        by = None if more is None else look.as_of.time + dt.timedelta(days=more / (seen / elapsed))
        return Undecided(more, reading.noun, by, reading.plan.policy.max_looks)
    gate = next(gate for gate in gates if gate.state != "passes")
    return Waiting(gate_name(gate, reading.plan, reading.metric))


def _invalid(gate: Gate, taken: Taken, reading: Reading) -> Invalid:
    look = taken.look
    start, stop = look.start, look.stop
    if gate.name == "training range" and look.integrity.trained_until is not None:
        until = look.integrity.trained_until
        return Invalid(
            defect=f"{reading.challenger} was trained on decisions that it is evaluated on",
            facts=f"Its training range ends at position {n.count(until)}; "
            f"the evaluated range begins at {n.count(start)}",
            law="A model is never evaluated on positions it was trained on",
            next=(f"retrain up to {n.count(start - 1)}, or", f"evaluate from {n.count(until + 1)}"),
            overlap=(start, min(until + 1, stop)),
        )
    span = f"positions {n.count(start)} to {n.count(stop - 1)} were evaluated"
    if gate.name == "noise floor":
        return Invalid(
            defect=f"{reading.champion}, scored again, {_scored_again(gate, look)}",
            facts=f"{_clause(gate.reason)}; {span}",
            law="What cannot be reproduced cannot be compared",
            next=("the owner finds the skew", "between service and replay"),
        )
    if gate.name == "independence":
        return Invalid(
            defect="decisions of one unit come back, so they are not independent",
            facts=f"{_clause(gate.reason)}; {span}",
            law="A unit is counted once",
            next=("the owner registers a new", "experiment with another unit"),
        )
    if gate.name == "looks":
        return Invalid(
            defect="it has had more looks than it was registered for",
            facts=f"{_clause(gate.reason)}; {span}",
            law="The number of looks is part of the plan",
            next=("the owner registers", "a new experiment"),
        )
    return Invalid(
        defect=f"the check “{gate.name}” fails",
        facts=f"{_clause(gate.reason)}; {span}",
        law="Figures that do not add up are not read",
        next=("the owner runs", "harness verdict explain"),
    )


def _scored_again(gate: Gate, look: Look) -> str:
    """Return what the champion does when it is scored again, as the noise floor read it."""
    if gate.value is None:
        return "fails on what it decided live"
    compared = (look.integrity.noise_floor or {}).get("decisions_compared") != 0
    return f"{'decides' if compared else 'scores'} differently than it did live"


def _clause(reason: str) -> str:
    """Return a gate's reason as a clause: its first sentence, without the remedy."""
    return reason.partition(":")[0].rstrip(". ")
