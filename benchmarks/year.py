"""A sealed log of many events, and the training set of a month of it: memory and time.

A month is a twelfth of 50 million events. `EVENTS=50_000_000 make bench-year` writes a year of them: 11 CPU
minutes, 20 GB. With `FOLDER` a log that is there already is measured as it is. Half of the events are
decisions of 30 features, half are their outcomes, an hour later. Each figure is of a process of its own: CPU
seconds of all its threads, and its peak memory.
"""

import json
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.joins.__main__ import measured
from benchmarks.results import Row, at_least, at_most, publish
from benchmarks.training import FEATURES, INSTANT, features
from benchmarks.training import measured as apart
from harness.config import StorePlace
from harness.database import create_log
from harness.embedded import Embedded
from harness.log.log import Log
from harness.log.seal import seal
from harness.training.sets import Place, build_training_set
from harness.training.spec import Spec
from recorders.columns import OUTCOME_SCHEMA, decision_schema
from replay.labels import LabelRule
from tests.support.history import POINT, History

YEAR = 50_000_000
EVENTS = int(os.environ.get("EVENTS", "10_000_000"))
BATCH, POOL, SEALED_EVERY = 4_000, 250, 250
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
MONTH = YEAR // 12
HOUR_US = 3_600 * 10**6
RULES = (LabelRule(name="late", window=timedelta(days=1)),)


def write(log: Log, events: int) -> None:
    """Append so many events of the year, sealed as they come."""
    history = History(log, name="year")
    log.register_feature_set(FEATURES)
    pool = [features(np.random.default_rng(n), BATCH, "f.") for n in range(POOL)]
    step = int(timedelta(days=365) / timedelta(microseconds=1)) // (YEAR // 2)
    for number in range(events // 2 // BATCH):
        decisions, outcomes = batches(number, step, pool[number % POOL])
        history.append("decision", decisions, FEATURES.digest)
        history.append("outcome", outcomes)
        if number % SEALED_EVERY == SEALED_EVERY - 1:
            seal(log)
    seal(log)


def batches(number: int, step: int, values: dict[str, np.ndarray]) -> tuple[pa.RecordBatch, pa.RecordBatch]:
    """Return the decisions of one batch and their outcomes."""
    names = [f"d{n:015x}" for n in range(number * BATCH, (number + 1) * BATCH)]
    at = int(BEGIN.timestamp()) * 10**6 + np.arange(number * BATCH, (number + 1) * BATCH) * step
    plain = {
        "decision_id": names,
        "occurred_at": pa.array(at, INSTANT),
        "model": ["m"] * BATCH,
        "model_version": ["1"] * BATCH,
        "inclusion": np.ones(BATCH),
    } | values
    schema = decision_schema(FEATURES)
    arrays = [pa.array(plain.get(f.name, [None] * BATCH), type=f.type) for f in schema]
    known = [names, ["late"] * BATCH, (values["f.x20"] % 2).astype(float), pa.array(at + HOUR_US, INSTANT)]
    told = [pa.array(v, type=f.type) for v, f in zip(known, OUTCOME_SCHEMA, strict=True)]
    return (
        pa.RecordBatch.from_arrays(arrays, schema=schema),
        pa.RecordBatch.from_arrays(told, schema=OUTCOME_SCHEMA),
    )


def month(url: str, store: str, start: int, stop: int) -> dict[str, float]:
    """Return the figures of the training set of a range, as known at the end of the log, with its files."""
    with Log(url, store=StorePlace(store)) as log, tempfile.TemporaryDirectory(dir=Path.cwd()) as out:
        spec = Spec(decision_point=POINT, start=start, stop=stop, labels=RULES)
        made, figures = measured(lambda: build_training_set(log, spec, place=Place(Path(out) / "set")))
        return figures | {"rows": made.manifest["rows"]}


def year(folder: Path) -> list[Row]:
    """Return the rows of the table, from a log in `folder` that is written when it is not there."""
    written = folder / "written"
    (folder / "segments").mkdir(parents=True, exist_ok=True)
    server, store = Embedded(folder / ".harness"), (folder / "segments").as_uri()
    try:
        if not written.exists():
            create_log(url=server.url, clock="event").close()
            with Log(server.url, store=StorePlace(store)) as log:
                write(log, EVENTS)
            written.touch()
        with Log(server.url, store=StorePlace(store)) as log:
            events = log.sealed.stop() - 1
        rows = [at_least("events in the log", events, "events", YEAR)]
        for name, start in (("first", 1), ("middle", (events - MONTH) // 2), ("last", events - MONTH)):
            words = ("month", server.url, store, start, start + MONTH)
            found = apart("-m", "benchmarks.year", *words)
            rows += [
                at_most(f"set of the {name} month, peak memory", found["peak_mb"], "MB", 2_048),
                Row(f"set of the {name} month, rows", found["rows"], "rows"),
                Row(f"set of the {name} month, CPU", found["cpu"], "CPU s"),
            ]
        return rows
    finally:
        server.close()


def main(words: list[str]) -> None:
    """Measure, print the table and write it; or one month alone."""
    if words[:1] == ["month"]:
        print(json.dumps(month(words[1], words[2], int(words[3]), int(words[4]))))
        return
    with tempfile.TemporaryDirectory() as name:
        rows = year(Path(os.environ.get("FOLDER", name)))
    publish(
        "year",
        rows,
        notes="30 features; a month is 4.2 million events, and all outcomes of the log are read.",
    )


if __name__ == "__main__":
    main(sys.argv[1:])
