"""A training set of 300,000 decisions x 30 features, against the joins that one writes by hand.

`python -m benchmarks.training` takes under a minute. CPU seconds of all threads, medians of turns.
Like for like: an ASOF join looks up feature values by time; a served log needs no such look-up, since that
work was done once, when the decision was made. The join on ids does the same work as ours.
"""

import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.results import Row, at_least, at_most, interleaved, publish
from harness.database import create_log
from harness.training.rows import cut_rows
from harness.training.spec import Spec
from recorders.columns import OUTCOME_SCHEMA, decision_schema
from recorders.fields import FeatureSet, Field
from replay.digest import canonical_digest
from replay.join import join
from replay.labels import LabelRule
from replay.ranges import AsOf
from tests.support import servers
from tests.support.history import POINT, History

ROWS, ENTITIES, HISTORY = 300_000, 50_000, 1_000_000
REPEATS = 3
NAMES = [f"x{n:02}" for n in range(30)]
FEATURES = FeatureSet(
    "wide", 1, tuple(Field(n, "float64" if i < 20 else "int64") for i, n in enumerate(NAMES))
)
SECOND = 1_000_000
AT = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp()) * SECOND
INSTANT = pa.timestamp("us", tz="UTC")


def features(rng: np.random.Generator, count: int, prefix: str) -> dict[str, np.ndarray]:
    """Return 20 float and 10 whole-number columns."""
    return {
        f"{prefix}{name}": rng.normal(size=count) if i < 20 else rng.integers(0, 1_000, count)
        for i, name in enumerate(NAMES)
    }


def write_inputs(folder: Path) -> None:
    """Write the served log, its outcomes (in another order), and what an ASOF join reads instead."""
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
    times = np.sort(rng.integers(AT - 50_000 * SECOND, at[-1], HISTORY))
    history = {"entity": rng.integers(0, ENTITIES, HISTORY), "valid_from": pa.array(times, INSTANT)}
    pq.write_table(pa.table(history | features(rng, HISTORY, "")), folder / "history.parquet")


def ours(folder: Path) -> pa.Table:
    """Return the training set's rows from the two files: read, join, assemble."""
    decisions, outcomes = (pq.read_table(folder / f"{n}.parquet") for n in ("decisions", "outcomes"))
    place = AsOf(1, 2 * ROWS, datetime.fromtimestamp(AT / SECOND + ROWS + 7_200, UTC), "")
    joined = join(decisions, outcomes, as_of=place, window=timedelta(hours=1), label="late")
    own = ["decision_id", "position", "occurred_at", "label"]
    named = joined.table.select([*own, *(f"f.{name}" for name in NAMES)])
    return named.rename_columns([*own, *NAMES])


def joined_on_id(folder: Path) -> pa.Table:
    """Return the same rows from a join on ids written by hand, latest outcome first reduced."""
    query = """
        with latest as (
            select decision_id, arg_max(value, position) as label, arg_max(occurred_at, position) as happened
            from read_parquet($outcomes) where label = 'late' group by decision_id)
        select d.*, l.label from read_parquet($decisions) d join latest l using (decision_id)
        where l.happened <= d.occurred_at + interval 1 hour order by d.position"""
    return _duck(query, decisions=folder / "decisions.parquet", outcomes=folder / "outcomes.parquet")


def joined_asof(folder: Path) -> pa.Table:
    """Return as many rows with 30 features from an ASOF join over the features' history."""
    query = """
        select s.decision_id, s.occurred_at, s.label, h.* exclude (entity, valid_from)
        from read_parquet($spine) s asof left join read_parquet($history) h
        on s.entity = h.entity and s.occurred_at >= h.valid_from"""
    return _duck(query, spine=folder / "spine.parquet", history=folder / "history.parquet")


def _duck(query: str, **files: Path) -> pa.Table:
    with duckdb.connect() as connection:
        return connection.sql(query, params={k: str(v) for k, v in files.items()}).to_arrow_table()


