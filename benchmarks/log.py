"""The log against what it must be measured by: a bare COPY of the same rows, and the same rows in Parquet.

`python -m benchmarks.log` takes some minutes. Thirty mixed features a decision, as in production. `python -m
benchmarks.log 1 10` makes a log grow to so many million events instead of to one.
"""

import hashlib
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence, Sized
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.results import Row, at_least, at_most, interleaved, publish
from benchmarks.row_layouts import copied, copy, copy_batches, documents, opaque, tuples, typed
from benchmarks.sealed.rows import growth, reads
from harness.database import create_log
from harness.log.log import Log
from recorders.append import Appender, Batch
from recorders.columns import OUTCOME_SCHEMA, decision_schema, encode_batch
from recorders.fields import FeatureSet, Field
from tests.support import servers

EVENTS = 96_000
DOCUMENTS = "decision_id text primary key, event jsonb"
REPEATS = 3
READ_REPEATS = 5
TYPES = ["float64"] * 14 + ["int64"] * 8 + ["category"] * 5 + ["string"] * 3
FEATURES = FeatureSet("bench", 1, tuple(Field(f"f{n:02}", type_) for n, type_ in enumerate(TYPES)))
AT = int(datetime(2013, 2, 1, tzinfo=UTC).timestamp() * 1e6)


def source(count: int) -> pa.RecordBatch:
    """Return decisions with 30 mixed features: rounded floats, counts, categories, strings, some nulls."""
    rng = np.random.default_rng(7)
    columns: dict[str, Any] = {
        "decision_id": [f"{n:012x}" for n in range(count)],
        "occurred_at": pa.array(AT + np.arange(count) * 250_000).cast(pa.timestamp("us", tz="UTC")),
        "unit": [f"u{n}" for n in rng.integers(0, 20_000, count)],
        "model": ["champion"] * count,
        "model_version": ["7"] * count,
        "score": np.round(rng.random(count), 6),
        "decision": np.where(rng.random(count) < 0.2, "refuse", "accept"),
        "propensity": pa.nulls(count, pa.float64()),
        "inclusion": np.ones(count),
        "latency_us": rng.integers(300, 5_000, count),
        "trace_id": pa.nulls(count, pa.string()),
        "statuses": pa.nulls(count),
    }
    for field in FEATURES.fields:
        columns[f"f.{field.name}"] = feature(field.type, count, rng)
    schema = decision_schema(FEATURES)
    arrays = [pa.array(columns[name]).cast(schema.field(name).type) for name in schema.names]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def feature(type_: str, count: int, rng: np.random.Generator) -> Any:
    """Return one column of that type; a tenth of the floats is missing."""
    if type_ == "float64":
        return pa.array(np.round(rng.gamma(2.0, 50.0, count), 2), mask=rng.random(count) < 0.1)
    if type_ == "int64":
        return rng.poisson(30, count)
    if type_ == "category":
        return np.array(["alpha", "beta", "gamma", "delta"])[rng.integers(0, 4, count)]
    return [f"item-{n}" for n in rng.integers(0, 5_000, count)]


def cut(whole: pa.RecordBatch, size: int) -> list[tuple[int, bytes, str]]:
    """Return (events, payload, digest) of batches of `size`, as a shipper hands them over."""
    payloads = [encode_batch(whole.slice(at, size)) for at in range(0, whole.num_rows, size)]
    return [(size, payload, hashlib.sha256(payload).hexdigest()) for payload in payloads]


def append(url: str, batches: list[tuple[int, bytes, str]], writers: int) -> float:
    """Return the events per second of appending the batches, split over writers, each committed durably."""
    parts = [batches[index::writers] for index in range(writers)]
    ready = threading.Barrier(writers + 1)
    threads = [threading.Thread(target=ship, args=(url, part, ready)) for part in parts]
    for thread in threads:
        thread.start()
    ready.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return EVENTS / (time.perf_counter() - began)


def ship(url: str, part: list[tuple[int, bytes, str]], ready: threading.Barrier) -> None:
    """Append one writer's batches on a connection that is open already."""
    writer, at = uuid.uuid4(), datetime(2013, 2, 1, tzinfo=UTC)
    given = [
        Batch("decision", "bench", FEATURES.digest, writer, sequence, events, at, at, payload, digest)
        for sequence, (events, payload, digest) in enumerate(part, start=1)
    ]
    appender = Appender(url)
    appender.append(warm())
    ready.wait()
    for batch in given:
        appender.append(batch)
    appender.close()


def warm() -> Batch:
    """Return a small batch of another decision point: a connection's first statement plans the others."""
    at = datetime(2013, 2, 1, tzinfo=UTC)
    row = {"decision_id": "d", "label": "warm", "value": 1.0, "occurred_at": at}
    payload = encode_batch(pa.RecordBatch.from_pylist([row], schema=OUTCOME_SCHEMA))
    digest = hashlib.sha256(payload).hexdigest()
    return Batch("outcome", "warm", "00" * 32, uuid.uuid4(), 1, 1, at, at, payload, digest)


