"""One thing done to a log by a process of its own: `python -m benchmarks.sealed.one_run URL FOLDER WHAT`.

Writes its wall time, processor time and peak memory as JSON; what it imports counts for memory alone.
"""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.scale import peak_mb
from harness.config import StorePlace
from harness.log.log import Log
from harness.log.seal import seal
from harness.sql import query as _imported

assert _imported, "SQL is imported before the clock starts"
ONE_DAY = "select count(*) n, avg(score) from decisions where position >= {first} and position < {stop}"
ALL_DAYS = 'select "f.f22" c, count(*) n, avg(score), avg("f.f00") from decisions group by all order by n'


def sealed(log: Log) -> int:
    """Seal all there is, and return how many events that were."""
    return sum(segment.events for segment in seal(log))


def read(log: Log) -> int:
    """Read every column of every decision, and return how many there are."""
    return sum(batch.num_rows for batch in log.read(1, log.head().position + 1, kind="decision"))


def one_day(log: Log) -> int:
    """Ask about one day of a year, by position: recording is even here."""
    head = log.head().position
    text = ONE_DAY.format(first=head // 2, stop=head // 2 + head // 365)
    return int(log.sql(text).to_arrow()["n"][0].as_py())


def all_days(log: Log) -> int:
    """Group all decisions by a category."""
    return sum(log.sql(ALL_DAYS).to_arrow()["n"].to_pylist())


WHAT: dict[str, Callable[[Log], int]] = {
    "seal": sealed,
    "read": read,
    "one day": one_day,
    "all days": all_days,
}


def main(url: str, folder: str, what: str) -> None:
    """Do it once and write what it took."""
    with Log(url, store=StorePlace(str(Path(folder)))) as log:
        log.head()
        began, spent = time.perf_counter(), time.process_time()
        events = WHAT[what](log)
        took = {"events": events, "wall": time.perf_counter() - began, "cpu": time.process_time() - spent}
    print(json.dumps(took | {"peak": peak_mb("self")}))


if __name__ == "__main__":
    main(*sys.argv[1:])
