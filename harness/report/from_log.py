"""From control events to what happened, how to check it, and what it cannot tell."""

from importlib import metadata

from harness.experiments import Experiment
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.looks import Taken
from harness.recovery.invalid import INVALIDATED
from harness.report import numbers as n
from harness.report.data import Command, Event, Plan, Provenance
from policies.estimate import UNIT_NOUNS

_STUDY = (
    "A shadow test is a paired prediction study, not a randomised experiment: it says which model predicted "
    "better, not what would have happened after the other answer."
)
_WHEN = {
    "ahead": "before its window opened",
    "open": "while its window was open",
    "past": "after its window had closed",
}
_OF_EXPERIMENT = ("experiment.*", "look.*", "verdict.*", INVALIDATED)


def events_of(log: Log, experiment: Experiment, place: int, champion: str) -> tuple[Event, ...]:
    """Return the control events that concern an experiment up to a position, in order of position."""
    models = {experiment.declared.challenger.model, champion}
    found: dict[int, ControlEvent] = {}
    for pattern in _OF_EXPERIMENT:
        for event in log.controls(pattern, experiment.id, up_to=place):
            found[event.position] = event
    for event in log.controls("model.registered", up_to=place):
        if event.subject in models:
            found[event.position] = event
    for event in log.controls("model.promoted", experiment.decision_point, up_to=place):
        if event.body.get("experiment") == experiment.id:
            found[event.position] = event
    ordered = [found[position] for position in sorted(found)]
    return tuple(Event(e.position, e.recorded_at, _said(e, experiment), e.actor or "") for e in ordered)


def _said(event: ControlEvent, experiment: Experiment) -> str:  # noqa: PLR0911 -- one return a type
    body = event.body
    match event.type:
        case "model.registered":
            until = body.get("trained_until")
            known = "training range not declared" if until is None else f"trained until {n.count(until)}"
            return f"model {event.subject} registered, {known}"
        case "experiment.registered":
            return f"experiment registered {_WHEN[experiment.seen_from]}"
        case "look.taken":
            evidence = n.elided(body["evidence_digest"])
            return f"look {body['number']}: {body['verdict']['state']}; evidence {evidence}"
        case "verdict.reached":
            return f"verdict {body['state']}, from look {body['look']}"
        case "verdict.approved":
            return f"approved: {body['reason']}"
        case "model.promoted":
            return f"{body.get('model')}:{body.get('version')} promoted at {event.subject}"
        case "reference.invalidated":
            state = f" {body['state']}" if body.get("state") else ""
            return f"INVALID: {body.get('type')}{state}, lost with its history when the log was restored"
        case other:
            return other


def provenance_of(
    experiment: Experiment,
    taken: Taken | None,
    place: tuple[int, str],
    *,
    champion: str,
    ends: tuple[int, int],
) -> Provenance:
    """Return the commands that check the report, and every digest in full. `place` is (position, digest)."""
    position, head = place
    name = experiment.id
    commands = [
        Command("check the chain up to here", f"harness log verify --to {position + 1}"),
        Command("write this report again", f"harness report {name} --as-of {position} -o report.html"),
    ]
    if taken is not None:
        again = f"harness verdict explain {name} --look {taken.look.number}"
        commands.insert(0, Command("recompute the verdict from the log and compare it byte by byte", again))
    declared = experiment.rescore
    rows = [
        ("Log range", f"[{ends[0]}, {ends[1]}); as of {position}", head),
        ("Experiment", "", experiment.declared.digest),
        ("Champion", champion, declared.digest if declared is not None else ""),
        (
            "Challenger",
            f"{experiment.declared.challenger.model}, {experiment.challenger.uri}",
            experiment.challenger.digest,
        ),
    ]
    if taken is not None:
        rows.append(("Evidence", "", taken.look.evidence_digest))
        rows.append(("Verdict", "", taken.look.verdict_digest))
    rows.append(("Code", f"harness {metadata.version('shadow-harness')}", ""))
    return Provenance(tuple(commands), tuple(rows))


def limits_of(experiment: Experiment, plan: Plan, window: tuple[str, str]) -> tuple[str, ...]:
    """Return what this study cannot tell: always the same three, and those of this plan."""
    noun = UNIT_NOUNS[experiment.plan.unit.kind]
    found = [
        _STUDY,
        f"The comparison holds for decisions from {window[0]} to {window[1]}, and for nothing after them.",
    ]
    if noun == "decisions":
        found.append(
            "Every decision counts as independent; decisions that fall together would make it overconfident."
        )
    else:
        found.append(
            f"Decisions of one {noun.removesuffix('s')} fall together and are counted as one; "
            f"what lasts over several {noun} is not modelled."
        )
    if experiment.seen_from != "ahead":
        found.append("The experiment was registered when its window had already begun: some of it was known.")
    if not plan.exact:
        found.append("The intervals are asymptotic: they hold with many units.")
    return tuple(found)
