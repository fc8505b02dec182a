"""The same manifest rebuilt: with other threads, parts and writers, and after 100,000 corrections."""

import json
import os
import subprocess
import sys
from datetime import timedelta

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.training.export import export_training_set
from harness.training.folder import TrainingSet
from harness.training.sets import Place, build_training_set
from harness.training.spec import Spec
from replay.digest import canonical_digest
from replay.labels import LabelRule
from replay.splits import Split
from tests.support.history import POINT, History

ROWS, CORRECTIONS = 20_000, 100_000
REBUILD = """
import json, sys
import pyarrow as pa
from pathlib import Path
pa.set_cpu_count(int(sys.argv[3])); pa.set_io_thread_count(int(sys.argv[3]))
from harness.log.log import Log
from harness.training.folder import TrainingSet
from harness.training.sets import Place, build_training_set
from harness.training.spec import spec_of
manifest = TrainingSet.open(sys.argv[2]).manifest
with Log(sys.argv[1]) as log:
    made = build_training_set(
        log, spec_of(manifest["cut"]), as_of=manifest["as_of"]["position"],
        place=Place(Path(sys.argv[4]), rows_per_part=int(sys.argv[5])),
    )
    print(json.dumps([made.id, made.digest, len(made.manifest["parts"])]))
"""


@pytest.fixture
def made(event_log, tmp_path) -> TrainingSet:
    """A set whose every label was corrected five times after it was made."""
    history = History(event_log, size=20_000)
    start, stop = history.decisions(0, ROWS)
    history.outcomes(0, ROWS)
    history.decisions(ROWS + 300, ROWS + 301)
    labels = (LabelRule(name="fraud", window=timedelta(hours=3)),)
    spec = Spec(decision_point=POINT, start=start, stop=stop, labels=labels, split=Split(by="unit", test=0.2))
    found = build_training_set(event_log, spec, place=Place(tmp_path / "made"))
    for number in range(CORRECTIONS // ROWS):
        history.outcomes(0, ROWS, flip=number % 2 == 0, hours=2.5)
    return found


def test_it_has_the_same_digest(event_log, made, tmp_path):
    assert made.manifest["rows"] == ROWS
    assert made.verify(event_log)["holds"]
    parts = []
    for threads, rows_per_part in ((1, 2**18), (4, 3_000)):
        words = [event_log.url, made.folder, threads, tmp_path / f"again-{threads}", rows_per_part]
        done = subprocess.run(
            [sys.executable, "-c", REBUILD, *map(str, words)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
        )
        name, digest, count = json.loads(done.stdout.splitlines()[-1])
        assert (name, digest) == (made.id, made.digest)
        parts.append(count)
    assert parts[0] < parts[1]
    assert export_training_set(event_log, made.id, tmp_path / "out").digest == made.digest


def test_other_writers_give_it_too(made, tmp_path):
    table = made.to_arrow()
    pl.DataFrame(table).write_parquet(tmp_path / "polars.parquet", row_group_size=999)
    duckdb.from_arrow(table).write_parquet(str(tmp_path / "duckdb.parquet"), row_group_size=2_048)
    pq.write_table(table, tmp_path / "arrow.parquet", compression="snappy", use_dictionary=True)
    for name in ("polars", "duckdb", "arrow"):
        found = pq.read_table(tmp_path / f"{name}.parquet")
        times = found.schema.get_field_index("occurred_at")
        column = found.column(times).cast(pa.timestamp("us", "UTC"))
        assert canonical_digest(found.set_column(times, "occurred_at", column)) == made.digest, name
    later = table.set_column(table.schema.get_field_index("items"), "items", pa.array([1] * ROWS))
    assert canonical_digest(later) != made.digest
