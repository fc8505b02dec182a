"""Replays as the log has them: runs of a challenger over a range, and their scores (docs/adr/0007)."""

import uuid
from typing import Any

import msgspec
import pyarrow as pa

from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.model_ends import end_by, told_end
from harness.replay_batches import GROUP_BLOCKS
from harness.replay_errors import BudgetSpent, NothingToScore
from harness.stored_scores import Summary, counts, first_of_each, own_scores, scored_through, summary
from harness.tail.tails import NO_END, list_tails
from recorders.canonical import canonical_json, digest
from recorders.errors import HarnessError, WriterForked
from replay.columns import FEATURE
from replay.model import ModelInfo
from replay.model_errors import ModelInputsError
from replay.ranges import gaps
from replay.score import BLOCK_ROWS

NAMESPACE = uuid.UUID("1f1b0c52-9f0a-5a56-8a63-51a2b3f0c9d4")
STARTED, COMPLETED, STOPPED = "replay.started", "replay.completed", "replay.stopped"


class ReplayRun(msgspec.Struct, frozen=True):
    """One replay: what was scored, and by which model.

    `ranges` are the parts of [start, stop) that this run scored; earlier runs of the same model digest had
    scored the others. `digest` is the canonical digest of this run's scores, in the order of positions;
    it, `rows` and the counts are None or 0 until the run is completed (`so_far` has them). `stopped`
    is the budget that was spent when it last ended before that, None when none was; `ended` is how, in words,
    when it was its model that could not go on, or what that needs.
    """

    id: str
    model: str
    model_digest: str
    decision_point: str
    start: int
    stop: int
    ranges: tuple[tuple[int, int], ...]
    started_at: int
    completed_at: int | None = None
    rows: int = 0
    scored: int = 0
    failed: int = 0
    errors: dict[str, int] = {}
    digest: str | None = None
    stopped: str | None = None
    ended: str | None = None


def list_replays(log: Log) -> list[ReplayRun]:
    """Return all runs in the order in which they began."""
    ends = {event.subject: event for kind in (STOPPED, COMPLETED) for event in log.controls(kind)}
    return [_run_of(event, ends.get(event.subject)) for event in log.controls(STARTED)]


def so_far(log: Log, run: ReplayRun) -> ReplayRun:
    """Return the run with its counts, also of one that is not completed; that has no digest yet."""
    if run.completed_at is not None:
        return run
    found = counts(log, run)
    return msgspec.structs.replace(run, **found)


def read_scores(
    log: Log, model_digest: str, decision_point: str, start: int, stop: int, *, up_to: int | None = None
) -> pa.Table:
    """Return a model's scores of the decisions in [start, stop), by decision; the first stored wins.

    `up_to` is the last log position that exists for the caller. Scores of runs that are not completed
    count: they are in the log.
    """
    end = log.head().position if up_to is None else up_to
    return first_of_each(
        batch
        for run in _of_model(log, model_digest, decision_point)
        if run.started_at <= end and any(a < stop and b > start for a, b in run.ranges)
        for batch in own_scores(log, run, decided=(start, stop), up_to=end)
    )


def replayed_parts(
    log: Log, model_digest: str, decision_point: str, *, unfinished: bool = True
) -> list[tuple[int, int]]:
    """Return the ranges of positions whose decisions a replay of this model has scored, no tail.

    `unfinished`: also what one that is not completed has scored so far, for which its scores are read.
    """
    return [
        part
        for run in list_replays(log)
        if (run.model_digest, run.decision_point) == (model_digest, decision_point)
        and (unfinished or run.completed_at is not None)
        for part in _scored(log, run)
    ]


def _of_model(log: Log, model_digest: str, decision_point: str) -> list[ReplayRun]:
    """Return what scored a model's decisions: replays, and tails, which are runs without an end."""
    runs = list_replays(log) + [
        ReplayRun(t.id, t.model, t.model_digest, t.decision_point, t.start, NO_END, t.parts, t.started_at)
        for t in list_tails(log)
    ]
    return [r for r in runs if (r.model_digest, r.decision_point) == (model_digest, decision_point)]


def scored_parts(log: Log, model_digest: str, decision_point: str) -> list[tuple[int, int]]:
    """Return the ranges of positions whose decisions have a score of this model in the log."""
    return [part for run in _of_model(log, model_digest, decision_point) for part in _scored(log, run)]


def _run_id(info: ModelInfo, decision_point: str, start: int, stop: int) -> str:
    identity = {
        "decision_point": decision_point,
        "model": info.digest,
        "adapter": info.adapter,
        "start": start,
        "stop": stop,
        "block_rows": BLOCK_ROWS,
    }
    return digest(canonical_json(identity))


def completed(log: Log, info: ModelInfo, decision_point: str, start: int, stop: int) -> ReplayRun | None:
    """Return the run if the log has all of its scores: it is answered then, and its model not opened."""
    run = _find(log, _run_id(info, decision_point, start, stop))
    return run if run is not None and run.completed_at is not None else None


