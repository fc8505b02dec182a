"""Scoring and looks on Spark beside one machine's engines: the same bytes, and what a cluster costs to start.

`make bench-spark` (Java 17) takes about ten minutes. The log is that of `benchmarks.scale`: 3,000,000
decisions with an outcome each, sealed. Each figure is by the clock and of a process of its own, which opens
the log, starts its workers and ends them; Spark has a master of two cores, and its session is waited for
before the clock runs. A task has some 750,000 decisions, as a part of a pool's worker has.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.results import Row, at_most, interleaved, publish
from benchmarks.scale import MODEL, ROWS, fill, score
from harness.database import create_log
from harness.engines.engine import Engine, InProcess
from harness.engines.local import Local
from harness.engines.spark import Spark
from harness.experiments import get_experiment
from harness.log.log import Log
from harness.looks import range_at
from harness.measure import Spread, measure
from harness.models import add_model
from harness.replay_runner import run_replay
from tests.support import servers
from tests.support.history import POINT

ROOT = Path(__file__).parents[1]
REPEATS, PARTS = 3, 4
# Workers of each; None: Spark.
ENGINES: dict[str, int | None] = {"no worker": 0, "1 worker": 1, "2 workers": 2, "Spark, local[2]": None}
SCORING, LOOK = "scoring", "look"


@contextmanager
def engine_of(name: str) -> Iterator[Engine]:
    """Yield the engine, started as far as it starts before it is asked."""
    workers = ENGINES[name]
    if workers is not None:
        yield Local(workers) if workers else InProcess()
        return
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2,4]").config("spark.ui.enabled", "false")
    session = builder.getOrCreate()
    try:
        yield Spark(session)
    finally:
        session.stop()


def scored(log: Log, folder: Path, engine: Engine, name: str) -> dict[str, Any]:
    """Score the window by a copy of the model that nobody has asked yet."""
    copy = f"copy{len(list(folder.glob('copy*.py')))}"
    (folder / f"{copy}.py").write_text(f"{MODEL}# {copy}\n")
    uri = f"py:{copy}:better?input=arrow"
    add_model(log, uri, name=copy, version="1", trained_until=0, folder=folder)
    start, stop = range_at(log, get_experiment(log, "scale"), log.as_of(None))
    how: dict[str, Any] = {"decision_point": POINT, "start": start, "stop": stop, "folder": folder}
    began = time.perf_counter()
    run = run_replay(log, f"{copy}:1", **how, engine=engine if ENGINES[name] != 0 else None)
    return {"wall": time.perf_counter() - began, "rows": run.scored, "digest": run.digest}


def looked(log: Log, _folder: Path, engine: Engine, name: str) -> dict[str, Any]:
    """Measure the window, and keep nothing."""
    experiment, place = get_experiment(log, "scale"), log.as_of(None)
    start, stop = range_at(log, experiment, place)
    until, parts = log.head().position, 1 if ENGINES[name] == 0 else PARTS
    began = time.perf_counter()
    spread = Spread(engine, parts)
    found = measure(log, experiment, place, start=start, stop=stop, scores_up_to=until, spread=spread)
    wall = time.perf_counter() - began
    return {
        "wall": wall,
        "rows": found.integrity.used,
        "digest": [found.scores.digest, found.evidence.digest],
    }


DOES: dict[str, Callable[..., dict[str, Any]]] = {SCORING: scored, LOOK: looked}


def one(folder: str, url: str, what: str, name: str) -> None:
    """Do one thing in this process and print its figures."""
    began = time.perf_counter()
    with create_log(folder, url=url) as log, engine_of(name) as engine:
        figures = {"start": time.perf_counter() - began, **DOES[what](log, Path(folder), engine, name)}
    print(json.dumps(figures))


def main() -> None:
    """Measure, print the table and write it."""
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory() as folder, servers.embedded(synced=False) as url:
        with create_log(folder, url=url, clock="event") as log:
            fill(log, Path(folder))
            score(log, Path(folder))

        def task(what: str, name: str) -> float:
            command = [sys.executable, "-m", "benchmarks.spark", folder, url, what, name]
            done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
            assert done.returncode == 0, done.stderr
            figures = json.loads(done.stdout.splitlines()[-1])
            assert figures["rows"] == ROWS, figures
            found.setdefault((what, name), []).append(figures)
            return 0.0

        for what in DOES:
            interleaved({name: lambda n=name, w=what: task(w, n) for name in ENGINES}, REPEATS)
    notes = f"{ROWS:,} decisions, outcomes and scores, sealed; medians of {REPEATS} turns."
    publish("spark", rows_of(found), notes=notes)


def rows_of(found: dict[tuple[str, str], list[dict[str, Any]]]) -> list[Row]:
    """Return the table: rates by the clock, whether the bytes differ, and what a session's start takes."""
    rows = []
    for (what, name), turns in found.items():
        wall = median(each["wall"] for each in turns)
        rows.append(Row(f"{what}: {name}", ROWS / wall, "decisions/s", "wall"))
    for did in DOES:
        bytes_of = {
            str(each["digest"]) for (what, _), turns in found.items() if what == did for each in turns
        }
        name = f"{did}: different bytes"
        rows.append(at_most(name, len(bytes_of), "", 1, against="all engines and turns"))
    starts = [each["start"] for (_, name), turns in found.items() if ENGINES[name] is None for each in turns]
    return [*rows, Row("start of a session", median(starts), "s", "wall")]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one(*sys.argv[1:])
    else:
        main()
