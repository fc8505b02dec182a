"""Rows a second of replay with paired statistics, against the bare model and what is written by hand.

`python -m benchmarks.replay` takes about eight minutes; a number of rows as its argument makes it shorter.
Thirty float features, one thread, sealed decisions with their outcomes. The bound is a bare Parquet read and
one call of the bare model on all rows: nothing joined, nothing compared, nothing kept. Beside it the bare
model in calls of 1,024 rows, and of each model a loop over pandas chunks and mlflow's pyfunc, which compare
but keep nothing either; their mean differences must be ours. CPU seconds of all processes, and what two cores
make of it by the clock; starting a challenger is a row of its own and in no rate but the one that names it.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.brier_experiment import experiment_text
from benchmarks.replays import by_hand
from benchmarks.replays.models import Bare, network, saved
from benchmarks.replays.pyfuncs import pyfuncs
from benchmarks.results import Row, at_least, at_most, interleaved, publish
from harness.cli.entry import ALLOCATOR
from harness.config import StorePlace
from harness.database import create_log
from harness.experiment_lint import read_experiment
from harness.experiments import register
from harness.log.log import Log
from harness.log.seal import seal
from harness.models import add_model
from recorders.columns import OUTCOME_SCHEMA, decision_schema
from recorders.fields import FeatureSet, Field
from replay.score import BLOCK_ROWS
from tests.support import servers
from tests.support.history import MINUTE, START, History

ROWS, BATCH = 400_000, 10_000
REPEATS = 3
NAMES = [f"x{n:02}" for n in range(30)]
FEATURES = FeatureSet("wide", 1, tuple(Field(name, "float64") for name in NAMES))
INSTANT = pa.timestamp("us", tz="UTC")


def training_rows() -> tuple[pd.DataFrame, Any]:
    """Return rows and their labels."""
    rng = np.random.default_rng(2)
    rows = pd.DataFrame(rng.normal(size=(4_000, 30)), columns=NAMES)
    return rows, (rows.x00 + rows.x01 * rows.x02 > 0).astype(int)


def trained() -> dict[str, Any]:
    """Return a linear model, gradient boosting and a network."""
    rows, label = training_rows()
    return {
        "linear": make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, label),
        "boosting": HistGradientBoostingClassifier(max_iter=50).fit(rows, label),
        "network": network(rows, label),
    }


def decisions(count: int = 120_000) -> pa.Table:
    """Return the decisions as the log gives them, in batches of 4,000."""
    rng = np.random.default_rng(3)
    numbers = np.arange(count)
    plain: dict[str, Any] = {
        "decision_id": [f"d{n:08}" for n in numbers],
        "occurred_at": instants(numbers),
        "unit": [f"u{n:08}" for n in numbers],
        "model": ["m"] * count,
        "model_version": ["1"] * count,
        "score": np.full(count, 0.5),
        "inclusion": np.ones(count),
    } | {f"f.{name}": rng.normal(size=count) for name in NAMES}
    schema = decision_schema(FEATURES)
    return pa.table(
        [pa.array(plain.get(f.name, [None] * count), type=f.type) for f in schema], schema=schema
    ).add_column(0, "position", pa.array(numbers + 1))


def instants(numbers: np.ndarray) -> pa.Array:
    """Return the times of decisions: a minute apart."""
    start_us = pa.array([START], INSTANT).cast(pa.int64())[0].as_py()
    return pa.array(start_us + numbers * (MINUTE.seconds * 1_000_000)).cast(INSTANT)


def outcomes(table: pa.Table) -> pa.Table:
    """Return an outcome for each decision, half an hour after it."""
    x = [table.column(f"f.x0{n}").to_numpy() for n in range(3)]
    label = (x[0] + x[1] * x[2] > 0).astype(float)
    numbers = np.arange(table.num_rows)
    columns = [table.column("decision_id"), ["fraud"] * table.num_rows, label, instants(numbers + 30)]
    return pa.table(
        [
            pa.chunked_array(c) if isinstance(c, pa.ChunkedArray) else pa.array(c, type=f.type)
            for c, f in zip(columns, OUTCOME_SCHEMA, strict=True)
        ],
        schema=OUTCOME_SCHEMA,
    )


def fill(log: Log, folder: Path, models: dict[str, Bare], rows: int) -> None:
    """Write decisions and outcomes, seal them, and register a model and an experiment of each kind."""
    table = decisions(rows)
    known = outcomes(table)
    pq.write_table(table, folder / by_hand.DECISIONS)
    pq.write_table(known, folder / by_hand.OUTCOMES)
    history = History(log, size=BATCH)
    log.register_feature_set(FEATURES)
    for name, bare in models.items():
        add_model(log, bare.uri, name=name, version="1", trained_until=0, folder=folder)
        path = folder / f"{name}.toml"
        stop = START + (rows + 1) * MINUTE
        path.write_text(experiment_text(name, name, START, stop))
        register(log, read_experiment(path))
    for batch in table.drop_columns(["position"]).to_batches(max_chunksize=BATCH):
        history.append("decision", batch, FEATURES.digest)
    for batch in known.to_batches(max_chunksize=BATCH):
        history.append("outcome", batch)
    last = decisions(1).drop_columns(["position"]).to_pylist()[0]
    last |= {"decision_id": "the-last", "occurred_at": START + (rows + 1_440) * MINUTE}
    history.append("decision", pa.RecordBatch.from_pylist([last], decision_schema(FEATURES)), FEATURES.digest)
    seal(log)


def seconds(task: Callable[[], Any], walls: list[float]) -> Callable[[], float]:
    """Return a run that answers its CPU seconds and adds its seconds by the clock to `walls`."""

    def run() -> float:
        began, wall = time.process_time(), time.perf_counter()
        task()
        walls.append(time.perf_counter() - wall)
        return time.process_time() - began

    return run


def beside(
    folder: Path, models: dict[str, Bare], loaded: dict[str, by_hand.Score]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the medians of everything that we are measured against, in turns: CPU seconds, and seconds."""
    tasks: dict[str, Callable[[], float]] = {}
    walls: dict[str, list[float]] = defaultdict(list)

    def add(name: str, task: Callable[[], Any]) -> None:
        tasks[name] = seconds(task, walls[name])

    for name, bare in models.items():
        for words, rows in (("one call", 2**40), ("calls of 1,024", BLOCK_ROWS)):
            add(
                f"{name}: {words}",
                lambda bare=bare, rows=rows: by_hand.bare(folder, NAMES, bare.score, rows),
            )
        add(f"{name}: pandas", lambda bare=bare: by_hand.in_chunks(folder, NAMES, bare.score))
        add(f"{name}: pyfunc", lambda score=loaded[name]: by_hand.at_once(folder, NAMES, score))
    cpu = interleaved(tasks, REPEATS)
    return (
        {name: median(turns) for name, turns in cpu.items()},
        {name: median(turns) for name, turns in walls.items()},
    )