def cpu(task: Callable[[Path], pa.Table], folder: Path) -> Callable[[], float]:
    """Return a run that answers its CPU seconds; it checks that every row is there."""

    def run() -> float:
        began = time.process_time()
        found = task(folder)
        spent = time.process_time() - began
        assert found.num_rows == ROWS, found.num_rows
        return spent

    return run


def same_rows(folder: Path) -> bool:
    """Return whether ours and the join on ids give the same ids, features and labels."""
    left, right = ours(folder), joined_on_id(folder)
    return all(
        left[name].combine_chunks().equals(right[f"f.{name}"].combine_chunks()) for name in NAMES
    ) and left["label"].combine_chunks().equals(right["label"].combine_chunks())


def from_the_log() -> tuple[float, float]:
    """Return client CPU and wall seconds of the same cut from a log in PostgreSQL."""
    rng = np.random.default_rng(11)
    columns = features(rng, ROWS, "f.")
    with servers.embedded(synced=True) as url, create_log(url=url, clock="event") as log:
        history = History(log, size=4_000)
        log.register_feature_set(FEATURES)
        schema, outcome_schema = decision_schema(FEATURES), OUTCOME_SCHEMA
        for at in range(0, ROWS, 4_000):
            numbers = np.arange(at, at + 4_000)
            plain = {
                "decision_id": [f"d{n:011x}" for n in numbers],
                "occurred_at": pa.array(AT + numbers * SECOND, INSTANT),
                "model": ["m"] * 4_000,
                "model_version": ["1"] * 4_000,
                "inclusion": np.ones(4_000),
            } | {name: values[at : at + 4_000] for name, values in columns.items()}
            arrays = [pa.array(plain.get(f.name, [None] * 4_000), type=f.type) for f in schema]
            history.append("decision", pa.RecordBatch.from_arrays(arrays, schema=schema), FEATURES.digest)
            known = [
                plain["decision_id"],
                ["late"] * 4_000,
                (numbers % 2).astype(float),
                plain["occurred_at"],
            ]
            rows = [pa.array(v, type=f.type) for v, f in zip(known, outcome_schema, strict=True)]
            history.append("outcome", pa.RecordBatch.from_arrays(rows, schema=outcome_schema))
        place = log.as_of(None)
        rule = LabelRule(name="late", window=timedelta(0))
        cut = Spec(decision_point=POINT, start=1, stop=place.position + 1, labels=(rule,))
        began, wall = time.process_time(), time.perf_counter()
        rows_found = cut_rows(log, cut, place).table().num_rows
        spent = time.process_time() - began, time.perf_counter() - wall
        assert rows_found == ROWS, rows_found
    return spent


def main() -> None:
    """Measure, print the table and write it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder)
        tasks = {"ours": ours, "on id": joined_on_id, "asof": joined_asof}
        found = interleaved({key: cpu(task, folder) for key, task in tasks.items()}, REPEATS)
        table = ours(folder)
        began = time.process_time()
        canonical_digest(table)
        digest_s = time.process_time() - began
        same = same_rows(folder)
    own = median(found["ours"])
    log_cpu, log_wall = from_the_log()
    rows: list[Row] = [
        at_most("join and assemble 300k x 30, from Parquet", own, "CPU s", 0.5),
        at_least(
            "less CPU than an ASOF join", median(found["asof"]) / own, "x", 4, against="DuckDB ASOF by hand"
        ),
        Row(
            "less CPU than a join on id",
            median(found["on id"]) / own,
            "x",
            "DuckDB join on id by hand, same rows",
        ),
        Row("same rows as the join on id", float(same), "1 = yes", "DuckDB join on id", ">= 1", same),
        at_most("canonical digest 300k x 30", digest_s, "CPU s", 0.3),
        Row("the same set from the log, client CPU", log_cpu, "CPU s", "decode, check, join"),
        Row("the same set from the log, wall", log_wall, "s"),
    ]
    publish("training", rows, notes="ASOF does more work than the others: see the module's docstring.")


if __name__ == "__main__":
    main()
