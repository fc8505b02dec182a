"""Challengers of several experiments scored side by side, each until its policy rejects it (docs/adr/0050).

A look on the way is a dry run as of its place: it knows what was known there, stores nothing, and can only
end what it rejects. Harm is read from e-values, which hold at any number of looks, so none of them costs any.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from harness.budget import Meter
from harness.experiment_errors import ExperimentConcluded
from harness.experiments import Experiment, get_experiment
from harness.log.log import Log
from harness.looks import Look, conclusion, range_at, stored_looks, take_look
from harness.scoring import Progress, score_ranges
from replay.ranges import AsOf

STOPPED = "challenger.stopped"
# The first place on the way; each next one is twice as far: all of them cost less than two whole looks.
FIRST_POSITIONS = 65_536


class Runner(msgspec.Struct, frozen=True):
    """An experiment in a race: its challenger is `scored` up to `stop`, or `stopped` or `failed` there."""

    experiment: str
    challenger: str
    start: int
    stop: int
    state: Literal["scored", "stopped", "failed"]
    reasons: tuple[str, ...] = ()


class Lane(msgspec.Struct, frozen=True):
    """An experiment with the range of positions that its window has at the last decision."""

    experiment: Experiment
    start: int
    stop: int

    def ended(self, stop: int, state: Literal["scored", "stopped", "failed"], *reasons: str) -> Runner:
        """Return how it ended."""
        declared = self.experiment.declared
        return Runner(self.experiment.id, declared.challenger.model, self.start, stop, state, reasons)


def race(
    log: Log,
    names: Sequence[str],
    *,
    first: int | None = None,
    folder: Path | None = None,
    progress: Progress | None = None,
    meter: Meter | None = None,
) -> list[Runner]:
    """Return how each experiment ended, when all are scored over their windows, or stopped on the way.

    Experiments with the same decisions share one pass over them. The look that rejects is stored, as of its
    place, and `challenger.stopped` names it. Asked again, it goes on where it was.

    The first round has `first` positions, each next one as many as there were before it.

    Raises:
        NotFound, WindowNotOpen, ExperimentConcluded: before anything is scored.
        BudgetSpent: what was scored and stopped before stays so.
    """
    lanes = []
    for name in dict.fromkeys(names):
        experiment = get_experiment(log, name)
        concluded = conclusion(log, experiment.id)
        if concluded is not None:
            raise ExperimentConcluded(experiment.id, concluded.body["state"], concluded.position)
        lanes.append(Lane(experiment, *range_at(log, experiment, _end(log, experiment.decision_point))))
    found: dict[str, Runner] = {}
    for company in _companies(lanes):
        length = first or FIRST_POSITIONS
        found |= _run(log, company, length, folder=folder, progress=progress, meter=meter or Meter())
    return [found[lane.experiment.id] for lane in lanes]


def places(start: int, stop: int, first: int) -> Iterator[int]:
    """Yield the ends of the rounds: they are the same however far the log has grown.

    >>> list(places(11, 100, 16))
    [27, 43, 75, 100]
    """
    length = first
    while start + length < stop:
        yield start + length
        length *= 2
    yield stop


def _end(log: Log, decision_point: str) -> AsOf:
    """Return the place of the last decision: what the race itself appends moves the end of the log."""
    latest = log.rows(
        "latest", stop=log.head().position + 1, kind="decision", decision_point=decision_point, rows=1
    )
    return log.as_of(latest[0][0] + latest[0][1] - 1 if latest else None)


def _companies(lanes: Sequence[Lane]) -> list[list[Lane]]:
    """Return the lanes that read the same decisions together."""
    found: dict[tuple[str, int, int], list[Lane]] = {}
    for lane in lanes:
        found.setdefault((lane.experiment.decision_point, lane.start, lane.stop), []).append(lane)
    return list(found.values())


def _run(
    log: Log,
    company: Sequence[Lane],
    first: int,
    *,
    folder: Path | None,
    progress: Progress | None,
    meter: Meter,
) -> dict[str, Runner]:
    start, stop = company[0].start, company[0].stop
    found = {lane.experiment.id: ended for lane in company if (ended := _stopped(log, lane)) is not None}
    for place in places(start, stop, first):
        going = [lane for lane in company if lane.experiment.id not in found]
        if not going:
            break
        experiments = [lane.experiment for lane in going]
        failed = score_ranges(log, experiments, start, place, folder=folder, progress=progress, meter=meter)
        for lane in going:
            error = failed.get(lane.experiment.id)
            if error is not None:
                found[lane.experiment.id] = lane.ended(place, "failed", str(error))
            elif place < stop and _rejected(log, lane, place):
                take_look(log, lane.experiment.id, place - 1, folder=folder)
                stopped = _stopped(log, lane)
                assert stopped is not None, "the policy is a function of what it saw"
                found[lane.experiment.id] = stopped
    return {lane.experiment.id: lane.ended(stop, "scored") for lane in company} | found


def _rejected(log: Log, lane: Lane, place: int) -> bool:
    """Return whether the policy rejects the challenger on what was known before `place`."""
    looks = stored_looks(log, lane.experiment.id)
    if looks and looks[-1].look.as_of.position >= place - 1:  # nothing can be stored there any more
        return False
    found = take_look(log, lane.experiment.id, place - 1, replay=False, dry_run=True)
    return found.look.verdict.state == "REJECT"


def _stopped(log: Log, lane: Lane) -> Runner | None:
    """Return how a stored look rejected it, None when none did; the log says that it ended its scoring."""
    rejected = [each.look for each in stored_looks(log, lane.experiment.id) if _rejects(each.look)]
    if not rejected:
        return None
    look = rejected[0]
    body = {
        "look": look.number,
        "as_of": look.as_of.position,
        "model": lane.experiment.declared.challenger.model,
        "reasons": list(look.verdict.reasons),
    }
    log.control(STOPPED, lane.experiment.id, body, key=f"{STOPPED}:{lane.experiment.id}")
    return lane.ended(look.as_of.position + 1, "stopped", *look.verdict.reasons)


def _rejects(look: Look) -> bool:
    return look.verdict.state == "REJECT"