def appended(url: str, whole: pa.RecordBatch, text: list[bytes]) -> Iterator[Row]:
    """Yield the rows of the appending side."""
    binary, json = opaque(text), documents(whole)
    batches = {size: cut(whole, size) for size in (1_000, 4_000)}
    tasks = {
        "copy typed": lambda: copy(url, typed(whole), text, EVENTS),
        "copy opaque": lambda: copied(url, binary, EVENTS),
        "rows": lambda: copy_batches(url, typed(whole, "decision_id"), text, EVENTS, 4_000),
        "documents": lambda: copy_batches(url, DOCUMENTS, json, EVENTS, 4_000),
        **{
            f"append {size} x {writers}": lambda size=size, writers=writers: append(
                url, batches[size], writers
            )
            for size in batches
            for writers in (1, 4)
        },
    }
    found = {name: median(rates) for name, rates in interleaved(tasks, REPEATS).items()}
    yield Row("bare COPY, 41 typed columns, unlogged", found["copy typed"], "events/s")
    yield Row("bare COPY, one opaque bytea a row, unlogged", found["copy opaque"], "events/s")
    for size in batches:
        for writers in (1, 4):
            rate = found[f"append {size} x {writers}"]
            name = f"append, batches of {size:,}, {writers} writer{'s' if writers > 1 else ''}"
            yield Row(name, rate, "events/s", "durable, one commit a batch")
    best = found["append 4000 x 1"]
    yield at_least(
        "append 4,000 / bare typed COPY", best / found["copy typed"], "ratio", 0.8, against="same rows"
    )
    yield Row(
        "append 4,000 / bare opaque COPY",
        best / found["copy opaque"],
        "ratio",
        "same rows, one column of bytes each",
    )
    yield Row(
        "append 1,000 / bare typed COPY", found["append 1000 x 1"] / found["copy typed"], "ratio", "same rows"
    )
    for layout, what in (("rows", "41 typed columns"), ("documents", "a JSON document")):
        yield Row(
            f"a row an event, unique id, {what}",
            found[layout],
            "events/s",
            "durable, 4,000 a commit, by COPY",
        )
        yield Row(
            f"append 4,000 / {what} a row", best / found[layout], "ratio", "both durable and idempotent"
        )


def read(log: Log, whole: pa.RecordBatch, folder: Path) -> Iterator[Row]:
    """Yield the rows of the reading side: batches of 4,000 from the log against one Parquet file."""
    start = log.head().position + 1
    append(log.url, cut(whole, 4_000), 1)
    stop = log.head().position + 1
    path = folder / "same.parquet"
    pq.write_table(pa.Table.from_batches([whole]), path, compression="zstd")

    def hot(columns: list[str] | None = None) -> float:
        began = time.perf_counter()
        batches = list(log.read(start, stop, kind="decision", decision_point="bench", columns=columns))
        elapsed = time.perf_counter() - began
        assert sum(batch.num_rows for batch in batches) == EVENTS
        return EVENTS / elapsed

    def timed(reader: Callable[[], Sized]) -> float:
        began = time.perf_counter()
        rows = reader()
        elapsed = time.perf_counter() - began
        assert len(rows) == EVENTS
        return EVENTS / elapsed

    tasks = {
        "log": hot,
        "parquet": lambda: timed(lambda: pq.read_table(path, use_threads=False)),
        "Polars": lambda: timed(lambda: pl.read_parquet(path)),
        "pandas": lambda: timed(lambda: pd.read_parquet(path)),
    }
    found = {name: median(rates) for name, rates in interleaved(tasks, READ_REPEATS).items()}
    yield Row("read from Parquet (zstd), one thread", found["parquet"], "events/s")
    yield Row("read from the log, digests checked", found["log"], "events/s")
    yield at_least("read hot / Parquet", found["log"] / found["parquet"], "ratio", 0.5, against="same rows")
    for peer, threads in (("Polars", "all threads"), ("pandas", "pyarrow's threads")):
        yield Row(f"read from Parquet by {peer}", found[peer], "events/s", threads)
        yield Row(f"read hot / {peer}", found["log"] / found[peer], "ratio", "same rows")
    began = time.perf_counter()
    checked = log.verify(start, stop)
    assert checked.holds
    yield Row("verify the chain", checked.events / (time.perf_counter() - began), "events/s")


def stored(log: Log, whole: pa.RecordBatch) -> Iterator[Row]:
    """Yield what an event takes, by batch size: table, indexes and out-of-line payloads."""
    for size in (1_000, 4_000):
        before = log.rows("stored_bytes")[0][0]
        append(log.url, cut(whole, size), 1)
        each = (log.rows("stored_bytes")[0][0] - before) / EVENTS
        yield at_most(
            f"stored, batches of {size:,}", each, "bytes/event", 200.0, against="30 features, all on disk"
        )
    yield Row("the same rows in Arrow memory", whole.nbytes / EVENTS, "bytes/event")


def grown(log: Log, batches: list[tuple[int, bytes, str]], millions: int) -> None:
    """Append the same batches until the log has so many million events."""
    while log.head().position < millions * 1_000_000:
        append(log.url, batches, 1)


def main(sizes: Sequence[int] = (1,)) -> None:
    """Run everything on a fresh embedded server and publish it."""
    whole = source(EVENTS)
    text = tuples(whole)
    with (
        tempfile.TemporaryDirectory() as folder,
        servers.embedded(synced=True) as url,
        create_log(url=url) as log,
    ):
        rows = [*appended(url, whole, text), *stored(log, whole), *read(log, whole, Path(folder))]
        rows += reads(url, Path(folder) / "read")
        with servers.fresh_database(url) as other, create_log(url=other) as growing:
            batches = cut(whole, 4_000)
            rows += growth(other, Path(folder) / "grown", partial(grown, growing, batches), sizes)
        with psycopg.connect(url) as connection:
            (server,) = connection.execute("show server_version").fetchone() or ("",)
    publish(
        "log",
        rows,
        notes=f"{EVENTS:,} events a run, medians of interleaved runs.",
        versions={"postgresql": server},
    )


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [1])
