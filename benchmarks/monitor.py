"""A monitor as it is run: registered on two weeks of a log, then one day of a million decisions is judged.

`python -m benchmarks.monitor` takes some two minutes, most of them to fill the log. Each figure is of a
process of its own, from its start to its exit: what the schedule of a service pays, decoding among it.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.results import Row, at_most, publish
from harness.database import create_log
from recorders.columns import decision_schema
from recorders.fields import FeatureSet, Field
from tests.support import servers, worlds
from tests.support.history import POINT, History

FEATURES = FeatureSet(
    "worlds",
    1,
    (
        *(Field(f"n{place}", "float64") for place in range(worlds.NUMBERS)),
        *(Field(f"c{place}", "category") for place in range(len(worlds.LEVELS))),
    ),
)
FIRST, PAST, BATCH, MB_MAX = datetime(2024, 3, 4, tzinfo=UTC), 14, 4_000, 400
MONITOR = f"""
schema = 1
[monitor]
id = "day"
decision_point = "{POINT}"
owner = "bench@example.com"
[reference]
from = "2024-03-04"
to = "2024-03-18"
"""
# The peak is its own: `ru_maxrss` is at least that of the process that started it.
RUN = """
import atexit, sys
from pathlib import Path
from harness.cli.entry import main

def peak():
    lines = Path("/proc/self/status").read_text().splitlines()
    print(next(line.split()[1] for line in lines if line.startswith("VmHWM")), file=sys.stderr)

atexit.register(peak)
main()
"""


def record(history: History, rng: np.random.Generator, day: int, size: int) -> None:
    """Append a day of `size` decisions, spread over it."""
    schema = decision_schema(FEATURES)
    for start in range(0, size, BATCH):
        count = min(BATCH, size - start)
        served = worlds.rows(rng, count, "null", jitter=0.0)
        at = FIRST + timedelta(days=day)
        micros = int(at.timestamp() * 1e6) + (start + np.arange(count)) * (86_000_000_000 // size)
        plain = {
            "decision_id": [f"{day}-{start + place}" for place in range(count)],
            "occurred_at": pa.array(micros, pa.timestamp("us", tz="UTC")),
            "model": ["m"] * count,
            "model_version": ["1"] * count,
            "score": rng.random(count),
            "inclusion": [1.0] * count,
        } | {name: served.column(name).combine_chunks() for name in served.column_names}
        given = [plain.get(field.name, [None] * count) for field in schema]
        arrays = [
            each.cast(field.type) if isinstance(each, pa.Array) else pa.array(each, field.type)
            for each, field in zip(given, schema, strict=True)
        ]
        history.append("decision", pa.RecordBatch.from_arrays(arrays, schema=schema), FEATURES.digest)


def spent(url: str, *words: str) -> tuple[int, float, float]:
    """Return exit code, CPU seconds and largest resident MB of a command."""
    environment = {**os.environ, "HARNESS_DATABASE_URL": url, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile("w+") as said:
        started = subprocess.Popen(
            [sys.executable, "-c", RUN, *words], env=environment, stdout=subprocess.DEVNULL, stderr=said
        )
        _, status, used = os.wait4(started.pid, 0)
        said.seek(0)
        peak = int(said.read().split()[-1])
    return os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, peak / 1024


def state_bytes(url: str, place: Sequence[str]) -> int:
    """Return the bytes of the largest state of a feature in an hour of the judged day."""
    command = [sys.executable, "-c", RUN, "monitor", "hours", "day", "2024-03-18", "--json", *place]
    environment = {**os.environ, "HARNESS_DATABASE_URL": url}
    said = subprocess.run(command, env=environment, check=True, capture_output=True).stdout
    return max(int(each["state_bytes"]) for each in json.loads(said)["hours"])


def measured(a_day: int, past: int, folder: Path) -> Sequence[Row]:
    """Return what registering and running cost with so many decisions in the day, and in each before it."""
    said = f"reference of {PAST} x {past:,} decisions with 30 features"
    with servers.embedded(synced=True) as url:
        with create_log(url=url, clock="event") as log:
            log.register_feature_set(FEATURES)
            history, rng = History(log), np.random.default_rng(3)
            for day in range(PAST):
                record(history, rng, day, past)
            record(history, rng, PAST, a_day)
            record(history, rng, PAST + 1, 1)
        (folder / "monitor.toml").write_text(MONITOR)
        place = ("-C", str(folder))
        code, cpu, peak = spent(url, "monitor", "register", str(folder / "monitor.toml"), *place)
        assert code == 0, "registered"
        rows = [
            Row("register", cpu, "CPU s", said),
            at_most("register, memory", peak, "MB", MB_MAX),
        ]
        past_only = spent(
            url, "monitor", "run", "day", "--dry-run", "--as-of", "2024-03-18T12:00:00Z", *place
        )
        code, cpu, peak = spent(url, "monitor", "run", "day", *place)
        assert code == 0, f"exit code {code}"
        again = spent(url, "monitor", "run", "day", *place)
        largest = state_bytes(url, place)
    return [
        *rows,
        Row("run, no day is over", past_only[1], "CPU s", "start of the process, and nothing to judge"),
        Row(f"run, a day of {a_day:,} x 30", cpu, "CPU s", f"its reference folded from the log: {said}"),
        at_most(f"run, a day of {a_day:,} x 30, memory", peak, "MB", MB_MAX),
        Row("run again, all judged", again[1], "CPU s"),
        at_most("state of a feature and hour, the largest of 31 x 24", largest, "bytes", 8192),
    ]


def main() -> None:
    """Run all and write benchmarks/results/monitor.json."""
    with tempfile.TemporaryDirectory() as name:
        rows = measured(1_000_000, 20_000, Path(name))
    publish(
        "monitor",
        rows,
        notes="Whole processes of `harness monitor`, processor time of all their threads; the database's "
        "is not in it, decoding the log is.",
    )


if __name__ == "__main__":
    main()
