"""How long a decision waits for its shadow score: from its commit to the commit of the score.

`python -m benchmarks.tail` takes about a minute. `harness shadow start` runs as a user runs it, beside a
writer that appends every 20 ms. Both times are the server's own (`recorded_at`), one for each batch.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import skops.io

from benchmarks.replay import FEATURES, decisions, trained
from benchmarks.results import Row, at_most, publish
from benchmarks.scale import process_cpu_s
from harness.database import create_log
from harness.log.log import Log
from harness.models import add_model
from tests.support import servers
from tests.support.history import POINT, History

EVERY_S, SECONDS, WARM_S = 0.02, 12.0, 3.0
RATES = (500, 2_500)


def worker(log: Log, folder: Path) -> "subprocess.Popen[str]":
    """Start the tail as a process of its own; return it when it follows."""
    words = ("--model", "linear:1", "-d", POINT, "--from", str(log.head().position + 1), "--json")
    code = "from harness.cli.entry import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "shadow", "start", *words],
        cwd=folder,
        env={**os.environ, "HARNESS_DATABASE_URL": log.url, "PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "follows" in json.loads(process.stdout.readline())["said"]
    return process


def write(history: History, table: pa.Table, rate: int) -> None:
    """Append `rate` decisions a second, a batch each EVERY_S."""
    size, began = round(rate * EVERY_S), time.perf_counter()
    for number in range(int(SECONDS / EVERY_S)):
        batch = table.slice(number * size, size).combine_chunks().to_batches()[0]
        history.append("decision", batch, FEATURES.digest)
        time.sleep(max(0.0, began + (number + 1) * EVERY_S - time.perf_counter()))


def waits_ms(log: Log, start: int, expected: int) -> np.ndarray:
    """Return for each decision from `start` on how long its score took, once all have theirs."""
    end = time.monotonic() + 60
    while True:
        stop = log.head().position + 1
        scores = pa.Table.from_batches(log.read(start, stop, kind="score", decision_point=POINT))
        if scores.num_rows >= expected:
            break
        assert time.monotonic() < end, f"{scores.num_rows} of {expected} were scored"
        time.sleep(0.1)
    made = pa.Table.from_batches(
        log.read(start, stop, kind="decision", decision_point=POINT, columns=("decision_id",))
    )
    at = made.column("position").to_numpy()
    asked = scores.column("decision_position").to_numpy()
    assert np.unique(asked).size == asked.size == at.size, "each decision is scored once"
    decided = made.column("recorded_at").cast(pa.int64()).to_numpy()[np.searchsorted(at, asked)]
    waited = scores.column("recorded_at").cast(pa.int64()).to_numpy() - decided
    counted = decided >= decided.min() + WARM_S * 1e6
    return waited[counted] / 1e3


def main() -> None:
    """Measure, print the table and write it."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name, servers.embedded(synced=True) as server:
        folder = Path(name)
        skops.io.dump(trained()["linear"], folder / "linear.skops")
        for rate in RATES:
            table = decisions().drop_columns(["position"])
            with servers.fresh_database(server) as url, create_log(url=url) as log:
                history = History(log, name=str(rate))
                log.register_feature_set(FEATURES)
                add_model(log, "sklearn:linear.skops", name="linear", version="1", folder=folder)
                process, start = worker(log, folder), log.head().position + 1
                try:
                    before = process_cpu_s(process.pid)
                    write(history, table, rate)
                    spent = process_cpu_s(process.pid) - before
                    waited = waits_ms(log, start, round(rate * SECONDS))
                finally:
                    process.send_signal(signal.SIGTERM)
                    process.communicate()
                p50, p99 = (float(ms) for ms in np.percentile(waited, [50, 99]))
                rows += [
                    at_most(f"{rate} decisions/s: p50", p50, "ms", 50, against="commit to commit"),
                    at_most(f"{rate} decisions/s: p99", p99, "ms", 500, against="commit to commit"),
                    Row(f"{rate} decisions/s: worker", spent / SECONDS, "cores", "with the model in it"),
                ]
    publish("tail", rows, notes="Linear model, 30 features, a batch each 20 ms; fsync on.")


if __name__ == "__main__":
    main()
