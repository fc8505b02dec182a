"""One model through the whole line, in a process of its own: `python -m benchmarks.replays.one_model ...`.

Checked as a user checks it, replayed over the first block (what starting it costs), then over all the rest,
then looked at. Writes the CPU seconds of this process and of the challenger's, wall times and peak memory as
JSON.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.scale import peak_mb
from harness.challengers import MEASURED
from harness.config import StorePlace
from harness.experiments import get_experiment
from harness.log.log import Log
from harness.looks import range_at
from harness.measure import measure
from harness.model_check import Question, check
from harness.replay_runner import run_replay
from replay.score import BLOCK_ROWS
from tests.support.history import POINT


def took(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Return what it answers, and the CPU seconds of this process and wall seconds that it took."""
    cpu, began = time.process_time(), time.perf_counter()
    found = work()
    return found, {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - began}


def main(url: str, folder: Path, name: str) -> None:
    """Do it once and write what it took."""
    with Log(url, store=StorePlace(str(folder / "segments"))) as log:
        experiment, place = get_experiment(log, name), log.as_of(None)
        start, stop = range_at(log, experiment, place)
        checked, checking = took(lambda: check(log, Question(f"{name}:1", POINT, start, stop), folder=folder))
        middle = start + BLOCK_ROWS
        how: dict[str, Any] = {"decision_point": POINT, "folder": folder}
        first, starting = took(lambda: run_replay(log, f"{name}:1", start=start, stop=middle, **how))
        rest, scoring = took(lambda: run_replay(log, f"{name}:1", start=start, stop=stop, **how))
        until = log.head().position
        found, looking = took(
            lambda: measure(log, experiment, place, start=start, stop=stop, scores_up_to=until)
        )
        for run, spent in ((first, starting), (rest, scoring)):
            cost = log.controls(MEASURED, run.id)[0].body
            spent["cpu"] += cost["cpu_us"] / 1e6
    (metric,) = found.evidence.metrics.values()
    answer = {
        "rows": rest.scored,
        "used": found.integrity.used,
        "joined": checked.joined,
        "first_rows": first.scored,
        "checking": checking,
        "starting": starting,
        "scoring": scoring,
        "looking": looking,
        "challenger_mb": cost["resident_mb_max"],
        "peak": peak_mb("self"),
        "difference": (metric.champion - metric.challenger) / (metric.used * found.evidence.scale),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
