"""Challengers asked one decision alone, and timed: what a gate on latency rests on (docs/adr/0093)."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.budget import Meter
from harness.challengers import challenger, limits_of, row_latencies
from harness.experiments import Experiment
from harness.log.log import Log
from harness.replays import read_scores
from policies.columns import known_true
from policies.metric_plan import MetricPlan
from policies.options import declared
from policies.plan import Plan
from policies.serving import LATENCY, TIMED_OUT
from replay.columns import mask_of
from replay.isolation import Alone, IsolatedModel
from replay.model_errors import ChallengerEnded
from replay.ranges import gaps
from replay.score import blocks, columns_for

ASKED = "latency.asked"
# So many answers are kept in one event: what is interrupted loses no more.
TOGETHER = 4_096
_MIX = np.uint64(0x9E3779B97F4A7C15)


class _Part(NamedTuple):
    """Positions that nobody has asked about: which to ask, and where time ran out when they were scored."""

    start: int
    stop: int
    positions: npt.NDArray[np.int64]
    late: list[int]


def asking(plan: Plan) -> MetricPlan | None:
    """Return the metric of latencies that says how many decisions are asked alone, None without one."""
    found = (metric for metric in plan.metrics if metric.name == LATENCY)
    return next((metric for metric in found if declared(metric.ask_every) is not None), None)


def chosen(positions: npt.NDArray[np.int64], every: int) -> npt.NDArray[np.bool_]:
    """Return which decisions are asked: one of `every`, told by nothing but its position.

    Those of 64 are among those of 32: experiments that ask more seldom ask nothing new.

    >>> int(chosen(np.arange(100_000), 32).sum()), bool(chosen(np.arange(9), 1).all())
    (3124, True)
    """
    mixed = positions.astype(np.uint64) * _MIX
    found: npt.NDArray[np.bool_] = mixed <= np.uint64((2**64 - 1) // every)
    return found


def ask_alone(
    log: Log,
    experiment: Experiment,
    start: int,
    stop: int,
    *,
    folder: Path | None = None,
    meter: Meter | None = None,
) -> None:
    """Ask the challenger the chosen decisions of [start, stop) alone, each once for all experiments.

    Nothing where the plan does not want it. A decision whose score says that time ran out counts as that;
    one that failed otherwise has no latency. A challenger that remembers, or runs in this process, is asked
    nothing. One whose circuit opens is asked no more for now.

    Raises:
        BudgetSpent: what was asked before is in the log.
    """
    metric = asking(experiment.plan)
    every = None if metric is None else declared(metric.ask_every)
    if every is None:
        return
    parts = list(_unasked(log, experiment, (start, stop), every))
    if not parts:
        return
    reference, wait_us = experiment.declared.challenger.model, int(limits_of(folder).timeout_s * 1e6)
    with challenger(log, reference, decision_point=experiment.decision_point, folder=folder) as model:
        if not isinstance(model, IsolatedModel):
            return
        for part in parts:
            asked = _Asked(log, experiment, part, {"every": every, "timeout_us": wait_us})
            try:
                for alone in _answers(log, experiment.decision_point, model, part):
                    asked.take(alone)
                    if meter is not None:
                        meter.model(f"{ASKED}:{reference}", model.account.cpu_us / 1e6)
                        meter.check()
                asked.done = True
            except ChallengerEnded as ended:
                asked.ended = ended.happened
                return
            finally:
                asked.keep()


def challenger_took(log: Log, experiment: Experiment, *, up_to: int) -> dict[int, int]:
    """Return the microseconds that single decisions took the challenger, by position, as of position `up_to`.

    Those that were asked for it where the plan wants that, else a few that were timed beside their scores.
    The first time counts. Where time ran out it is as long as was waited, and beyond the objective anyhow.
    """
    metric = asking(experiment.plan)
    if metric is None:
        return row_latencies(log, experiment.challenger.digest, up_to=up_to)
    found: dict[int, int] = {}
    for body in _events(log, experiment, up_to=up_to):
        late = max(body["timeout_us"], (declared(metric.slo_us) or 0) + 1)
        found = dict(body["took"]) | dict.fromkeys(body["late"], late) | found
    return found


def _events(log: Log, experiment: Experiment, *, up_to: int | None = None) -> list[dict[str, Any]]:
    asked = experiment.challenger.digest, experiment.decision_point
    end = log.head().position if up_to is None else up_to
    bodies = [event.body for event in log.controls(ASKED, up_to=end)]
    return [body for body in bodies if (body["model_digest"], body["decision_point"]) == asked]


def _unasked(log: Log, experiment: Experiment, place: tuple[int, int], every: int) -> Iterator[_Part]:
    """Yield the parts of a range in which scored decisions wait to be asked."""
    events = _events(log, experiment)
    done = [(body["start"], body["stop"]) for body in events if body["every"] <= every]
    for start, stop in gaps(*place, done):
        scores = read_scores(log, experiment.challenger.digest, experiment.decision_point, start, stop)
        positions = scores.column("decision_position").to_numpy()
        some = scores.filter(mask_of(chosen(positions, every))).sort_by("decision_position")
        errors, positions = some.column("error").combine_chunks(), some.column("decision_position").to_numpy()
        late = known_true(pc.match_substring_regex(errors, TIMED_OUT, ignore_case=True))
        answered = positions[mask_of(errors.is_null())]
        if positions.size:
            yield _Part(start, stop, answered, positions[late].tolist())


def _answers(log: Log, decision_point: str, model: IsolatedModel, part: _Part) -> Iterator[Alone]:
    names = columns_for(model.info)
    if not part.positions.size:
        return
    first, after = int(part.positions[0]), int(part.positions[-1]) + 1
    read = log.read(first, after, kind="decision", decision_point=decision_point, columns=names)
    wanted = pa.array(part.positions)
    for block in blocks(read, names):
        yield from model.ask_alone(block.filter(pc.is_in(block.column("decision_position"), wanted)))


class _Asked:
    """What was asked of one part, appended some at a time. `done`: all of it; `ended`: why no more."""

    def __init__(self, log: Log, experiment: Experiment, part: _Part, how: dict[str, int]) -> None:
        self._log, self._experiment, self._part, self._how = log, experiment, part, how
        self._start = part.start
        self._answers: list[Alone] = []
        self.done, self.ended = False, ""

    def take(self, alone: Alone) -> None:
        """Take one answer, or why there was none."""
        self._answers.append(alone)
        if len(self._answers) >= TOGETHER:
            self.keep()

    def keep(self) -> None:
        """Append what was heard since the last time; nothing when nothing was."""
        last = self._answers[-1].position + 1 if self._answers else self._start
        stop = self._part.stop if self.done else last
        if stop > self._start:
            named = {
                "model_digest": self._experiment.challenger.digest,
                "decision_point": self._experiment.decision_point,
                "start": self._start,
                "stop": stop,
            }
            body = named | self._how | self._told(stop) | ({"ended": self.ended} if self.ended else {})
            self._log.control(ASKED, self._experiment.declared.challenger.model, body)
        self._start, self._answers = stop, []

    def _told(self, stop: int) -> dict[str, Any]:
        late = [position for position in self._part.late if self._start <= position < stop]
        unanswered: dict[str, int] = {}
        for alone in self._answers:
            if alone.took_us is None and re.search(TIMED_OUT, alone.why, re.IGNORECASE):
                late.append(alone.position)
            elif alone.took_us is None:
                unanswered[alone.why] = unanswered.get(alone.why, 0) + 1
        took = [[alone.position, alone.took_us] for alone in self._answers if alone.took_us is not None]
        return {"took": took, "late": sorted(late), "unanswered": unanswered}