def through(url: str, folder: Path, name: str) -> dict[str, Any]:
    """Return what the whole line took for a model, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.replays.one_model", url, str(folder), name]
    as_a_command = {**ALLOCATOR, **os.environ}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=as_a_command)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def rows_of(
    name: str, own: dict[str, Any], others: dict[str, float], walls: dict[str, float], rows: int
) -> list[Row]:
    """Return the table of one model."""
    assert own["used"] == rows, own
    # The start of a challenger and its first block are a row; the rest was asked for beyond it.
    share = own["rows"] / rows
    scoring, waited = ((own["scoring"][clock] - own["starting"][clock]) / share for clock in ("cpu", "wall"))
    whole, waited = scoring + own["looking"]["cpu"], waited + own["looking"]["wall"]
    bound, blocks = others[f"{name}: one call"], others[f"{name}: calls of 1,024"]
    found = [
        Row(f"{name}: replay and look", rows / whole, "rows/CPU s", "log to evidence; without the start"),
        Row(f"{name}: replay", rows / scoring, "rows/CPU s", "log to log: read, score, append, digest"),
        Row(f"{name}: look", rows / own["looking"]["cpu"], "rows/CPU s", "join, pair, fold"),
        Row(f"{name}: replay and start", own["rows"] / own["scoring"]["wall"], "rows/s", "wall"),
        Row(f"{name}: bare model", rows / bound, "rows/CPU s", "Parquet, one call"),
        Row(f"{name}: bare model, 1,024 a call", rows / blocks, "rows/CPU s", "Parquet"),
        at_least(f"{name}: share of the bound", bound / whole, "", 0.9, against="Parquet and one bare call"),
        at_least(f"{name}: share in equal calls", blocks / whole, "", 0.9, against="Parquet, 1,024 a call"),
        Row(f"{name}: replay and look by the clock", rows / waited, "rows/s", "two processes, no start"),
        Row(
            f"{name}: share of the bound by the clock",
            walls[f"{name}: one call"] / waited,
            "",
            "Parquet and one bare call in one process",
        ),
        at_most(f"{name}: model check", own["checking"]["wall"], "s", 60, against="wall, with its start"),
        Row(f"{name}: start and first block", own["starting"]["cpu"], "CPU s", "imports, load, complete"),
        Row(f"{name}: blocks in a call", own["joined"], "", "what its check allowed"),
        Row(f"{name}: memory", own["peak"], "MB", "the process that asks"),
        Row(f"{name}: memory of the challenger", own["challenger_mb"], "MB"),
    ]
    for words, label in (("pandas", "a pandas loop"), ("pyfunc", "mlflow pyfunc and pandas")):
        took = others[f"{name}: {words}"]
        found.append(Row(f"{name}: {label}", rows / took, "rows/CPU s", "nothing is kept"))
        found.append(Row(f"{name}: beside {label}", took / whole, "x", "our rate over theirs"))
        wall = walls[f"{name}: {words}"] / waited
        found.append(Row(f"{name}: beside {label} by the clock", wall, "x", "two processes to one"))
    return found


def main(rows: int = ROWS) -> None:
    """Measure, print the table and write it."""
    found: list[Row] = []
    with tempfile.TemporaryDirectory() as name, servers.embedded(synced=True) as url:
        folder = Path(name)
        made = trained()
        models = saved(made, folder)
        loaded = pyfuncs(made, folder)
        create_log(url=url, clock="event").close()
        with Log(url, store=StorePlace(str(folder / "segments"))) as log:
            fill(log, folder, models, rows)
        own = {kind: through(url, folder, kind) for kind in models}
        for kind, bare in models.items():
            theirs = (
                by_hand.in_chunks(folder, NAMES, bare.score),
                by_hand.at_once(folder, NAMES, loaded[kind]),
            )
            assert np.allclose(own[kind]["difference"], theirs, rtol=0, atol=1e-6), (kind, own[kind], theirs)
        others, walls = beside(folder, models, loaded)
        for kind in models:
            found += rows_of(kind, own[kind], others, walls, rows)
    publish(
        "replay",
        found,
        notes=f"{rows:,} decisions of {len(NAMES)} features, sealed, with outcomes.",
        versions={library: metadata.version(library) for library in ("mlflow-skinny", "onnxruntime")},
    )


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:]))
