"""Experiments in the log: registered once in canonical form, before the first look (docs/adr/0012)."""

import datetime as dt

import msgspec

from harness.errors import NotFound
from harness.experiment_errors import (
    ExperimentChanged,
    ExperimentUnreadable,
    LevelsOfPersons,
    TrainedInWindow,
    TrainingUnknown,
)
from harness.experiment_file import ExperimentFile, Rivals, WealthPlan, duration, from_declaration
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.models import get_model
from harness.recovery.invalid import refuse_lost
from harness.wealth import Draw, draw_level, preview
from harness.window import Bounds
from policies.intake_plan import ArmsPlan, CompletenessPlan
from policies.plan import Plan
from policies.slice_plan import SlicePlan
from recorders.errors import WriterForked
from replay.model import ModelInfo

REGISTERED, TAKEN, REACHED = "experiment.registered", "look.taken", "verdict.reached"
CLOSED = "closed"


class Experiment(msgspec.Struct, frozen=True):
    """A registered experiment: what was declared, and its place in the log.

    `challenger`, and the champion to `rescore`, are the models as they were then. `registered_at` is the end
    of the log at that moment and `seen_from` says where that was: "ahead" of the window, "open" or "past".
    `level` is what it drew from a ledger of wealth, None without one; `all` the rival that learned from
    all of the log, for a proof of retraining.
    """

    declared: ExperimentFile
    event: ControlEvent
    challenger: ModelInfo
    rescore: ModelInfo | None
    registered_at: int
    seen_from: str
    level: float | None = None
    all: ModelInfo | None = None

    @property
    def id(self) -> str:
        """The experiment's name."""
        return self.declared.experiment.id

    @property
    def decision_point(self) -> str:
        """The decision point whose decisions it reads."""
        return self.declared.experiment.decision_point

    @property
    def scored(self) -> tuple[str, ...]:
        """The models that a look needs scores of, each once: who challenges, and the champion once more."""
        declared = self.declared
        rival = declared.rivals.all if isinstance(declared.rivals, Rivals) else None
        named = (declared.challenger.model, rival, declared.champion.rescore)
        return tuple(dict.fromkeys(name for name in named if name is not None))

    @property
    def closed(self) -> bool:
        """Whether a proof of retraining leaves encrypted inputs closed, as all do since docs/adr/0070."""
        return self.event.body.get("inputs") == CLOSED

    @property
    def plan(self) -> Plan:
        """What `policies` reads."""
        return at_level(self.declared.plan, self.level)

    @property
    def bounds(self) -> Bounds:
        """The window's ends."""
        return Bounds(self.declared.window.start, self.declared.window.stop)

    @property
    def label_window(self) -> dt.timedelta:
        """The age at which a decision counts."""
        return duration(self.declared.label.window)


def register(log: Log, declared: ExperimentFile) -> Experiment:
    """Return the experiment, registered under its id; registering the same file again changes nothing.

    The challenger and the ends of the window that lie in the log already are pinned.

    Raises:
        ExperimentChanged: the id names another experiment.
        NotFound: the challenger, or the champion to score again, is not registered.
        TrainedInWindow: the challenger was trained on positions of the window.
        LevelsOfPersons: levels of a field that is kept encrypted would be named.
    """
    declared = declared.in_utc()
    stored = _find(log, declared.experiment.id)
    if stored is not None:
        return _same(stored, declared)
    body = check(log, declared)
    name = declared.experiment.id
    if isinstance(declared.wealth, WealthPlan):
        alpha, digest = declared.policy.alpha, declared.digest
        draw = draw_level(log, declared.wealth, alpha, experiment=name, digest=digest)
        body = {**body, **_drawn(declared, draw)}
    try:
        return _experiment(log.control(REGISTERED, name, body, key=f"experiment:{name}"))
    except WriterForked:
        # Somebody registered it since we looked: the first one stands.
        return _same(get_experiment(log, name), declared)


def check(log: Log, declared: ExperimentFile) -> dict[str, object]:
    """Return what `register` would store; nothing is stored.

    Raises:
        ExperimentChanged, NotFound, TrainedInWindow, LevelsOfPersons: as `register`.
    """
    declared = declared.in_utc()
    stored = _find(log, declared.experiment.id)
    if stored is not None:
        return _same(stored, declared).event.body
    _refuse_persons(log, declared.plan)
    challenger = get_model(log, declared.challenger.model)
    rescore = None if declared.champion.rescore is None else get_model(log, declared.champion.rescore)
    now = log.as_of(None)
    bounds = Bounds(declared.window.start, declared.window.stop)
    start, stop = bounds.positions(log, now, late=duration(declared.label.window))
    rival = _rival(log, declared)
    for model in (challenger, rival):
        if model is not None and start is not None and (model.trained_until or 0) >= start:
            raise TrainedInWindow(f"{model.name}:{model.version}", model.trained_until or 0, start)
    drawn: dict[str, object] = {"plan_digest": declared.plan.digest}
    if isinstance(declared.wealth, WealthPlan):
        alpha, name = declared.policy.alpha, declared.experiment.id
        drawn = _drawn(
            declared, preview(log, declared.wealth, alpha, experiment=name, digest=declared.digest)
        )
    return {
        "declaration": declared.declaration(),
        "declaration_digest": declared.digest,
        **drawn,
        "challenger": msgspec.to_builtins(challenger),
        "rescore": msgspec.to_builtins(rescore),
        **({} if rival is None else {"all": msgspec.to_builtins(rival), "inputs": CLOSED}),
        "window": {"start": start, "stop": stop},
        "registered": {
            "position": now.position,
            "time": now.time.isoformat(),
            "window": bounds.seen_from(now),
        },
    }


