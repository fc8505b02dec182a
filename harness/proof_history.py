"""What a proof of retraining knows of earlier ones: whether its range was read, and when the last one was."""

from collections.abc import Sequence

from harness.experiments import REACHED, TAKEN, Experiment, list_experiments
from harness.log.log import Log
from policies.contenders import Contender
from policies.retrain_rule import RetrainRule
from replay.ranges import AsOf

_DAY_S = 86_400.0


def read_before(log: Log, experiment: Experiment, start: int, stop: int) -> bool:
    """Return whether a proof had read any of [start, stop) before this one was registered.

    Its challengers may then have been chosen for how they do there. Proofs that were registered before either
    was looked at may share a range: each draws its own alpha.
    """
    others = _proofs(log, experiment)
    looks = log.controls(TAKEN, up_to=experiment.event.position)
    return any(
        event.subject in others and event.body["start"] < stop and event.body["stop"] > start
        for event in looks
    )


def days_since_retraining(log: Log, experiment: Experiment, place: AsOf) -> float | None:
    """Return how long before `place` the last other proof at the decision point ended as RETRAIN, or None."""
    others = _proofs(log, experiment)
    ended = [
        event.recorded_at
        for event in log.controls(REACHED, up_to=place.position)
        if event.subject in others and event.body["state"] == "RETRAIN"
    ]
    return (place.time - max(ended)).total_seconds() / _DAY_S if ended else None


def gap_us(log: Log, contenders: Sequence[Contender], start: int) -> int:
    """Return the time from the last position that anybody learned from to the first one held out."""
    until = max((each.trained_until for each in contenders if each.name != "recalibrated"), default=0)
    if not until:
        return int(log.as_of(start).time.timestamp() * 1e6)
    between = log.as_of(start).time - log.as_of(min(until, start)).time
    return int(between.total_seconds() * 1e6)


def _proofs(log: Log, experiment: Experiment) -> set[str]:
    """Return the other experiments of retraining at the same decision point."""
    return {
        other.id
        for other in list_experiments(log)
        if other.id != experiment.id
        and other.decision_point == experiment.decision_point
        and isinstance(other.declared.retraining, RetrainRule)
    }
