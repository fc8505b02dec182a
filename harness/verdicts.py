"""Verdicts in the log: reached from a look, explained from the log, approved by a person."""

from typing import Any

import msgspec

from harness.errors import NotFound
from harness.experiment_errors import ApprovalRefused, NoLook
from harness.experiments import REACHED, TAKEN, Experiment, get_experiment
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.looks import (
    Look,
    Taken,
    compare,
    conclusion,
    from_event,
    recompute,
    stored_looks,
)
from harness.recovery.invalid import Invalid, invalid, refuse_lost
from harness.spoken import NAME_MAX, sentence
from harness.wealth import ledger
from recorders.errors import WriterForked

APPROVED, PROMOTED = "verdict.approved", "model.promoted"
# What a command that ends in a verdict returns, so that a pipeline can branch on it.
EXIT_CODES = {
    "PROMOTE": 0,
    "HOLD": 10,
    "NOT_IDENTIFIABLE": 10,
    "REJECT": 20,
    "RETRAIN": 21,
    "INVALID": 30,
}


class Explained(msgspec.Struct, frozen=True):
    """A look that the log gives again to the byte. `looks` is how many were recomputed to know it."""

    look: Look
    position: int
    looks: int


def record_verdict(log: Log, name: str) -> ControlEvent:
    """Return the event with the verdict of the newest look; the same verdict is recorded once.

    A recorded PROMOTE, REJECT, RETRAIN or INVALID concludes the experiment; it is what this returns then.

    Raises:
        NotFound: no such experiment.
        NoLook: nothing was looked at yet.
    """
    get_experiment(log, name)
    concluded = conclusion(log, name)
    if concluded is not None:
        return concluded
    looks = stored_looks(log, name)
    if not looks:
        raise NoLook(name)
    look = looks[-1].look
    body = {
        "experiment": name,
        "look": look.number,
        "look_position": looks[-1].position,
        "as_of": look.as_of.position,
        "state": look.verdict.state,
        "reasons": list(look.verdict.reasons),
        "verdict_digest": look.verdict_digest,
        "evidence_digest": look.evidence_digest,
        "seen_from": look.seen_from,
    }
    return log.control(REACHED, name, body, key=f"verdict:{name}:{look.number}")


def find_look(log: Log, place: str, number: int | None = None) -> Taken:
    """Return the look that `place` names: an experiment (its newest look, or look `number`) or a position.

    A position is that of a look or of the verdict that was reached from it.

    Raises:
        ReferenceLost: there was one, and the log lost it when it was restored.
        NotFound, NoLook: there is none.
    """
    if place.isdecimal():
        for event in log.controls():
            if event.position == int(place) and event.type == TAKEN:
                return from_event(event)
            if event.position == int(place) and event.type == REACHED:
                return find_look(log, event.body["experiment"], event.body["look"])
        refuse_lost(log, None, [TAKEN, REACHED], position=int(place))
        known = [str(event.position) for event in log.controls(TAKEN)]
        raise NotFound("verdict", place, known)
    get_experiment(log, place)
    looks = stored_looks(log, place)
    if not looks:
        refuse_lost(log, place, [TAKEN])
        raise NoLook(place)
    if number is None:
        return looks[-1]
    for taken in looks:
        if taken.look.number == number:
            return taken
    refuse_lost(log, place, [TAKEN])
    raise NoLook(place, f" {number}")


def lost_verdicts(log: Log, name: str) -> list[Invalid]:
    """Return what the log lost of an experiment's looks and verdicts when it was restored: it is INVALID."""
    return invalid(log, name, [TAKEN, REACHED])


def explain(log: Log, place: str, number: int | None = None) -> Explained:
    """Return the look, after recomputing it and all looks before it from the log and comparing every byte.

    Raises:
        LookAltered: a stored look is not what the log gives; the first differing field is named.
        WealthAltered: the level that the experiment drew is not what the log gives.
        NotFound, NoLook: there is none.
    """
    wanted = find_look(log, place, number)
    if get_experiment(log, wanted.look.experiment).level is not None:
        ledger(log)  # the level is part of the plan: it must be what the log gives
    again = recompute(log, wanted.look.experiment, wanted.look.number)
    for taken, look in again:
        compare(taken, look)
    assert wanted.position is not None, "stored looks have a position"
    return Explained(wanted.look, wanted.position, len(again))


def approve(log: Log, name: str, *, by: str, reason: str) -> tuple[ControlEvent, ControlEvent]:
    """Return the approval of a recorded PROMOTE and the promotion that follows from it, each recorded once.

    The approval is bound to the verdict's digest. The promotion says what is to be live; that it *is* live
    is what the recorders then say, event by event.

    Raises:
        ApprovalRefused: the verdict is not a recorded PROMOTE, or somebody else approved it.
        UsageError: nobody's name, or a reason that is no sentence.
    """
    by, reason = sentence(by, "Who approves", NAME_MAX), sentence(reason, "The reason")
    experiment = get_experiment(log, name)
    verdict = conclusion(log, name)
    state = None if verdict is None else verdict.body["state"]
    if verdict is None or state != "PROMOTE":
        raise ApprovalRefused(
            f'"{name}" has {"no final verdict" if state is None else f"the verdict {state}"}.',
            "Expected a recorded verdict PROMOTE.",
            f'Run "harness evaluate {name}" and "harness decide {name}" first.'
            if state is None
            else "Only a PROMOTE can be approved; ask anew with another challenger.",
        )
    digest = verdict.body["verdict_digest"]
    body = {
        "experiment": name,
        "verdict": verdict.position,
        "verdict_digest": digest,
        "by": by,
        "reason": reason,
    }
    approval = _approval(log, name, digest, body)
    return approval, _promotion(log, experiment, digest, approval)


def _approval(log: Log, name: str, digest: str, body: dict[str, Any]) -> ControlEvent:
    try:
        return log.control(APPROVED, name, body, key=f"approval:{name}:{digest}", actor=body["by"])
    except WriterForked:
        earlier = log.controls(APPROVED, name)[-1]
        by, why = earlier.body["by"], earlier.body["reason"]
        raise ApprovalRefused(
            f"{by} approved this verdict at position {earlier.position}: {why}",
            "Expected a verdict that nobody approved yet.",
            "Nothing is left to do: one approval is enough.",
        ) from None


def _promotion(log: Log, experiment: Experiment, digest: str, approval: ControlEvent) -> ControlEvent:
    challenger = experiment.challenger
    body = {
        "decision_point": experiment.decision_point,
        "model": challenger.name,
        "version": challenger.version,
        "digest": challenger.digest,
        "experiment": experiment.id,
        "verdict_digest": digest,
        "approval": approval.position,
    }
    key = f"promotion:{experiment.id}:{digest}"
    return log.control(PROMOTED, experiment.decision_point, body, key=key, actor=approval.actor)
