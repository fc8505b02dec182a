"""A log with decisions of two points, outcomes and control events, interleaved."""

import itertools
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from harness.config import StorePlace
from harness.database import create_log
from harness.log.log import Log
from tests.support import servers
from tests.support.batches import decisions, outcomes, stored

READS = [("decision", None), ("decision", "fraud"), ("decision", "flights.late"), ("outcome", None)]


def fill(log: Log, steps: int = 6) -> None:
    """Append `steps` times 46 events in 4 batches."""
    writer, sequence = uuid.uuid4(), itertools.count(1)
    for step in range(steps):
        log.append(stored(decisions(30, first=step * 30), writer, next(sequence)))
        log.append(stored(outcomes(10, first=step * 30), writer, next(sequence)))
        log.append(stored(decisions(5, first=step * 5, point="fraud"), writer, next(sequence), point="fraud"))
        log.control("look.taken", "e", {"n": step})


def table(batches: Iterator[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(list(batches))


def reads(log: Log) -> list[pa.Table]:
    """Return all that can be read of a log, in columns."""
    end = log.head().position + 1
    return [table(log.read(1, end, kind=kind, decision_point=point)) for kind, point in READS]


@contextmanager
def small_log(database_url: str, template: str, place: StorePlace | Path) -> Iterator[Log]:
    """Yield an empty log with partitions of 100 positions, whose segments go to `place`."""
    store = place if isinstance(place, StorePlace) else StorePlace(str(place))
    with (
        servers.fresh_database(database_url, template) as url,
        create_log(url=url, clock="event", partition_positions=100) as log,
        Log(url, store=store) as stored_log,
    ):
        assert log.head().position == 0
        yield stored_log
