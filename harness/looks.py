"""Looks: what an experiment says at a place in the log, kept as control events (docs/adr/0012)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.budget import Meter
from harness.engines.engine import InProcess
from harness.experiment_errors import (
    ExperimentConcluded,
    LookAltered,
    LookBehind,
    LookRaced,
    LooksExhausted,
    WindowNotOpen,
)
from harness.experiments import REACHED, TAKEN, Experiment, get_experiment
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.log.places import When
from harness.measure import Measured, Scores, Spread, measure
from harness.scoring import Progress, score_range
from policies.catalogue import decide
from policies.estimate import Look as EarlierLook
from policies.integrity import Integrity
from policies.retraining import Remedy
from policies.verdict import Verdict
from recorders.canonical import canonical_json
from recorders.errors import WriterForked
from replay.ranges import AsOf

# What of a differing value is shown.
_SHOWN_MAX = 80
FINAL = frozenset({"PROMOTE", "REJECT", "RETRAIN", "INVALID"})


class Look(msgspec.Struct, frozen=True):
    """One evaluation of an experiment at a place in the log, as it is stored.

    `evidence` is canonical JSON text. `seen_from` is where the log stood when the experiment was registered:
    "ahead" of the window means that nothing of it could be known. [start, stop) are the positions read.
    """

    experiment: str
    number: int
    as_of: AsOf
    start: int
    stop: int
    outside: int
    seen_from: str
    scores: Scores
    outcomes: dict[str, int]
    integrity: Integrity
    evidence: str
    evidence_digest: str
    verdict: Verdict
    verdict_digest: str

    def body(self) -> dict[str, Any]:
        """Return the plain values that the control event holds."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain

    @property
    def earlier(self) -> EarlierLook:
        """What a later verdict needs to know of this look."""
        return EarlierLook.of(self.number, self.verdict.estimates)


class Taken(msgspec.Struct, frozen=True):
    """A look and the control event that holds it: None for a dry run. `new`: this call stored it."""

    look: Look
    event: ControlEvent | None
    new: bool = False

    @property
    def position(self) -> int | None:
        """The position of the control event."""
        return None if self.event is None else self.event.position


def take_look(  # noqa: PLR0913  each keyword is one choice of the command
    log: Log,
    name: str,
    as_of: When = None,
    *,
    replay: bool = True,
    dry_run: bool = False,
    only_changed: bool = False,
    folder: Path | None = None,
    progress: Progress | None = None,
    spread: Spread | None = None,
    meter: Meter | None = None,
) -> Taken:
    """Return the look at `as_of` (default: the end of the log), stored once per experiment and position.

    Decisions of the range that have no score are scored first, unless `replay` is false. A look at the
    end of the log, or with `only_changed`, that sees what the newest look saw is none: that one is returned.
    `spread` says where the evidence is measured (default: here); it is the same anywhere. `meter` bounds what
    is scored: there is no look at what was cut.

    Raises:
        BudgetSpent: it is spent; what was scored is in the log.
        NotFound: no such experiment.
        LookRefused: it is concluded, has had its looks, or the place is before its window or newest look.
    """
    experiment = get_experiment(log, name)
    place = log.as_of(as_of)
    stored = stored_looks(log, name)
    for each in stored:
        if each.look.as_of.position == place.position and each.look.as_of.digest == place.digest:
            return each
    earlier = [each.look for each in stored if each.look.as_of.position < place.position]
    if not dry_run:
        _check_open(log, experiment, stored, place)
    start, stop = range_at(log, experiment, place)
    if replay and not dry_run:
        engine = None if spread is None or isinstance(spread.engine, InProcess) else spread.engine
        how: dict[str, Any] = {"folder": folder, "progress": progress, "meter": meter}
        score_range(log, experiment, start, stop, engine=engine, **how)
    where = msgspec.structs.replace(spread or Spread(), keep=not dry_run)
    look = _look(log, experiment, place, earlier, scores_up_to=log.head().position, spread=where)
    if dry_run:
        return Taken(look, None)
    if stored and (as_of is None or only_changed) and _sees_the_same(look, stored[-1].look):
        return stored[-1]
    return _store(log, look)


def _check_open(log: Log, experiment: Experiment, stored: Sequence[Taken], place: AsOf) -> None:
    concluded = conclusion(log, experiment.id)
    if concluded is not None:
        raise ExperimentConcluded(experiment.id, concluded.body["state"], concluded.position)
    limit = experiment.plan.policy.max_looks
    if len(stored) >= limit:
        raise LooksExhausted(experiment.id, limit)
    if stored and stored[-1].look.as_of.position > place.position:
        raise LookBehind(experiment.id, place.position, stored[-1].look.as_of.position)


def range_at(log: Log, experiment: Experiment, place: AsOf) -> tuple[int, int]:
    """Return the half-open range of positions that the window has at `place`.

    Raises:
        WindowNotOpen: it has none yet.
    """
    start, stop = experiment.bounds.positions(log, place, late=experiment.label_window)
    if start is None or start > place.position:
        raise WindowNotOpen(experiment.id, str(experiment.bounds.start), place.position, place.time)
    return start, place.position + 1 if stop is None else min(stop, place.position + 1)


