"""One piece of work whose threads are late, then the end: `late_threads WHAT FOLDER`, behind late_threads.c.

Writes how many threads are held: by then each has handed over its result.
"""

import atexit
import ctypes
import sys

LIBRARY = ctypes.PyDLL(None)
if __name__ == "__main__":
    # First in, last out: no byte code runs after it, so that the interpreter's lock is not let go before.
    atexit.register(LIBRARY.end_is_near)

from collections.abc import Iterator  # noqa: E402 - after what must be first
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

import numpy as np  # noqa: E402
import pyarrow as pa  # noqa: E402
import pyarrow.compute as pc  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

from harness.log.part_reader import PartReader  # noqa: E402
from harness.log.part_writer import PartWriter  # noqa: E402
from harness.log.predicate import Wanted  # noqa: E402
from harness.log.segments import Part  # noqa: E402
from harness.log.store import Store  # noqa: E402
from harness.sql.columns import plain  # noqa: E402
from harness.sql.relation import Relation  # noqa: E402
from policies.drift.fold import fold_window  # noqa: E402
from policies.drift.plan import FeaturePlan, MonitorPlan  # noqa: E402

ROWS = 300_000  # more than a thread is done with before the main thread waits for it


def numbers() -> pa.RecordBatch:
    """Return rows whose memory is numpy's."""
    drawn = np.random.default_rng(1).normal(size=(3, ROWS))
    return pa.record_batch({"position": np.arange(1, ROWS + 1)} | dict(zip("abc", drawn, strict=True)))


def of_python(values: list[str]) -> pa.Array:
    """Return texts whose memory is Python's."""
    array = pa.array(values)
    held = [None if one is None else pa.py_buffer(one.to_pybytes()) for one in array.buffers()]
    return pa.Array.from_buffers(array.type, len(array), held)


def library(_folder: Path) -> None:
    """Read Parquet from memory of Python's, as nothing here does."""
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(numbers()), sink)
    held = pa.py_buffer(sink.getvalue().to_pybytes())
    pq.ParquetFile(pa.BufferReader(held), pre_buffer=False).read_row_group(0)


def segment(folder: Path, *, local: bool = True) -> None:
    """Read a part of a segment."""
    store = Store(str(folder))
    store.local = local
    writer = PartWriter(folder / "part", numbers().schema)
    writer.add(numbers())
    written = writer.close()
    facts = {name: getattr(written, name) for name in Part.__struct_fields__ if hasattr(written, name)}
    named = {"kind": "decision", "decision_point": "p", "schema_digest": "", "event_root": ""}
    part = Part(**(facts | named | {"path": "part"}))
    reader = PartReader(store, part)
    assert sum(batch.num_rows for batch in reader.batches(1, ROWS + 1, Wanted("decision"))) == ROWS


def fetched(folder: Path) -> None:
    """Read it from a store that is not on this machine's disk."""
    segment(folder, local=False)


def condition(_folder: Path) -> None:
    """Answer a query's scan that has a condition."""

    def scan(_columns: Any, _pruner: Any) -> Iterator[pa.RecordBatch]:
        yield numbers()

    stream = Relation(plain(numbers().schema), scan).scanner(filter=pc.field("a") > 0)
    assert stream.to_reader().read_all().num_rows


def statuses(_folder: Path) -> None:
    """Fold decisions whose fields have statuses."""
    pairs = pa.StructArray.from_arrays(
        [of_python(["x"] * ROWS), of_python(["null"] * ROWS)], ["field", "status"]
    )
    lists = pa.ListArray.from_arrays(np.arange(ROWS + 1, dtype=np.int32), pairs)
    plan = MonitorPlan(features=(FeaturePlan(name="x", type="float64"),))
    fold_window(pa.table({"f.x": np.zeros(ROWS), "statuses": lists}), plan)


if __name__ == "__main__":
    pa.set_cpu_count(16)  # a thread that is held is none that others can wait for
    globals()[sys.argv[1]](Path(sys.argv[2]))
    sys.stdout.write(f"{LIBRARY.threads_held()}\n")
    sys.stdout.flush()  # what the end flushes lets the lock go
