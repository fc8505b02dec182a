"""Rows a second scored in replay, against the bare model on the same rows.

`python -m benchmarks.replay` takes under a minute. Thirty float features, one thread. The bound is a bare
Parquet read and one call of the bare model on all rows. Beside it the bare model in calls of 1,024 rows:
what a fixed block costs the model itself, before anything of ours. Medians of turns, CPU seconds.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import skops.io
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.results import Row, at_least, interleaved, publish
from harness.database import create_log
from harness.models import add_model
from harness.replay_runner import run_replay
from recorders.columns import decision_schema
from recorders.fields import FeatureSet, Field
from replay.adapters import open_model
from replay.model import Model
from replay.score import BLOCK_ROWS, score_blocks
from tests.support import servers
from tests.support.history import MINUTE, POINT, START, History

ROWS, LOG_ROWS, BATCH = 120_000, 80_000, 4_000
REPEATS = 3
NAMES = [f"x{n:02}" for n in range(30)]
FEATURES = FeatureSet("wide", 1, tuple(Field(name, "float64") for name in NAMES))
INSTANT = pa.timestamp("us", tz="UTC")


def trained() -> dict[str, Any]:
    """Return a linear and a gradient boosting model."""
    rng = np.random.default_rng(2)
    rows = pd.DataFrame(rng.normal(size=(4_000, 30)), columns=NAMES)
    label = (rows.x00 + rows.x01 * rows.x02 > 0).astype(int)
    return {
        "linear": make_pipeline(StandardScaler(), LogisticRegression()).fit(rows, label),
        "boosting": HistGradientBoostingClassifier(max_iter=50).fit(rows, label),
    }


def decisions() -> pa.Table:
    """Return the decisions as the log gives them, in batches of 4,000."""
    rng = np.random.default_rng(3)
    numbers = np.arange(ROWS)
    at = pa.array([START], INSTANT).cast(pa.int64())[0].as_py() + numbers * (MINUTE.seconds * 1_000_000)
    plain: dict[str, Any] = {
        "decision_id": [f"d{n:08}" for n in numbers],
        "occurred_at": pa.array(at, INSTANT),
        "model": ["m"] * ROWS,
        "model_version": ["1"] * ROWS,
        "inclusion": np.ones(ROWS),
    } | {f"f.{name}": rng.normal(size=ROWS) for name in NAMES}
    schema = decision_schema(FEATURES)
    return pa.table(
        [pa.array(plain.get(f.name, [None] * ROWS), type=f.type) for f in schema], schema=schema
    ).add_column(0, "position", pa.array(numbers + 1))


def bare(path: Path, model: Any, rows: int) -> None:
    """Score the file with the bare model, `rows` a call."""
    frame = pq.read_table(path, columns=[f"f.{name}" for name in NAMES]).to_pandas()
    frame.columns = NAMES
    for at in range(0, len(frame), rows):
        model.predict_proba(frame.iloc[at : at + rows])


def replayed(path: Path, model: Model) -> None:
    """Score the file in canonical blocks, as a replay does, without the log."""
    columns = ["position", "decision_id", *(f"f.{name}" for name in NAMES)]
    table = pq.read_table(path, columns=columns)
    rows = sum(batch.num_rows for batch in score_blocks(model, table.to_batches(max_chunksize=BATCH)))
    assert rows == ROWS


def seconds(task: Callable[[], None]) -> Callable[[], float]:
    """Return a run that answers its CPU seconds."""

    def run() -> float:
        began = time.process_time()
        task()
        return time.process_time() - began

    return run


def through_the_log(models: dict[str, Any], folder: Path) -> dict[str, tuple[float, float]]:
    """Return rows a second (wall) of whole replays, log to log, and of the same asked for again."""
    found = {}
    table = decisions().slice(0, LOG_ROWS).drop_columns(["position"])
    with servers.embedded(synced=True) as url, create_log(url=url, clock="event") as log:
        history = History(log, size=BATCH)
        log.register_feature_set(FEATURES)
        for batch in table.to_batches(max_chunksize=BATCH):
            history.append("decision", batch, FEATURES.digest)
        stop = log.head().position + 1
        for name in models:
            add_model(log, f"sklearn:{name}.skops", name=name, version="1", folder=folder)
            speeds = []
            for _ in range(2):
                began = time.perf_counter()
                run = run_replay(log, f"{name}:1", decision_point=POINT, start=1, stop=stop, folder=folder)
                speeds.append(LOG_ROWS / (time.perf_counter() - began))
            assert run.scored == LOG_ROWS, run
            found[name] = (speeds[0], speeds[1])
    return found


def main() -> None:
    """Measure, print the table and write it."""
    rows: list[Row] = []
    models = trained()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "decisions.parquet"
        pq.write_table(decisions(), path)
        for kind, model in models.items():
            skops.io.dump(model, folder / f"{kind}.skops")
            opened = open_model(f"sklearn:{kind}.skops", folder=folder)
            tasks = {
                "bound": lambda model=model: bare(path, model, ROWS),
                "blocks": lambda model=model: bare(path, model, BLOCK_ROWS),
                "replay": lambda opened=opened: replayed(path, opened),
            }
            took = interleaved({key: seconds(task) for key, task in tasks.items()}, REPEATS)
            bound, blocks, own = (median(took[key]) for key in ("bound", "blocks", "replay"))
            rows += [
                Row(f"{kind}: replay", ROWS / own, "rows/CPU s", "from Parquet, in canonical blocks"),
                Row(f"{kind}: bare model", ROWS / bound, "rows/CPU s", "one call"),
                at_least(
                    f"{kind}: share of the bound", bound / own, "", 0.9, against="one call of the bare model"
                ),
                at_least(
                    f"{kind}: share in equal calls", blocks / own, "", 0.9, against="bare model, 1,024 a call"
                ),
            ]
        for kind, (first, again) in through_the_log(models, folder).items():
            rows.append(Row(f"{kind}: log to log", first, "rows/s", "read, score, append, read back, digest"))
            rows.append(Row(f"{kind}: asked again", again, "rows/s", "answered from the log"))
    publish("replay", rows)


if __name__ == "__main__":
    main()
