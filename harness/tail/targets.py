"""What a tail worker follows: the models of experiments while they run, or one model by name."""

import msgspec

from harness.experiments import Experiment, get_experiment
from harness.log.log import Log
from harness.looks import conclusion


class Target(msgspec.Struct, frozen=True):
    """One model on one decision point from a position on. `experiment`: the one it is followed for."""

    model: str
    decision_point: str
    start: int
    experiment: str | None = None

    @property
    def name(self) -> str:
        """How it is spoken of."""
        return f"{self.model} on {self.decision_point}"


class End(msgspec.Struct, frozen=True):
    """Where a target ends, and why: positions after `stop - 1` are not its own.

    `final`: they never will be, whoever follows it again.
    """

    stop: int
    reason: str
    final: bool = False


def of_experiment(log: Log, name: str) -> list[Target]:
    """Return an experiment's targets: its challengers, and its champion if that is scored again.

    The list is empty while its window has not begun: nobody knows the first position yet.

    Raises:
        NotFound: there is no such experiment.
    """
    experiment = get_experiment(log, name)
    start, _stop = _window(log, experiment)
    if start is None:
        return []
    return [Target(model, experiment.decision_point, start, name) for model in experiment.scored]


def end_of(log: Log, target: Target) -> End | None:
    """Return where a target ends, None while nobody can say."""
    if target.experiment is None:
        return None
    experiment = get_experiment(log, target.experiment)
    concluded = conclusion(log, experiment.id)
    if concluded is not None:
        return End(concluded.position, f"{experiment.id} is concluded: {concluded.body['state']}", final=True)
    _start, stop = _window(log, experiment)
    return None if stop is None else End(stop, f"the window of {experiment.id} is over", final=True)


def _window(log: Log, experiment: Experiment) -> tuple[int | None, int | None]:
    return experiment.bounds.positions(log, log.as_of(None), late=experiment.label_window)
