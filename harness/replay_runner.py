"""Replays run: challengers scored over a range, each decision once, in this process or on an engine."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from harness.appending import Appending, behind
from harness.budget import Meter
from harness.challengers import account_of_model, challenger, keep_account, keep_costs, limits_of
from harness.engines.engine import Engine
from harness.log.log import Log
from harness.log.places import check_range
from harness.model_ends import can_be_said
from harness.models import get_model
from harness.remembered import RememberedModel
from harness.replay_errors import BudgetSpent, TrainedInRange
from harness.replays import ReplayRun, begin, check_inputs, complete, completed, left_of, stop_at
from harness.scored_parts import Ask, Parts, scored
from harness.shared_pass import Progress, Read, Slowest, share, tell_begin
from harness.stored_scores import Summary
from recorders.errors import HarnessError
from replay.adapters.uri import parse_uri
from replay.isolation import Limits
from replay.model import Model, ModelInfo
from replay.model_errors import ChallengerEnded
from replay.score import columns_for


class Watch(NamedTuple):
    """Who is told of the groups that are done, and who says whether there may be another."""

    progress: Progress
    meter: Meter


def run_replay(  # noqa: PLR0913  each keyword is one choice of the command
    log: Log,
    model_ref: str,
    *,
    decision_point: str,
    start: int,
    stop: int,
    progress: Progress | None = None,
    folder: Path | None = None,
    limits: Limits | None = None,
    engine: Engine | None = None,
    meter: Meter | None = None,
) -> ReplayRun:
    """Return the completed run of a registered model over the decisions in [start, stop).

    The model runs in a process of its own within `limits` (None: those of harness.toml); what it cost is
    appended as `replay.measured`. On an `engine` it runs in parts, each with a process of its own; the log
    then holds the same batches in the same order. Its workers look for the model's files in `folder`, by
    its whole path: by default the working folder of whoever asks.

    Asked for again, it answers from the log. Killed at any point, it goes on where the log says it was:
    group k of its canonical blocks is batch k of its writer, so no decision is ever scored twice.
    `progress` is told the positions done so far, out of `stop - start`. What `meter` allows ends it.

    Raises:
        BudgetSpent: the same call goes on from there.
        TrainedInRange: the range overlaps what the model was trained on (nothing is scored).
        NothingToScore, RangeUnusable, UnknownPosition, NotFound, ModelError: see there.
        ChallengerEnded: it hung or crashed again and again; what it scored before is in the log.
        PartPoisoned, EngineLost, ClusterFailed, NotShared: the engine; what was appended before is in
            the log.
    """
    if engine is None:
        (found,) = run_replays(
            log,
            [model_ref],
            decision_point=decision_point,
            start=start,
            stop=stop,
            progress=progress,
            folder=folder,
            limits=limits,
            meter=meter,
        )
    else:
        of = (decision_point, start, stop)
        how: dict[str, Any] = {"progress": progress, "folder": folder, "limits": limits, "meter": meter}
        found = replay_in_parts(log, model_ref, engine, of, **how)
    if isinstance(found, HarnessError):
        raise found
    return found


def run_replays(  # noqa: PLR0913  as `run_replay`
    log: Log,
    model_refs: Sequence[str],
    *,
    decision_point: str,
    start: int,
    stop: int,
    progress: Progress | None = None,
    folder: Path | None = None,
    limits: Limits | None = None,
    meter: Meter | None = None,
) -> list[ReplayRun | HarnessError]:
    """Return for each model its completed run, or why it has none, from one pass over the decisions.

    Each model is a run of its own, as `run_replay` would make it, in a process of its own: one that fails
    ends no other. The slowest sets the pace. What `meter` allows, they have together.
    """
    watch = Watch(progress or _silent, meter or Meter())
    found: dict[str, ReplayRun | HarnessError] = {}
    waiting: dict[str, tuple[Model, ReplayRun]] = {}
    with ExitStack() as stack:
        for reference in dict.fromkeys(model_refs):
            try:
                info = _check_place(log, reference, start, stop)
                stored = completed(log, info, decision_point, start, stop)
                if stored is not None:
                    found[reference] = stored
                    continue
                model = stack.enter_context(
                    challenger(log, reference, decision_point=decision_point, folder=folder, limits=limits)
                )
                check_inputs(log, model.info, decision_point, start, stop)
                run = begin(log, model.info, reference, decision_point, start, stop)
                if run.completed_at is None:
                    waiting[reference] = (model, run)
                found[reference] = run
            except HarnessError as error:
                found[reference] = error
        found |= _score_all(log, waiting, watch)
    return [found[reference] for reference in model_refs]


def _score_all(
    log: Log, waiting: dict[str, tuple[Model, ReplayRun]], watch: Watch
) -> dict[str, ReplayRun | HarnessError]:
    """Return what became of runs that go on: several share a pass, one reads the log by itself.

    So does each that remembers: it reads of the log what lies between, and a log is for one thread.
    """
    company = {ref: each for ref, each in waiting.items() if not isinstance(each[0], RememberedModel)}
    if len(company) < 2:  # noqa: PLR2004  one needs no thread
        company = {}
    found = {
        reference: _ended(log, model, run, watch, partial(_decisions, log, run.decision_point))
        for reference, (model, run) in waiting.items()
        if reference not in company
    }
    return found | _score_together(log, company, watch) if company else found


def _score_together(
    log: Log, waiting: dict[str, tuple[Model, ReplayRun]], watch: Watch
) -> dict[str, ReplayRun | HarnessError]:
    runs = [run for _model, run in waiting.values()]
    names = dict.fromkeys(name for model, _run in waiting.values() for name in columns_for(model.info))
    first = min((part[0] for run in runs for part in left_of(log, run)), default=runs[0].stop)
    batches = _decisions(log, runs[0].decision_point, first, max(run.stop for run in runs), tuple(names))
    slowest = Slowest(watch.progress, len(runs), runs[0].stop - runs[0].start)

    def reader(place: int, model: Model, run: ReplayRun, read: Read) -> ReplayRun | HarnessError:
        with log.address.open() as own:
            return _ended(own, model, run, watch._replace(progress=partial(slowest.told, place)), read)

    readers = [partial(reader, place, *each) for place, each in enumerate(waiting.values())]
    done = share(batches, readers)
    return {reference: future.result() for reference, future in zip(waiting, done, strict=True)}


def _ended(log: Log, model: Model, run: ReplayRun, watch: Watch, read: Read) -> ReplayRun | HarnessError:
    """Return the completed run, or the error that stopped it; what the model cost is kept either way."""
    try:
        seen = _score(log, model, run, watch, read)
    except HarnessError as error:
        if isinstance(error, ChallengerEnded | BudgetSpent):
            keep_account(log, model, run.id)
        if can_be_said(error):
            stop_at(log, run, error)
        return error
    keep_account(log, model, run.id)
    return complete(log, run, seen)


def replay_in_parts(
    log: Log,
    model_ref: str,
    engine: Engine,
    of: tuple[str, int, int],
    *,
    progress: Progress | None = None,
    folder: Path | None = None,
    limits: Limits | None = None,
    meter: Meter | None = None,
) -> ReplayRun | HarnessError:
    """Return the completed run, scored by the workers of an engine and appended here, or why there is none.

    `of`: the decision point and the range.
    """
    decision_point, start, stop = of
    told = progress or _silent
    try:
        info = _check_place(log, model_ref, start, stop)
        stored = completed(log, info, decision_point, start, stop)
        if stored is not None:
            return stored
        bounds = limits or limits_of(folder)
        check_inputs(log, info, decision_point, start, stop)
        run = begin(log, info, model_ref, decision_point, start, stop)
        if run.completed_at is not None:
            return run
    except HarnessError as error:
        return error
    append = Appending(log, run, told)
    home = (folder or Path.cwd()).absolute()
    ask = Ask(model_ref, decision_point, run.id, append.sequence == 0, home, bounds)
    parts = Parts(log, ask, engine, append, meter or Meter())
    try:
        left = left_of(log, run)
        _begin(run, left, told)
        parts.score(left, remembers=parse_uri(info.uri).key is not None)
    except HarnessError as error:
        if can_be_said(error):
            stop_at(log, run, error)
        return error
    finally:
        keep_costs(log, info, parts.account, run.id)
    told(stop - start)
    return complete(log, run, append.seen)


def _check_place(log: Log, reference: str, start: int, stop: int) -> ModelInfo:
    """Return the registered model, or refuse a range that it was trained on or that is not there yet."""
    info = get_model(log, reference)
    trained = info.trained_until
    if trained is not None and start <= trained:
        raise TrainedInRange(reference, trained, start, stop)
    check_range(start, stop, log.head().position)
    return info


def _decisions(
    log: Log, decision_point: str, start: int, stop: int, columns: Sequence[str]
) -> Iterator[pa.RecordBatch]:
    return log.read(start, stop, kind="decision", decision_point=decision_point, columns=columns)


def _score(log: Log, model: Model, run: ReplayRun, watch: Watch, read: Read) -> Summary | None:
    """Append the scores of the run's ranges that are not stored yet: group k of blocks is batch k.

    Return what was appended, None when not all of the run was appended here.
    """
    append, left = Appending(log, run, watch.progress), left_of(log, run)
    _begin(run, left, watch.progress)
    begun = append.sequence > 0
    # What remembers appends its states itself, and the door of the log is for one at a time.
    with nullcontext(append) if isinstance(model, RememberedModel) else behind(append) as to:
        for first, after in left:
            decisions = read(first, after, columns_for(model.info))
            for scores in scored(log, model, decisions, first=not begun):
                begun = True
                to.scores(scores)
                cost = account_of_model(model)
                watch.meter.model(run.id, cost.cpu_us / 1e6, cost.resident_mb_max)
                watch.meter.check()
    watch.progress(run.stop - run.start)
    return append.seen


def _begin(run: ReplayRun, left: Sequence[tuple[int, int]], progress: Progress) -> None:
    """Tell where a run begins, or goes on."""
    total = run.stop - run.start
    tell_begin(progress, left[0][0] - run.start if left else total, total)


def _silent(_done: int) -> None:
    """Nobody watches."""
