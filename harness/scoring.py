"""What a look needs scored before it: the challenger over its window, and the champion once more."""

from collections.abc import Callable
from pathlib import Path

from harness.experiments import Experiment
from harness.log.log import Log
from harness.replay_errors import NothingToScore, TrainedInRange
from harness.replays import run_replay

Progress = Callable[[int], None]


def score_range(
    log: Log,
    experiment: Experiment,
    start: int,
    stop: int,
    *,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> None:
    """Score the decisions in [start, stop) that have no score yet; what is scored stays scored.

    A model that was trained on the range is not given it: the look says INVALID whatever it would score.
    """
    declared = experiment.declared
    for model in (declared.challenger.model, declared.champion.rescore):
        if model is None:
            continue
        try:
            run_replay(
                log,
                model,
                decision_point=experiment.decision_point,
                start=start,
                stop=stop,
                progress=progress,
                folder=folder,
            )
        except (NothingToScore, TrainedInRange):
            continue
