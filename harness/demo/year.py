"""Time in the demo: the service records day by day, and the scheduler looks when a look is due."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.config import Config
from harness.database import open_log
from harness.demo.calendar import midnights, slots
from harness.demo.errors import LookFailed
from harness.demo.narrator import Narrate
from harness.demo.stream import Served, Service
from harness.experiments import get_experiment
from harness.log.log import Log
from harness.looks import conclusion, range_at
from harness.models import open_registered
from harness.replay_runner import run_replay
from harness.schedule_file import Schedule, read_schedules
from harness.schedule_jobs import evaluate
from harness.scheduler import Runner
from recorders.recorder import Recorder


class Clock:
    """The demo's own clock for the scheduler: it stands where the flights are."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def now(self) -> datetime:
        """Return the instant that the flights have reached."""
        return self.at


class Year:
    """The year goes by. `live` decides, `served` counts, `recorded_s` says how long recording took.

    Of the experiment `timed`, `scored` rows went through its challenger's replays in `scored_s`.
    """

    def __init__(
        self, log: Log, folder: Path, service: Service, recorder: Recorder, narrate: Narrate
    ) -> None:
        self._log = log
        self._folder = folder
        self._service = service
        self._recorder = recorder
        self._narrate = narrate
        self._clock = Clock(datetime.max.replace(tzinfo=UTC))
        self._schedules = read_schedules(Config.load(folder))
        self._runner = Runner(self._open, {"evaluate": self._evaluate}, self._clock)
        self.live = ""
        self.served = Served()
        self.recorded_s = 0.0
        self.timed = ""
        self.scored = 0
        self.scored_s = 0.0

    def promote(self, reference: str) -> None:
        """Let a registered model decide from now on."""
        self.live = reference
        name, _, version = reference.partition(":")
        self._recorder.promote(name, version)

    def pass_by(self, title: str, start: datetime, stop: datetime, experiments: Sequence[str] = ()) -> None:
        """Record [start, stop) day by day; take the looks of `experiments` when their schedule says so.

        The stream is cut at every local midnight and every look, so that "as of" such an instant is exact.
        """
        model = open_registered(self._log, self.live, folder=self._folder)
        due = {
            instant: schedule
            for schedule in self._schedules
            if schedule.experiment in experiments
            for instant in slots(schedule, start, stop)
        }
        cuts = sorted({*midnights(start, stop), *due, stop})
        with self._narrate(title, len(cuts)) as advance:
            answers = self._service.decide(model, start, stop)
            for done, cut in enumerate(cuts, start=1):
                began = time.perf_counter()
                self.served += self._service.serve(answers, start, cut)
                self.recorded_s += time.perf_counter() - began
                start = cut
                if cut in due:
                    self._clock.at = cut
                    self._look(due[cut])
                advance(done)

    def _look(self, schedule: Schedule) -> None:
        run = self._runner.run_due(schedule)
        if run.state != "completed":
            raise LookFailed(schedule.name, run.state, run.detail)

    def _open(self) -> Log:
        return open_log(self._folder)

    def _evaluate(self, log: Log, schedule: Schedule, position: int) -> dict[str, Any]:
        """Score what the look will see, to know how long that takes; then do the scheduler's own job."""
        assert schedule.experiment is not None, "the demo schedules looks alone"
        experiment = get_experiment(log, schedule.experiment)
        if experiment.id != self.timed or conclusion(log, experiment.id) is not None:
            return evaluate(log, schedule, position, self._folder)
        start, stop = range_at(log, experiment, log.as_of(position))
        began = time.perf_counter()
        run = run_replay(
            log,
            experiment.declared.challenger.model,
            decision_point=experiment.decision_point,
            start=start,
            stop=stop,
            folder=self._folder,
        )
        if run.started_at > position:  # else the window has ended, and an earlier run is told again
            self.scored += run.rows
            self.scored_s += time.perf_counter() - began
        return evaluate(log, schedule, position, self._folder)
