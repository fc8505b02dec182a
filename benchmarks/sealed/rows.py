"""The rows of benchmarks.log on segments: reads beside pyarrow and Polars, and how a log grows."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import polars as pl
import pyarrow.parquet as pq

from benchmarks.results import Row, at_least, at_most, interleaved
from harness.config import StorePlace
from harness.log.log import Log
from harness.log.predicate import PLACES
from harness.log.seal import seal

REPEATS = 5
FEW = ["position", "score", "f.f00", "f.f14", "f.f22"]
MEMORY_MB = 2_000.0


def reads(url: str, folder: Path) -> Iterator[Row]:
    """Yield what reading one segment costs beside reading its very file with nothing checked."""
    with Log(url, store=StorePlace(str(folder))) as log:
        first = seal(log, events=262_144)[0]
        part = next(one for one in first.parts if one.kind == "decision")
        path = log.sealed.store.url(part.path)

        def ours(columns: list[str] | None) -> int:
            span = (part.first, part.last + 1)
            found = log.read(*span, kind="decision", decision_point=part.decision_point, columns=columns)
            return sum(batch.num_rows for batch in found)

        def arrow(columns: list[str] | None) -> int:
            return int(pq.read_table(path, columns=columns, use_threads=False).num_rows)

        def with_polars(columns: list[str] | None) -> int:
            return pl.read_parquet(path, columns=columns).height

        def alike(columns: list[str] | None) -> int:
            return arrow(None if columns is None else list(dict.fromkeys([*PLACES, *columns])))

        readers = {"the log": ours, "pyarrow": arrow, "pyarrow, our columns": alike, "Polars": with_polars}
        for words, columns in (("all 44 columns", None), ("5 columns", FEW)):
            tasks = {name: _rate(reader, columns, part.rows) for name, reader in readers.items()}
            found = {name: median(rates) for name, rates in interleaved(tasks, REPEATS).items()}
            for name, rate in found.items():
                yield Row(f"sealed, {words}: {name}", rate / 1e6, "M events/CPU s", f"{part.rows:,} rows")
            yield at_least(
                f"sealed, {words}: the log / pyarrow",
                found["the log"] / found["pyarrow"],
                "ratio",
                0.95,
                against="the same file; the log checks every byte",
            )
            yield Row(
                f"sealed, {words}: the log / pyarrow, our columns",
                found["the log"] / found["pyarrow, our columns"],
                "ratio",
                "every read gives position and recorded_at",
            )
            yield Row(f"sealed, {words}: the log / Polars", found["the log"] / found["Polars"], "ratio")


def _rate(
    reader: Callable[[list[str] | None], int], columns: list[str] | None, rows: int
) -> Callable[[], float]:
    def task() -> float:
        began = time.process_time()
        assert reader(columns) == rows
        return rows / (time.process_time() - began)

    return task


def growth(url: str, folder: Path, grow: Callable[[int], None], sizes: Sequence[int]) -> Iterator[Row]:
    """Yield what sealing, reading and asking cost as a log grows; `grow` appends up to a size in millions."""
    for millions in sizes:
        grow(millions)
        for what in ("seal", "read", "one day", "all days"):
            found = one_run(url, folder, what)
            name = f"{millions}M events: {what}"
            yield Row(name, found["wall"], "s", f"{found['events']:,} events, one process")
            yield Row(f"{name}, processor", found["events"] / found["cpu"] / 1e3, "k events/CPU s")
            yield at_most(f"{name}, memory", found["peak"], "MB", MEMORY_MB, against="imports included")
        size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
        with Log(url) as log:
            yield Row(f"{millions}M events: store", size / log.head().position, "bytes/event", "ledger too")


def one_run(url: str, folder: Path, what: str) -> dict[str, Any]:
    """Return what one thing took in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.sealed.one_run", url, str(folder), what]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
