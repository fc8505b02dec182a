"""One measurement in a process of its own: `python -m benchmarks.joins TASK ...`, figures as JSON."""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.joins import engines


def join(task: str, folder: Path) -> dict[str, float]:
    """Run one of the engines and write its rows, after the figures are taken."""
    found, figures = measured(lambda: getattr(engines, task)(folder))
    pq.write_table(found, folder / f"out-{task}.parquet")
    return figures | {"rows": found.num_rows}


def from_log(task: str, url: str, store: str, name: str) -> dict[str, float]:
    """Cut, create, verify or extend the set of a log in PostgreSQL and its segments."""
    from benchmarks.joins.sets import TASKS, opened

    with opened(url, Path(store)) as log, tempfile.TemporaryDirectory() as out:
        act = TASKS[task]
        found, figures = measured(lambda: act(log, name, Path(out)))
    return figures | {"rows": found}


def measured(act: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Return what `act` gives, its CPU seconds, and the peak memory of the process."""
    began, wall = time.process_time(), time.perf_counter()
    found = act()
    figures = {"cpu": time.process_time() - began, "wall": time.perf_counter() - wall}
    return found, figures | {"peak_mb": peak_mb()}


def peak_mb() -> float:
    """Return the peak memory of this program; what getrusage says is at least that of who started it."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main(words: list[str]) -> None:
    """Run the task that the words name."""
    import harness.training.sets  # noqa: F401  imports are no part of any figure

    pa.array([0])  # the first conversion imports what pyarrow needs of pandas

    task, *rest = words
    figures = from_log(task, *rest) if len(rest) > 1 else join(task, Path(rest[0]))
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
