"""What a look costs on scored, sealed segments: without a worker, with one and two, and when pairs are kept.

`python -m benchmarks.scale` takes about seven minutes. A log of 3,000,000 decisions with an outcome and a
score each, in segments on the local disk; Brier score, each decision its own unit. Every figure is of a
process of its own, imports left out; CPU is that of the process and its workers. Peak memory is the largest
of any one process.
"""

import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.brier_experiment import experiment_text
from benchmarks.results import Row, at_least, at_most, interleaved, publish
from harness.cli.entry import ALLOCATOR
from harness.database import create_log
from harness.engines.engine import InProcess
from harness.engines.local import Local
from harness.experiment_lint import read_experiment
from harness.experiments import get_experiment, register
from harness.log.log import Log
from harness.log.seal import seal
from harness.looks import range_at
from harness.measure import Spread, measure
from harness.models import add_model
from harness.replay_runner import run_replay
from recorders.columns import OUTCOME_SCHEMA, decision_schema
from recorders.fields import FeatureSet, Field
from tests.support import servers
from tests.support.history import POINT, START, History

ROWS, BATCH = 3_000_000, 20_000
REPEATS = 3
SECOND = timedelta(seconds=1)
FEATURES = FeatureSet("narrow", 1, (Field("x", "float64"),))
MODEL = "def better(batch):\n    return batch.column('x')\nbetter.inputs = ('x',)\n"
# What two processes gain that share nothing but the machine is all that two workers could: so much of it.
SHARE = 0.9
KEPT, AT_ONCE = "pairs kept", "two looks at once"
# Parts and workers; no workers: in the process itself, which cuts 6 million positions into 3 parts.
RUNS = {"no worker": (1, 0), "1 worker": (4, 1), "2 workers": (4, 2), KEPT: (1, 0)}


def fill(log: Log, folder: Path, rows: int = ROWS) -> None:
    """Write the log and seal it."""
    history = History(log, size=BATCH)
    log.register_feature_set(FEATURES)
    (folder / "models.py").write_text(MODEL)
    add_model(log, "py:models:better?input=arrow", name="better", version="1", trained_until=0, folder=folder)
    rng = np.random.default_rng(4)
    for at in range(0, rows, BATCH):
        numbers = np.arange(at, at + BATCH)
        x = rng.random(BATCH)
        ids = [f"decision-{n:010}" for n in numbers]
        history.append("decision", decisions(numbers, ids, x), FEATURES.digest)
        known = times(numbers + 1_800)
        label = (rng.random(BATCH) < x).astype(float)
        outcome = [ids, ["fraud"] * BATCH, label, known]
        arrays = [pa.array(c, type=f.type) for c, f in zip(outcome, OUTCOME_SCHEMA, strict=True)]
        history.append("outcome", pa.RecordBatch.from_arrays(arrays, schema=OUTCOME_SCHEMA))
    last = np.arange(rows + 86_400, rows + 86_401)
    history.append("decision", decisions(last, ["the-last"], np.zeros(1)), FEATURES.digest)
    path = folder / "scale.toml"
    path.write_text(experiment_text("scale", "better", START, START + rows * SECOND))
    register(log, read_experiment(path))
    seal(log)


def score(log: Log, folder: Path) -> None:
    """Score the window, and seal the scores."""
    start, stop = range_at(log, get_experiment(log, "scale"), log.as_of(None))
    run_replay(log, "better:1", decision_point=POINT, start=start, stop=stop, folder=folder)
    seal(log)


def decisions(numbers: np.ndarray, ids: list[str], x: np.ndarray) -> pa.RecordBatch:
    """Return decisions a second apart by a champion that knows half of it."""
    plain: dict[str, Any] = {
        "decision_id": ids,
        "occurred_at": times(numbers),
        "unit": [f"unit-{n:010}" for n in numbers],
        "model": ["m"] * numbers.size,
        "model_version": ["1"] * numbers.size,
        "score": 0.25 + x / 2,
        "inclusion": np.ones(numbers.size),
        "f.x": x,
    }
    schema = decision_schema(FEATURES)
    nothing = [None] * numbers.size
    return pa.RecordBatch.from_arrays(
        [pa.array(plain.get(field.name, nothing), type=field.type) for field in schema], schema=schema
    )


def times(numbers: np.ndarray) -> pa.Array:
    """Return the instants, `numbers` in seconds after the start."""
    start_us = int(START.timestamp()) * 1_000_000
    return pa.array(start_us + numbers * 1_000_000).cast(pa.timestamp("us", tz="UTC"))


def one(folder: str, url: str, name: str) -> None:
    """Measure one look in this process and print its figures."""
    parts, workers = RUNS[name]
    spread = Spread(Local(workers) if workers else InProcess(), parts, keep=name == KEPT)
    with create_log(folder, url=url) as log:
        experiment, place = get_experiment(log, "scale"), log.as_of(None)
        start, stop = range_at(log, experiment, place)
        until, base, workers_mb = log.head().position, cpu_s(), Highest()
        began = time.perf_counter()
        found = measure(log, experiment, place, start=start, stop=stop, scores_up_to=until, spread=spread)
        wall = time.perf_counter() - began
        figures = {
            "wall": wall,
            "cpu": cpu_s() - base,
            "peak": max(peak_mb("self"), workers_mb.stop()),
            "used": found.integrity.used,
            "digest": found.scores.digest + found.evidence.digest,
        }
    print(json.dumps(figures))


