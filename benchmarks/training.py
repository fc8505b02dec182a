"""A training set of 300,000 decisions x 30 features, against feature stores and the joins one writes by hand.

`python -m benchmarks.training` takes some minutes. Each figure is of a process of its own: CPU seconds of all
its threads, and its peak memory. Medians of turns; Feast, which takes longest, has one. Like for like: an
as-of join looks up feature values by time; a served log needs no such look-up, since that work was done once,
when the decision was made. `by keys, then gather` does the same work as the others. What is cut from a log
has its memory as the command `harness` has it (docs/adr/0091), all else as its libraries do.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.joins import sets
from benchmarks.joins.engines import NAMES
from benchmarks.results import Row, at_least, at_most, interleaved, publish
from harness.cli.entry import ALLOCATOR
from harness.config import StorePlace
from harness.database import create_log
from harness.log.log import Log
from harness.log.seal import seal
from harness.training.sets import Place, build_training_set
from recorders.columns import OUTCOME_SCHEMA, decision_schema
from recorders.fields import FeatureSet, Field
from tests.support import servers
from tests.support.history import POINT, History

ROWS, ENTITIES, HISTORY = 300_000, 50_000, 1_000_000
LARGER = {"1M": 1_000_000, "3M": 3_000_000}
REPEATS = 3
FEATURES = FeatureSet(
    "wide", 1, tuple(Field(n, "float64" if i < 20 else "int64") for i, n in enumerate(NAMES))
)
SECOND = 1_000_000
AT = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * SECOND
INSTANT = pa.timestamp("us", tz="UTC")
ENGINES = ("asof_duckdb", "asof_polars", "asof_pandas", "asof_ours", "served_on_id")
PEERS = Path(__file__).parents[1] / ".venv-bench" / "bin" / "python"


def features(rng: np.random.Generator, count: int, prefix: str) -> dict[str, np.ndarray]:
    """Return 20 float and 10 whole-number columns."""
    return {
        f"{prefix}{name}": rng.normal(size=count) if i < 20 else rng.integers(0, 1_000, count)
        for i, name in enumerate(NAMES)
    }


def write_inputs(folder: Path) -> None:
    """Write the served log, its outcomes (in another order), and what an as-of join reads instead."""
    rng = np.random.default_rng(11)
    names = np.array([f"d{n:011x}" for n in range(ROWS)])
    at = AT + np.arange(ROWS, dtype=np.int64) * SECOND
    served = {"position": np.arange(1, ROWS + 1), "decision_id": names, "occurred_at": pa.array(at, INSTANT)}
    pq.write_table(pa.table(served | features(rng, ROWS, "f.")), folder / "decisions.parquet")
    order = rng.permutation(ROWS)
    outcomes = {
        "position": np.arange(ROWS + 1, 2 * ROWS + 1),
        "decision_id": names[order],
        "label": ["late"] * ROWS,
        "value": rng.integers(0, 2, ROWS).astype(float),
        "occurred_at": pa.array(at[order] + 60 * SECOND, INSTANT),
    }
    pq.write_table(pa.table(outcomes), folder / "outcomes.parquet")
    spine = {
        "decision_id": names,
        "entity": rng.integers(0, ENTITIES, ROWS),
        "occurred_at": pa.array(at, INSTANT),
        "label": outcomes["value"],
    }
    pq.write_table(pa.table(spine), folder / "spine.parquet")
    # Each instant once, so that no engine has a tie to break.
    times = np.sort(rng.choice(np.arange(AT // SECOND - 1_500_000, at[-1] // SECOND), HISTORY, replace=False))
    history = {"entity": rng.integers(0, ENTITIES, HISTORY), "valid_from": pa.array(times * SECOND, INSTANT)}
    pq.write_table(pa.table(history | features(rng, HISTORY, "")), folder / "history.parquet")


def measured(
    *words: object, python: Path | str = sys.executable, env: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the figures that a process of its own prints last."""
    done = subprocess.run([python, *map(str, words)], capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        raise RuntimeError(done.stderr)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def as_a_command(task: str, *words: object) -> dict[str, Any]:
    """Return the figures of a task over the log, whose process allocates as `harness` does."""
    return measured("-m", "benchmarks.joins", task, *words, env={**ALLOCATOR, **os.environ})


def in_turns(tasks: dict[str, Callable[[], dict[str, Any]]]) -> dict[str, dict[str, float]]:
    """Return each task's median CPU seconds and its highest peak, from interleaved turns."""
    peaks: dict[str, float] = {}
    counts: dict[str, float] = {}

    def turn(name: str) -> Callable[[], float]:
        def run() -> float:
            found = tasks[name]()
            peaks[name] = max(peaks.get(name, 0.0), found["peak_mb"])
            counts[name] = found["rows"]
            return float(found["cpu"])

        return run

    times = interleaved({name: turn(name) for name in tasks}, REPEATS)
    return {n: {"cpu": median(times[n]), "peak_mb": peaks[n], "rows": counts[n]} for n in tasks}


def cells_that_differ(folder: Path, one: str, other: str) -> int:
    """Return in how many of the 9 million cells two results differ; rows are matched by their id."""
    left, right = (
        pq.read_table(folder / f"out-{name}.parquet").sort_by("decision_id") for name in (one, other)
    )
    if right.num_rows < left.num_rows:
        left = left.filter(pc.is_in(left["decision_id"], value_set=right["decision_id"].combine_chunks()))
    found = 0
    for name in NAMES:
        a, b = (side[name].cast(pa.float64()).fill_null(np.nan).to_numpy() for side in (left, right))
        found += int(np.count_nonzero(~((a == b) | (np.isnan(a) & np.isnan(b)))))
    return found


def fill(log: Log, first: int, rows: int) -> None:
    """Append decisions numbered from `first` on and their outcomes, in batches of 4,000."""
    history = History(log, name=f"bench-{first}")
    log.register_feature_set(FEATURES)
    schema = decision_schema(FEATURES)
    values = features(np.random.default_rng(first + 11), rows, "f.")
    for at in range(0, rows, 4_000):
        numbers = np.arange(first + at, first + min(at + 4_000, rows))
        count = numbers.size
        plain = {
            "decision_id": [f"d{n:011x}" for n in numbers],
            "occurred_at": pa.array(AT + numbers * SECOND, INSTANT),
            "model": ["m"] * count,
            "model_version": ["1"] * count,
            "inclusion": np.ones(count),
        } | {name: column[at : at + count] for name, column in values.items()}
        arrays = [pa.array(plain.get(f.name, [None] * count), type=f.type) for f in schema]
        history.append("decision", pa.RecordBatch.from_arrays(arrays, schema=schema), FEATURES.digest)
        known = [plain["decision_id"], ["late"] * count, (numbers % 2).astype(float), plain["occurred_at"]]
        outcome = [pa.array(v, type=f.type) for v, f in zip(known, OUTCOME_SCHEMA, strict=True)]
        history.append("outcome", pa.RecordBatch.from_arrays(outcome, schema=OUTCOME_SCHEMA))


def from_the_log(folder: Path, rows: int, tasks: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return the figures of the set from a log whose range is sealed, and of 1% more."""
    store = folder / "segments"
    store.mkdir(parents=True)
    with servers.embedded(synced=True) as url:
        create_log(url=url, clock="event").close()
        with Log(url, store=StorePlace(store.as_uri())) as log:
            for at in range(0, rows, ROWS):
                fill(log, at, min(ROWS, rows - at))
            fill(log, rows + 4_000, 1)  # the log's time passes the window of all others
            seal(log)
            stop = log.head().position + 1
            made = build_training_set(log, sets.spec(POINT, stop), place=Place(folder / "made"))
            found = in_turns(
                {task: lambda task=task: as_a_command(task, url, store, made.id) for task in tasks}
            )
            fill(log, rows + 4_001, rows // 100)
            fill(log, rows + rows // 100 + 9_000, 1)
            seal(log)
            return found | in_turns({"extend": lambda: as_a_command("extend", url, store, made.folder)})


def feast(folder: Path) -> dict[str, dict[str, float]]:
    """Return the figures of Feast's two local stores."""
    script = Path(__file__).parent / "joins" / "feast_stores.py"
    return {
        kind: measured(script, kind, folder, folder / f"out-feast_{kind}.parquet", python=PEERS)
        for kind in ("duckdb", "file")
    }


def main() -> None:
    """Measure, print the table and write it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder)
        found = in_turns(
            {engine: lambda e=engine: measured("-m", "benchmarks.joins", e, folder) for engine in ENGINES}
        )
        stores = feast(folder)
        log = from_the_log(folder / "log", ROWS, ("rows", "stream", "create", "verify"))
        larger = {name: from_the_log(folder / name, rows, ("create",)) for name, rows in LARGER.items()}
        others = ("asof_duckdb", "asof_polars", "asof_pandas", "feast_duckdb", "feast_file")
        differ = {other: cells_that_differ(folder, "asof_ours", other) for other in others}
    publish(
        "training",
        rows_of(found, stores, log, differ) + longer(larger),
        notes="Like for like: see the docstring.",
    )


def rows_of(
    found: dict[str, dict[str, float]],
    stores: dict[str, dict[str, float]],
    log: dict[str, dict[str, float]],
    differ: dict[str, int],
) -> list[Row]:
    """Return the table."""
    own, by_hand, ours = log["rows"]["cpu"], found["asof_duckdb"]["cpu"], found["asof_ours"]
    longer, by_feast = log["extend"]["cpu"] / log["create"]["cpu"], stores["duckdb"]["cpu"] / own
    rows = [
        at_most("set 300k x 30 from sealed segments", own, "CPU s", 0.5),
        at_most("peak memory of it, all rows in memory", log["rows"]["peak_mb"], "MB", 400),
        Row("peak memory of it, streamed", log["stream"]["peak_mb"], "MB"),
        Row("the same set with its files written", log["create"]["cpu"], "CPU s"),
        at_most("verify 300k rows", log["verify"]["cpu"], "CPU s", 1.0),
        at_most("extend by 1%", longer, "x", 0.03, against="a full build"),
        at_least("less CPU than Feast, duckdb store", by_feast, "x", 20, against="Feast"),
        at_least("less CPU than an as-of join", by_hand / own, "x", 4, against="DuckDB ASOF by hand"),
        Row("less CPU than Feast, file store", stores["file"]["cpu"] / own, "x", "Feast"),
        Row("less CPU than a join on id", found["served_on_id"]["cpu"] / own, "x", "DuckDB, from Parquet"),
        at_most("by keys, then gather", ours["cpu"] / by_hand, "x CPU", 0.7, against="DuckDB ASOF by hand"),
        at_most("peak memory of keys, then gather", ours["peak_mb"], "MB", 510),
    ]
    for name, label in (("asof_duckdb", "DuckDB ASOF"), ("asof_polars", "Polars"), ("asof_pandas", "pandas")):
        rows += [
            Row(f"{label}, CPU", found[name]["cpu"], "CPU s"),
            Row(f"{label}, peak memory", found[name]["peak_mb"], "MB"),
            at_most(f"cells unlike {label}", differ[name], "of 9M", 0, against="by keys, then gather"),
        ]
    for kind in ("duckdb", "file"):
        rows += [
            Row(f"Feast {kind} store, CPU", stores[kind]["cpu"], "CPU s"),
            Row(f"Feast {kind} store, peak memory", stores[kind]["peak_mb"], "MB"),
            Row(f"Feast {kind} store, rows lost", ROWS - stores[kind]["rows"], "of 300k"),
            at_most(
                f"cells unlike Feast {kind}", differ[f"feast_{kind}"], "of 9M", 0, against="rows it kept"
            ),
        ]
    return rows


def longer(larger: dict[str, dict[str, dict[str, float]]]) -> list[Row]:
    """Return what 1% more costs where there are more rows: most of it is the same for any number of them."""
    return [
        row
        for name, figures in larger.items()
        for row in (
            Row(
                f"extend by 1%, {name} rows",
                figures["extend"]["cpu"] / figures["create"]["cpu"],
                "x",
                "a full build",
            ),
            Row(f"extend by 1%, {name} rows, CPU", figures["extend"]["cpu"], "CPU s"),
        )
    ]


if __name__ == "__main__":
    main()
