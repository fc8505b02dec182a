"""Replays: a challenger's scores over a range, appended to the log exactly once (docs/adr/0007)."""

import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow as pa

from harness.challengers import challenger, keep_account
from harness.errors import UnknownPosition
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.models import get_model
from harness.replay_batches import GROUP_BLOCKS, alive, groups, score_batch
from harness.replay_errors import NothingToScore, TrainedInRange
from harness.stored_scores import first_of_each, own_scores, scored_through, summary
from harness.tail.tails import NO_END, list_tails
from recorders.canonical import canonical_json, digest
from recorders.errors import WriterForked
from replay.columns import FEATURE
from replay.errors import ChallengerEnded, ModelInputsError
from replay.isolation import Limits
from replay.model import Model
from replay.ranges import gaps
from replay.score import BLOCK_ROWS, columns_for, score_blocks

NAMESPACE = uuid.UUID("1f1b0c52-9f0a-5a56-8a63-51a2b3f0c9d4")
STARTED, COMPLETED = "replay.started", "replay.completed"

Progress = Callable[[int], None]


class ReplayRun(msgspec.Struct, frozen=True):
    """One replay: what was scored, and by which model.

    `ranges` are the parts of [start, stop) that this run scored; earlier runs of the same model digest had
    scored the others. `digest` is the canonical digest of this run's scores, in the order of positions;
    it, `rows` and the counts are None or 0 until the run is completed.
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


def run_replay(
    log: Log,
    model_ref: str,
    *,
    decision_point: str,
    start: int,
    stop: int,
    progress: Progress | None = None,
    folder: Path | None = None,
    limits: Limits | None = None,
) -> ReplayRun:
    """Return the completed run of a registered model over the decisions in [start, stop).

    The model runs in a process of its own within `limits` (None: those of harness.toml); what it cost is
    appended as `replay.measured`.

    Asked for again, it answers from the log. Killed at any point, it goes on where the log says it was:
    group k of its canonical blocks is batch k of its writer, so no decision is ever scored twice.
    `progress` is told the positions done so far, out of `stop - start`.

    Raises:
        TrainedInRange: the range overlaps what the model was trained on (nothing is scored).
        NothingToScore, UnknownPosition, NotFound, ModelError: see there.
        ChallengerEnded: it hung or crashed again and again; what it scored before is in the log.
    """
    info = get_model(log, model_ref)
    trained = info.trained_until
    if trained is not None and start <= trained:
        raise TrainedInRange(model_ref, trained, start, stop)
    head = log.head().position
    if stop > head + 1:
        raise UnknownPosition(stop - 1, head)
    with challenger(log, model_ref, decision_point=decision_point, folder=folder, limits=limits) as model:
        run = _begin(log, model, model_ref, decision_point, start, stop)
        if run.completed_at is not None:
            return run
        check_inputs(log, model, run.decision_point, run.start, run.stop)
        try:
            _score(log, model, run, progress or _silent)
        except ChallengerEnded:
            keep_account(log, model, run.id)
            raise
        keep_account(log, model, run.id)
    return _complete(log, run)


def list_replays(log: Log) -> list[ReplayRun]:
    """Return all runs in the order in which they began."""
    completed = {event.subject: event for event in log.controls(COMPLETED)}
    return [_run_of(event, completed.get(event.subject)) for event in log.controls(STARTED)]


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


def _run_id(model: Model, decision_point: str, start: int, stop: int) -> str:
    identity = {
        "decision_point": decision_point,
        "model": model.info.digest,
        "adapter": model.info.adapter,
        "start": start,
        "stop": stop,
        "block_rows": BLOCK_ROWS,
    }
    return digest(canonical_json(identity))


def _begin(log: Log, model: Model, reference: str, decision_point: str, start: int, stop: int) -> ReplayRun:
    """Return the run as it stands in the log; its ranges are fixed when it is first started."""
    run_id = _run_id(model, decision_point, start, stop)
    stored = _find(log, run_id)
    if stored is not None:
        return stored
    done = scored_parts(log, model.info.digest, decision_point)
    body = {
        "model": reference,
        "model_digest": model.info.digest,
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
    started, completed = log.controls(STARTED, run_id), log.controls(COMPLETED, run_id)
    return _run_of(started[0], completed[0] if completed else None) if started else None


def _run_of(started: ControlEvent, completed: ControlEvent | None) -> ReplayRun:
    fields = {key: value for key, value in started.body.items() if key in ReplayRun.__struct_fields__}
    if completed is not None:
        fields |= completed.body | {"completed_at": completed.position}
    return msgspec.convert(fields | {"id": started.subject, "started_at": started.position}, ReplayRun)


def check_inputs(log: Log, model: Model, decision_point: str, start: int, stop: int) -> None:
    """Refuse an empty range, and a model whose inputs no snapshot there holds, before anything is scored.

    Raises:
        NothingToScore, ModelInputsError: see there.
    """
    first = next(log.read(start, stop, kind="decision", decision_point=decision_point), None)
    if first is None:
        raise NothingToScore(decision_point, start, stop)
    # Snapshots of one range may be of several feature sets: what any of them declares may be there.
    registered = log.feature_sets()
    present = log.rows("schemas", start=start, stop=stop, kind="decision", decision_point=decision_point)
    known = {name.removeprefix(FEATURE) for name in first.schema.names if name.startswith(FEATURE)}
    known |= {field.name for (name,) in present if name in registered for field in registered[name].fields}
    lacking = [name for name in model.info.inputs if name not in known]
    if lacking:
        raise ModelInputsError(lacking, sorted(known))


def _score(log: Log, model: Model, run: ReplayRun, progress: Progress) -> None:
    """Append the scores of the run's ranges that are not stored yet: group k of blocks is batch k.

    A range that was begun goes on behind its last score, which ended a group: its blocks are the same.
    """
    writer = uuid.uuid5(NAMESPACE, run.id)
    sequence = log.writer_high_water(writer)
    through = scored_through(log, run) if sequence else None
    for first, after in run.ranges:
        at = first if through is None else max(first, through + 1)
        if at >= after:
            continue
        decisions = log.read(
            at, after, kind="decision", decision_point=run.decision_point, columns=columns_for(model.info)
        )
        for scores in groups(alive(model, score_blocks(model, decisions), first=sequence == 0)):
            sequence += 1
            log.append(
                score_batch(
                    scores,
                    decision_point=run.decision_point,
                    run_id=run.id,
                    writer=writer,
                    sequence=sequence,
                )
            )
            progress(scores.column("decision_position")[-1].as_py() + 1 - run.start)
    progress(run.stop - run.start)


def _complete(log: Log, run: ReplayRun) -> ReplayRun:
    """Return the run with its account, read back from the log and appended as a control event."""
    body = {"model": run.model, "decision_point": run.decision_point, **summary(log, run)}
    log.control(COMPLETED, run.id, body, key=f"replay:{run.id}:completed")
    completed = _find(log, run.id)
    assert completed is not None, "it was just completed"
    return completed


def _silent(_done: int) -> None:
    """Nobody watches."""