class Highest:
    """The largest peak of any worker, looked at while they run: they are gone when the look is done."""

    def __init__(self) -> None:
        self.most, self._end = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._end.wait(0.05):
            for child in multiprocessing.active_children():
                self.most = max(self.most, peak_mb(str(child.pid)))

    def stop(self) -> float:
        """Return the largest peak seen, in MB."""
        self._end.set()
        self._thread.join()
        return self.most


def cpu_s() -> float:
    """Return the CPU seconds of this process, of its children, and of theirs that have ended.

    Workers are children of the process that they are forked from, which is one of ours.
    """
    used = [resource.getrusage(kind) for kind in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    children = Path("/proc/self/task", str(os.getpid()), "children").read_text().split()
    return sum(each.ru_utime + each.ru_stime for each in used) + sum(map(process_cpu_s, children))


def process_cpu_s(pid: int | str) -> float:
    """Return the CPU seconds of a process so far, those of its ended children included."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def peak_mb(process: str) -> float:
    """Return the peak resident size of a process, 0 when it is gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1_000 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    """Measure, print the table and write it."""
    with tempfile.TemporaryDirectory() as name, servers.embedded(synced=False) as url:
        folder = Path(name)
        with create_log(folder, url=url, clock="event") as log:
            fill(log, folder)
            score(log, folder)
        found: dict[str, list[dict[str, Any]]] = {run: [] for run in (*RUNS, AT_ONCE)}

        def task(run: str) -> float:
            of, looks = ("no worker", 2) if run == AT_ONCE else (run, 1)
            # No module of ours is the main one, as in a command: workers would import it.
            words = "import sys; from benchmarks.scale import one; one(*sys.argv[1:])"
            command = [sys.executable, "-c", words, name, url, of]
            how: dict[str, Any] = {
                "stdout": subprocess.PIPE,
                "text": True,
                "env": {**ALLOCATOR, **os.environ},
            }
            begun = [subprocess.Popen(command, **how) for _look in range(looks)]
            done = [(process.communicate()[0], process.returncode) for process in begun]
            assert not any(code for _said, code in done), done
            found[run].append(max((json.loads(said) for said, _code in done), key=lambda each: each["wall"]))
            return 0.0

        task(KEPT)  # the look that keeps them
        found[KEPT].clear()
        interleaved({run: lambda run=run: task(run) for run in found}, REPEATS)
        kept = sum(each.stat().st_size for each in folder.rglob("pairs/**/*.arrow"))
    notes = f"{ROWS:,} decisions, outcomes and scores, sealed; medians of {REPEATS} turns."
    rows = [*rows_of(found), Row("pairs kept in the store", kept / ROWS, "bytes/decision")]
    publish("scale", rows, notes=notes)


def rows_of(found: dict[str, list[dict[str, Any]]]) -> list[Row]:
    """Return the table: rates and peaks of each run, then what they are to each other."""
    kinds = ("wall", "cpu", "peak")
    mid = {
        run: {kind: median(each[kind] for each in turns) for kind in kinds} for run, turns in found.items()
    }
    rows: list[Row] = []
    at_once = mid.pop(AT_ONCE)
    for run, figures in mid.items():
        rows.append(Row(f"{run}: look", ROWS / figures["wall"], "decisions/s", "wall"))
        rows.append(Row(f"{run}: look, CPU", ROWS / figures["cpu"], "decisions/CPU s"))
        rows.append(Row(f"{run}: peak memory", figures["peak"], "MB", "the largest process"))
    digests = {each["digest"] for turns in found.values() for each in turns}
    alone, one_worker, two, kept = (mid[run] for run in RUNS)
    allows = 2 * alone["wall"] / at_once["wall"]
    gained = one_worker["wall"] / two["wall"]
    fastest = min(figures["wall"] for figures in (alone, one_worker, two))
    return [
        *rows,
        at_most("different bytes of evidence and columns", len(digests), "", 1, against="all runs and turns"),
        at_most("peak memory without a worker", alone["peak"], "MB", 2_000),
        at_least("2 workers", gained, "x", 1.6, against="1 worker, wall"),
        Row("two processes with a look each", allows, "x", "one, wall: what the machine allows"),
        at_least(
            "2 workers: share of that", gained / allows, "", SHARE, against="two processes with a look each"
        ),
        at_least("2 workers beside none", alone["wall"] / two["wall"], "x", 1.0, against="no worker, wall"),
        at_most("50 million decisions at the best rate", fastest * 50e6 / ROWS, "s", 20, against="reckoned"),
        at_least("another look at kept pairs", ROWS / kept["wall"], "decisions/s", 3e6, against="wall"),
        Row("kept pairs beside none", alone["cpu"] / kept["cpu"], "x", "no worker, CPU"),
        at_most("50 million kept pairs", kept["wall"] * 50e6 / ROWS, "s", 20, against="reckoned"),
    ]


if __name__ == "__main__":
    main()
