"""What a look needs scored before it: the challenger over its window, and the champion once more."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.asked_alone import ask_alone
from harness.budget import Meter
from harness.engines.engine import Engine
from harness.experiments import Experiment
from harness.log.log import Log
from harness.replay_errors import BudgetSpent, NothingToScore, TrainedInRange
from harness.replay_runner import replay_in_parts, run_replays
from harness.replays import ReplayRun
from recorders.canonical import canonical_json, digest
from recorders.errors import HarnessError
from replay.model import ModelInfo
from replay.model_errors import ModelBroken

# The champion raised on what it decided itself: kept, so that the look that follows can say it.
RESCORE_FAILED = "rescore.failed"

Progress = Callable[[int], None]


def score_range(
    log: Log,
    experiment: Experiment,
    start: int,
    stop: int,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
    engine: Engine | None = None,
    meter: Meter | None = None,
) -> None:
    """Score the decisions in [start, stop) that have no score yet; what is scored stays scored.

    Challenger and champion share one pass over the decisions; on an `engine` each is scored in parts. Where
    the plan rests on the challenger's latency, it is asked decisions alone then (harness/asked_alone.py).

    A model that was trained on the range is not given it: the look says INVALID whatever it would score. A
    champion that raises whatever it is given is kept as `rescore.failed`, for the noise floor to say.

    Raises:
        ModelBroken: the challenger, or its rival, raises whatever it is given.
        BudgetSpent: what `meter` allows is used; what was scored before is in the log.
    """
    models, of = experiment.scored, (experiment.decision_point, start, stop)
    if engine is None:
        found = _in_company(log, models, of, folder=folder, progress=progress, meter=meter)
    else:
        how: dict[str, Any] = {"folder": folder, "progress": progress, "meter": meter}
        found = {model: replay_in_parts(log, model, engine, of, **how) for model in models}
    failed = _failure(log, experiment, (start, stop), found)
    if failed is not None:
        raise failed
    ask_alone(log, experiment, start, stop, folder=folder, meter=meter)


def score_ranges(
    log: Log,
    experiments: Sequence[Experiment],
    start: int,
    stop: int,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
    meter: Meter | None = None,
) -> dict[str, HarnessError]:
    """Score [start, stop) for experiments of one decision point in one pass; return which cannot be, and why.

    Raises:
        BudgetSpent: as `score_range`.
    """
    models = list(dict.fromkeys(model for each in experiments for model in each.scored))
    of = (experiments[0].decision_point, start, stop)
    found = _in_company(log, models, of, folder=folder, progress=progress, meter=meter)
    failed = {each.id: _failure(log, each, (start, stop), found) for each in experiments}
    for error in failed.values():
        if isinstance(error, BudgetSpent):
            raise error
    for each in experiments:
        if failed[each.id] is None:
            ask_alone(log, each, start, stop, folder=folder, meter=meter)
    return {name: error for name, error in failed.items() if error is not None}


def _in_company(
    log: Log,
    models: Sequence[str],
    of: tuple[str, int, int],
    *,
    folder: Path | None,
    progress: Progress | None,
    meter: Meter | None,
) -> dict[str, ReplayRun | HarnessError]:
    point, start, stop = of
    place: dict[str, Any] = {"decision_point": point, "start": start, "stop": stop}
    found = run_replays(log, models, **place, folder=folder, progress=progress, meter=meter)
    return dict(zip(models, found, strict=True))


def _failure(
    log: Log,
    experiment: Experiment,
    places: tuple[int, int],
    found: Mapping[str, ReplayRun | HarnessError],
) -> HarnessError | None:
    """Return what no look can do without, None when there is nothing; a broken champion is kept."""
    for model in experiment.scored:
        run = found[model]
        if isinstance(run, ReplayRun | NothingToScore | TrainedInRange):
            continue
        if not isinstance(run, ModelBroken) or model != experiment.declared.champion.rescore:
            return run
        _keep(log, experiment, places, run)
    return None


def _keep(log: Log, experiment: Experiment, places: tuple[int, int], broken: ModelBroken) -> None:
    assert experiment.rescore is not None, "a champion was scored again"
    body = {
        "model_digest": experiment.rescore.digest,
        "decision_point": experiment.decision_point,
        "start": places[0],
        "stop": places[1],
        "error": broken.error,
    }
    subject = f"{experiment.rescore.name}:{experiment.rescore.version}"
    log.control(RESCORE_FAILED, subject, body, key=f"{RESCORE_FAILED}:{digest(canonical_json(body))}")


def failure_of(
    log: Log, champion: ModelInfo, decision_point: str, places: tuple[int, int], *, up_to: int
) -> str | None:
    """Return what the champion last raised on snapshots of [start, stop), None when nothing, at `up_to`."""
    events = log.controls(RESCORE_FAILED, f"{champion.name}:{champion.version}", up_to=up_to)
    told = [
        str(event.body["error"])
        for event in events
        if (event.body["model_digest"], event.body["decision_point"]) == (champion.digest, decision_point)
        and event.body["start"] < places[1]
        and event.body["stop"] > places[0]
    ]
    return told[-1] if told else None