def _look(
    log: Log,
    experiment: Experiment,
    place: AsOf,
    earlier: Sequence[Look],
    *,
    scores_up_to: int,
    spread: Spread | None = None,
) -> Look:
    start, stop = range_at(log, experiment, place)
    found = measure(log, experiment, place, start=start, stop=stop, scores_up_to=scores_up_to, spread=spread)
    previous = [look.earlier for look in earlier]
    verdict = decide(
        found.evidence,
        experiment.plan,
        integrity=found.integrity,
        previous=previous,
        slices=found.slices,
        rivalry=found.rivalry,
    )
    return _record(experiment, place, found, verdict)


def _record(experiment: Experiment, place: AsOf, found: Measured, verdict: Verdict) -> Look:
    return Look(
        experiment=experiment.id,
        number=verdict.look,
        as_of=place,
        start=found.start,
        stop=found.stop,
        outside=found.outside,
        seen_from=experiment.seen_from,
        scores=found.scores,
        outcomes=found.outcomes,
        integrity=found.integrity,
        evidence=found.evidence.to_json().decode(),
        evidence_digest=found.evidence.digest,
        verdict=verdict,
        verdict_digest=verdict.digest,
    )


def _sees_the_same(look: Look, before: Look) -> bool:
    return _seen(look) == _seen(before)


def _seen(look: Look) -> tuple[object, ...]:
    """Return what is new in a look; of a proof of retraining its gates too: a cooldown ends by itself."""
    proof = isinstance(look.verdict.retraining, Remedy)
    gates = [gate.state for gate in look.verdict.gates] if proof else []
    return look.evidence_digest, look.integrity.reasons, gates


def _store(log: Log, look: Look) -> Taken:
    """Append the look under its number: of two that are computed at once, one is the n-th."""
    try:
        event = log.control(TAKEN, look.experiment, look.body(), key=f"look:{look.experiment}:{look.number}")
    except WriterForked:
        other = next(each for each in stored_looks(log, look.experiment) if each.look.number == look.number)
        if other.look.as_of.position != look.as_of.position:
            raise LookRaced(look.experiment, look.number, other.look.as_of.position) from None
        return other
    return Taken(look, event, new=True)


def stored_looks(log: Log, name: str) -> list[Taken]:
    """Return the looks of an experiment, first to last."""
    return [from_event(event) for event in log.controls(TAKEN, name)]


def from_event(event: ControlEvent) -> Taken:
    """Return the look that a control event holds.

    Raises:
        LookAltered: it holds none, or one that knows of positions after its own.
    """
    try:
        look = msgspec.convert(event.body, Look)
    except msgspec.ValidationError as error:
        number = event.body.get("number", 0)
        raise LookAltered(event.subject, number, "its form", str(error), "the form of a look") from error
    known = max(look.as_of.position, look.scores.up_to)
    if known >= event.position:
        expected = f"a position below its own, {event.position}"
        raise LookAltered(event.subject, look.number, "as_of.position", str(known), expected)
    return Taken(look, event)


def conclusion(log: Log, name: str) -> ControlEvent | None:
    """Return the event with the experiment's final verdict; HOLD and NOT_IDENTIFIABLE are not final."""
    final = [event for event in log.controls(REACHED, name) if event.body["state"] in FINAL]
    return final[0] if final else None


def recompute(log: Log, name: str, up_to: int) -> list[tuple[Taken, Look]]:
    """Return the first `up_to` stored looks, each beside what the log gives for it now.

    Each verdict is recomputed from the recomputed looks before it, so that an altered one shows by itself.
    """
    experiment = get_experiment(log, name)
    pairs: list[tuple[Taken, Look]] = []
    for taken in stored_looks(log, name)[:up_to]:
        place = log.as_of(taken.look.as_of.position)
        earlier = [again for _, again in pairs if again.as_of.position < place.position]
        again = _look(log, experiment, place, earlier, scores_up_to=taken.look.scores.up_to)
        pairs.append((taken, again))
    return pairs


def compare(taken: Taken, recomputed: Look) -> None:
    """Return nothing when the stored look has the bytes of the recomputed one.

    Raises:
        LookAltered: it has not; the first field that differs is named.
    """
    assert taken.event is not None, "a dry run stores nothing"
    stored, again = taken.event.body, recomputed.body()
    if canonical_json(stored) != canonical_json(again):
        field, one, other = first_difference(stored, again)
        raise LookAltered(taken.look.experiment, recomputed.number, field, one, other)


def first_difference(stored: Any, again: Any, path: str = "") -> tuple[str, str, str]:
    """Return the dotted path of the first field that differs, in the order of names, and its two values.

    >>> first_difference({"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 3]})
    ('b.1', '2', '3')
    """
    if isinstance(stored, list | tuple) and isinstance(again, list | tuple) and len(stored) == len(again):
        stored, again = dict(enumerate(stored)), dict(enumerate(again))
    if isinstance(stored, dict) and isinstance(again, dict):
        for key in sorted(stored.keys() | again.keys()):
            one, other = stored.get(key, "(nothing)"), again.get(key, "(nothing)")
            if canonical_json(one) != canonical_json(other):
                return first_difference(one, other, f"{path}.{key}" if path else str(key))
    return path, _shortened(stored), _shortened(again)


def _shortened(value: Any) -> str:
    text = canonical_json(value).decode()
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 3] + "..."