def begin(log: Log, info: ModelInfo, reference: str, decision_point: str, start: int, stop: int) -> ReplayRun:
    """Return the run as it stands in the log; its ranges are fixed when it is first started."""
    run_id = _run_id(info, decision_point, start, stop)
    stored = _find(log, run_id)
    if stored is not None:
        return stored
    done = scored_parts(log, info.digest, decision_point)
    body = {
        "model": reference,
        "model_digest": info.digest,
        "decision_point": decision_point,
        "start": start,
        "stop": stop,
        "ranges": [list(part) for part in gaps(start, stop, done)],
        "block_rows": BLOCK_ROWS,
        "group_blocks": GROUP_BLOCKS,
    }
    try:
        return _run_of(log.control(STARTED, run_id, body, key=f"replay:{run_id}:started"), None)
    except WriterForked:  # another process began it since we looked: its ranges stand
        begun = _find(log, run_id)
        assert begun is not None, "a writer forks only on what is stored"
        return begun


def _scored(log: Log, run: ReplayRun) -> list[tuple[int, int]]:
    """Return the parts that a run has scored; of one that was stopped, those up to its last score."""
    if run.completed_at is not None:
        return list(run.ranges)
    through = scored_through(log, run)
    if through is None:
        return []
    return [(first, min(after, through + 1)) for first, after in run.ranges if first <= through]


def _find(log: Log, run_id: str) -> ReplayRun | None:
    started = log.controls(STARTED, run_id)
    ends = [*log.controls(STOPPED, run_id), *log.controls(COMPLETED, run_id)]
    return _run_of(started[0], ends[-1] if ends else None) if started else None


def _run_of(started: ControlEvent, end: ControlEvent | None) -> ReplayRun:
    """Return the run; `end` is its completion, else the last time that it was stopped, if ever."""
    fields = {key: value for key, value in started.body.items() if key in ReplayRun.__struct_fields__}
    if end is not None and end.type == COMPLETED:
        fields |= end.body | {"completed_at": end.position}
    elif end is not None:
        fields |= {"ended": told_end(end.body)} if "error" in end.body else {"stopped": end.body["reason"]}
    return msgspec.convert(fields | {"id": started.subject, "started_at": started.position}, ReplayRun)


def check_inputs(log: Log, info: ModelInfo, decision_point: str, start: int, stop: int) -> None:
    """Refuse an empty range, and a model whose inputs no snapshot there holds, before anything is scored.

    Raises:
        NothingToScore, ModelInputsError: see there.
    """
    of: dict[str, Any] = {"kind": "decision", "decision_point": decision_point}
    if next(log.read(start, stop, columns=[], **of), None) is None:
        raise NothingToScore(decision_point, start, stop)
    # Snapshots of one range may be of several feature sets: what any of them declares may be there.
    registered = log.feature_sets()
    present = log.rows("schemas", start=start, stop=stop, **of)
    known = {field.name for (name,) in present if name in registered for field in registered[name].fields}
    if known.issuperset(info.inputs):
        return
    # A batch tells what it holds, whatever was registered: all of its columns are decoded for it.
    first = next(log.read(start, stop, **of))
    known |= {name.removeprefix(FEATURE) for name in first.schema.names if name.startswith(FEATURE)}
    lacking = [name for name in info.inputs if name not in known]
    if lacking:
        raise ModelInputsError(lacking, sorted(known))


def left_of(log: Log, run: ReplayRun) -> list[tuple[int, int]]:
    """Return what a run has yet to score. A range that was begun goes on behind its last score.

    That score ended a group: the blocks that follow are the same.
    """
    through = scored_through(log, run) if log.writer_high_water(uuid.uuid5(NAMESPACE, run.id)) else None
    if through is None:
        return list(run.ranges)
    return [(max(first, through + 1), after) for first, after in run.ranges if after > through + 1]


def stop_at(log: Log, run: ReplayRun, why: HarnessError) -> None:
    """Say in the log what ended the run, a budget or an error, and what it left."""
    said = (
        {"reason": why.reason, "limit": why.limit, "used": why.used}
        if isinstance(why, BudgetSpent)
        else end_by(why)
    )
    body = {
        "model": run.model,
        "decision_point": run.decision_point,
        **said,
        "left": [list(part) for part in left_of(log, run)],
    }
    log.control(STOPPED, run.id, body)


def complete(log: Log, run: ReplayRun, seen: Summary | None) -> ReplayRun:
    """Return the run with its account, appended as a control event.

    `seen` is what was appended, of a run that began and ended here; else the account is read back.
    """
    said = summary(log, run) if seen is None else seen.said()
    body = {"model": run.model, "decision_point": run.decision_point, **said}
    log.control(COMPLETED, run.id, body, key=f"replay:{run.id}:completed")
    completed = _find(log, run.id)
    assert completed is not None, "it was just completed"
    return completed
