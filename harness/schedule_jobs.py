"""What a schedule can do in a slot. Each job, done twice at one position, has the effect of once."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from harness.config import Config
from harness.experiment_errors import LookRefused, WindowNotOpen
from harness.experiment_file import duration
from harness.experiments import get_experiment
from harness.integrity.log_keys import integrity_folder
from harness.integrity.rounds import round_of
from harness.log.compact import compact
from harness.log.log import Log
from harness.log.release import release
from harness.log.seal import seal as seal_log
from harness.log.seal import swept_after
from harness.looks import range_at, take_look
from harness.monitor.run import run
from harness.schedule_file import Schedule
from harness.scheduler import Job
from harness.scoring import score_range
from harness.segment_errors import SealBusy
from harness.verdicts import record_verdict

# Neighbours that are compacted once there are as many.
COMPACTED_FROM = 32
# A schedule records what is decided; whether figures are INVALID for good is for a person to say.
DECIDED = frozenset({"PROMOTE", "REJECT", "RETRAIN"})


def evaluate(log: Log, schedule: Schedule, position: int, folder: Path | None = None) -> dict[str, Any]:
    """Return the look at `position`, and the verdict when that look is decided and the schedule says so.

    An experiment that is not open yet, is concluded, or was looked at by somebody else since, is skipped:
    its schedule has not failed.
    """
    assert schedule.experiment is not None, "harness.schedule_file checks it"
    try:
        taken = take_look(log, schedule.experiment, as_of=position, only_changed=True, folder=folder)
    except LookRefused as reason:
        return {"skipped": str(reason)}
    state = taken.look.verdict.state
    result: dict[str, Any] = {"look": taken.look.number, "look_position": taken.position, "state": state}
    if schedule.decide and state in DECIDED:
        result["verdict_position"] = record_verdict(log, schedule.experiment).position
    return result


def replay(log: Log, schedule: Schedule, position: int, folder: Path | None = None) -> dict[str, Any]:
    """Return what was scored of the window as it is at `position`."""
    assert schedule.experiment is not None, "harness.schedule_file checks it"
    experiment = get_experiment(log, schedule.experiment)
    try:
        start, stop = range_at(log, experiment, log.as_of(position))
    except WindowNotOpen as reason:
        return {"skipped": str(reason)}
    score_range(log, experiment, start, stop, folder=folder)
    return {"start": start, "stop": stop}


def seal(log: Log, schedule: Schedule, position: int, folder: Path | None = None) -> dict[str, Any]:
    """Return what was sealed of the log up to `position`, compacted, and released by the rule.

    Control events alone, such as this schedule's own, wait for data. A sealer at work elsewhere is no
    failure. The rule is `keep` of harness.toml.
    """
    assert schedule.experiment is None, "harness.schedule_file checks it"
    keep = Config.load(folder).keep
    try:
        made = seal_log(log, stop=position + 1, data_only=True)
        merged = compact(log, least=COMPACTED_FROM)
        released = [] if keep is None else release(log, duration(keep))
    except SealBusy as reason:
        return {"skipped": str(reason)}
    return {
        "segments": len(made),
        "events": sum(one.events for one in made),
        "compacted": len(merged),
        "released": len(released),
        "swept": swept_after(log, position),
        "sealed_up_to": log.sealed.stop() - 1,
    }


def checkpoint(log: Log, schedule: Schedule, _position: int, folder: Path | None = None) -> dict[str, Any]:
    """Return the checkpoint that was taken, of all there is by then, and where it is anchored.

    Nothing new but schedules' own events is no reason for another one.
    """
    assert schedule.experiment is None, "harness.schedule_file checks it"
    taken, anchors = round_of(log, folder, integrity_folder(folder))
    return {
        "made": taken.made,
        "size": taken.checkpoint.size,
        "checkpoint_position": taken.checkpoint.position,
        "signatures": len(taken.note.signatures),
        "anchors": [event.body["target"] for event in anchors],
    }


def monitor(log: Log, schedule: Schedule, position: int, folder: Path | None = None) -> dict[str, Any]:
    """Return the days that were judged of those over at `position`; the slot before told the time."""
    assert schedule.monitor is not None, "harness.schedule_file checks it"
    found = run(log, schedule.monitor, position, folder=folder)
    return {
        "answer": found.answer,
        "inputs": [each["day"] for each in found.inputs],
        "outcomes": [each["day"] for each in found.outcomes],
    }


def jobs(folder: Path | None) -> Mapping[str, Job]:
    """Return every job by name; models are read from the store in `folder`."""
    return {
        "evaluate": partial(evaluate, folder=folder),
        "replay": partial(replay, folder=folder),
        "seal": partial(seal, folder=folder),
        "checkpoint": partial(checkpoint, folder=folder),
        "monitor": partial(monitor, folder=folder),
    }
