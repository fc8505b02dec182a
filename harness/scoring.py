"""What a look needs scored before it: the challenger over its window, and the champion once more."""

from collections.abc import Callable
from pathlib import Path

from harness.engines.engine import Engine
from harness.experiments import Experiment
from harness.log.log import Log
from harness.replay_errors import NothingToScore, TrainedInRange
from harness.replay_runner import replay_in_parts, run_replays
from harness.replays import ReplayRun
from recorders.canonical import canonical_json, digest
from replay.errors import ModelBroken
from replay.model import ModelInfo

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
) -> None:
    """Score the decisions in [start, stop) that have no score yet; what is scored stays scored.

    Challenger and champion share one pass over the decisions; on an `engine` each is scored in parts.

    A model that was trained on the range is not given it: the look says INVALID whatever it would score. A
    champion that raises whatever it is given is kept as `rescore.failed`, for the noise floor to say.

    Raises:
        ModelBroken: the challenger, or its rival, raises whatever it is given.
    """
    models = experiment.scored
    point = experiment.decision_point
    if engine is None:
        found = run_replays(
            log,
            models,
            decision_point=point,
            start=start,
            stop=stop,
            progress=progress,
            folder=folder,
        )
    else:
        found = [
            replay_in_parts(log, model, engine, (point, start, stop), progress=progress, folder=folder)
            for model in models
        ]
    for model, run in zip(models, found, strict=True):
        if isinstance(run, ReplayRun | NothingToScore | TrainedInRange):
            continue
        if not isinstance(run, ModelBroken) or model != experiment.declared.champion.rescore:
            raise run
        _keep(log, experiment, (start, stop), run)


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