def _refuse_persons(log: Log, plan: Plan) -> None:
    """Refuse levels of what some feature set keeps encrypted: every look would name them in clear."""
    named: set[str] = set()
    if isinstance(plan.slices, SlicePlan):
        named |= set(plan.slices.columns)
    if isinstance(plan.arms, ArmsPlan):
        named.add(plan.arms.feature)
    if isinstance(plan.completeness, CompletenessPlan):
        named.add(plan.completeness.feature)
    sealed = {field.name for one in log.feature_sets().values() for field in one.sealed}
    if found := sorted(named & sealed):
        raise LevelsOfPersons(found)


def _rival(log: Log, declared: ExperimentFile) -> ModelInfo | None:
    """Return the rival that learned from all of the log, for a proof of retraining.

    Raises:
        TrainingUnknown: nobody said what it or the challenger learned from.
    """
    if not isinstance(declared.rivals, Rivals):
        return None
    for name in (declared.challenger.model, declared.rivals.all):
        if get_model(log, name).trained_until is None:
            raise TrainingUnknown(name)
    return get_model(log, declared.rivals.all)


def at_level(plan: Plan, level: float | None) -> Plan:
    """Return the plan at the level that its experiment drew, the same without one."""
    if level is None:
        return plan
    return msgspec.structs.replace(plan, policy=msgspec.structs.replace(plan.policy, alpha=level))


def _drawn(declared: ExperimentFile, draw: Draw) -> dict[str, object]:
    plan = at_level(declared.plan, draw.level)
    return {
        "plan_digest": plan.digest,
        "wealth": {"ledger": draw.ledger, "turn": draw.turn, "level": draw.level},
    }


def _same(stored: Experiment, declared: ExperimentFile) -> Experiment:
    if stored.declared != declared:
        registered = str(stored.event.body["declaration_digest"])
        raise ExperimentChanged(stored.id, stored.event.position, registered, declared.digest)
    return stored


def get_experiment(log: Log, name: str) -> Experiment:
    """Return the registered experiment of that name.

    Raises:
        ReferenceLost: there was one, and the log lost it.
        ExperimentUnreadable: it is of a form that is not known here.
        NotFound: there is none; the nearest names are in the message.
    """
    found = _find(log, name)
    if found is None:
        refuse_lost(log, name, [REGISTERED])
        raise NotFound("experiment", name, [event.subject for event in log.controls(REGISTERED)])
    return found


def list_experiments(log: Log) -> list[Experiment]:
    """Return all registered experiments, oldest first.

    Raises:
        ExperimentUnreadable: one of them is of a form that is not known here.
    """
    return [_experiment(event) for event in log.controls(REGISTERED)]


def registrations(log: Log) -> list[Experiment | ExperimentUnreadable]:
    """Return the same, with the error in the place of each that cannot be read: for who lists them all."""
    found: list[Experiment | ExperimentUnreadable] = []
    for event in log.controls(REGISTERED):
        try:
            found.append(_experiment(event))
        except ExperimentUnreadable as error:
            found.append(error)
    return found


def _find(log: Log, name: str) -> Experiment | None:
    events = log.controls(REGISTERED, name)
    return _experiment(events[0]) if events else None


def _experiment(event: ControlEvent) -> Experiment:
    try:
        return _read(event)
    except (msgspec.ValidationError, KeyError, TypeError) as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise ExperimentUnreadable(event.subject, event.position, why) from error


def _read(event: ControlEvent) -> Experiment:
    registered = event.body["registered"]
    return Experiment(
        declared=from_declaration(event.body["declaration"]),
        event=event,
        challenger=msgspec.convert(event.body["challenger"], ModelInfo),
        rescore=msgspec.convert(event.body["rescore"], ModelInfo | None),
        registered_at=registered["position"],
        seen_from=registered["window"],
        level=event.body["wealth"]["level"] if "wealth" in event.body else None,
        all=msgspec.convert(event.body["all"], ModelInfo) if "all" in event.body else None,
    )
