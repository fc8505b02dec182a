"""A range measured in parts, on any engine: references of parts travel out, sums come back.

The paired columns of a part wait in a file until it is its turn: their digest is over all of them in order.
"""

import tempfile
import uuid
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import pyarrow as pa

from harness.engines.engine import Engine
from harness.engines.errors import EngineLost
from harness.log.log import Address
from harness.measured_part import MeasuredPart, Question, measure_part
from policies.groups import Grouped
from policies.plan import Plan
from policies.retrain_rule import RetrainRule
from policies.slice_plan import SlicePlan
from replay.digest import canonical_digest

# A part's decisions and scores are held at once: some 300 bytes a position.
POSITIONS_MAX = 2**21
_ROWS = 65_536
_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4")

Range = tuple[int, int]


def cut(start: int, stop: int, parts: int) -> list[Range]:
    """Return [start, stop) in at most `parts` ranges, equal to one position.

    >>> cut(1, 11, 3)
    [(1, 4), (4, 7), (7, 11)]
    """
    parts = max(1, min(parts, stop - start))
    ends = [start + (stop - start) * n // parts for n in range(parts + 1)]
    return list(pairwise(ends))


def undivided(plan: Plan) -> str | None:
    """Return why a plan is measured in one piece, None when it can be in parts."""
    if isinstance(plan.slices, SlicePlan):
        return "its slices are named in the order of all decisions"
    if isinstance(plan.retraining, RetrainRule):
        return "a proof of retraining compares its rivals on the same rows"
    for metric in plan.metrics:
        if isinstance(metric.kind, Grouped):
            return f"{metric.name} needs whole groups"
        if metric.function:
            return f"{metric.function} is called once with all rows"
    return None


def map_parts(
    address: Address, question: Question, parts: Sequence[Range], engine: Engine
) -> tuple[MeasuredPart, str]:
    """Return what all parts say together, and the digest of their paired columns in order.

    The folder of temporary files must be one that this process and the workers share. Memory here: a batch of
    paired columns and the evidence. Disk: the columns of the parts that are done before their turn.

    Raises:
        EngineLost, PartPoisoned: see harness.engines.errors.
    """
    merged: list[MeasuredPart] = []
    with tempfile.TemporaryDirectory(prefix="harness-parts-") as folder:
        done = engine.map(partial(_measured, address, question, folder), parts)

        def columns() -> Iterator[pa.RecordBatch]:
            for index, found in _in_order(done, len(parts)):
                merged[:] = [merged[0].merge(found) if merged else found]
                path = _path(folder, parts[index])
                with pa.memory_map(str(path)) as file:
                    reader = pa.ipc.open_file(file)
                    yield from (reader.get_batch(n) for n in range(reader.num_record_batches))
                path.unlink()

        digest = canonical_digest(columns())
    return merged[0], digest


def _measured(address: Address, question: Question, folder: str, part: Range) -> MeasuredPart:
    """Return what a part says, its columns in their file. Done twice, the same file stands there."""
    with address.open() as log:
        found = measure_part(log, question, *part)
    assert found.columns is not None, "they were just measured"
    paired = found.columns.paired
    path = _path(folder, part)
    own = path.with_suffix(f".{uuid.uuid4().hex}")  # its name alone is by chance
    with pa.ipc.new_file(str(own), paired.schema, options=_COMPRESSED) as writer:
        if paired.num_rows:
            writer.write_table(paired, max_chunksize=_ROWS)
        else:
            writer.write_batch(pa.RecordBatch.from_pylist([], schema=paired.schema))
    own.replace(path)
    return found.without_columns()


def _in_order(done: Iterator[tuple[int, MeasuredPart]], parts: int) -> Iterator[tuple[int, MeasuredPart]]:
    """Yield every part when all before it were yielded."""
    waiting: dict[int, MeasuredPart] = {}
    turn = 0
    for index, found in done:
        waiting[index] = found
        while turn in waiting:
            yield turn, waiting.pop(turn)
            turn += 1
    if turn < parts:
        raise EngineLost([n for n in range(turn, parts) if n not in waiting], parts)


def _path(folder: str, part: Range) -> Path:
    return Path(folder) / f"{part[0]}-{part[1]}.arrow"
