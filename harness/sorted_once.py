"""What all parts of a look ask for, read and sorted once: outcomes of its label, ids of its decisions.

They lie in files that the one who asks and its workers share, and are mapped into memory (docs/adr/0085).
"""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from harness.engines.engine import Engine
from harness.engines.errors import EngineLost
from harness.engines.shared import check_shared
from harness.log.log import Address, Log
from harness.measured_columns import earlier_ids, outcome_tables
from harness.measured_part import Question
from replay.columns import INSTANT, instants, int64
from replay.id_index import IdIndex
from replay.join import OneLabel, one_label
from replay.key_order import ByKey

Range = tuple[int, int]

IDS, OUTCOMES = "ids", "outcomes"
_NAMES = pa.schema([("decision_id", pa.large_string()), ("row", pa.int32()), ("key", pa.uint64())])
_SCHEMAS = {
    IDS: _NAMES,
    OUTCOMES: pa.schema(
        [*_NAMES, ("position", pa.int64()), ("occurred_at", INSTANT), ("value", pa.float64())]
    ),
}
# So many outcomes are sorted together; whoever looks something up in them does it so many at a time.
_TOGETHER = 2**20


class Share(NamedTuple):
    """What is read and sorted at once: the ids of one part, and the outcomes of a range of positions."""

    part: Range | None
    outcomes: Range | None

    def __repr__(self) -> str:
        return f"the ids of {self.part} and outcomes of {self.outcomes}"


class SortedOnce(NamedTuple):
    """Where it lies. `outcomes` are ranges of positions, each with how many there had another label."""

    folder: str
    parts: tuple[Range, ...]
    outcomes: tuple[tuple[Range, int], ...]

    def outcomes_of_label(self) -> Iterator[OneLabel]:
        """Yield the outcomes of the label, some at a time, in the order of the log."""
        for places, others in self.outcomes:
            left = others
            for batch in _mapped(self.folder, OUTCOMES, places):
                yield OneLabel(pa.Table.from_batches([batch]), _index(batch), left)
                left = 0

    def ids_of(self, part: Range) -> IdIndex:
        """Return the ids of the decisions of a part."""
        (batch,) = _mapped(self.folder, IDS, part)
        return _index(batch)

    def ids_before(self, part: Range) -> Iterator[IdIndex]:
        """Yield the ids of the parts before one."""
        return (self.ids_of(each) for each in self.parts if each < part)


def sort_once(
    log: Log,
    question: Question,
    folder: str,
    engine: Engine,
    parts: Sequence[Range],
    outcomes: Sequence[Range],
) -> SortedOnce:
    """Return what the parts of a question will ask for; the ranges of `outcomes` end where its place does.

    Disk: some 60 bytes an outcome and 40 a decision, until the look is done. Memory: the ids of a part.

    Raises:
        EngineLost, PartPoisoned, ClusterFailed: see harness.engines.errors.
    """
    shares = [Share(*each) for each in zip_longest(parts, outcomes)]
    others = dict(engine.map(partial(_sorted, log.address, question, folder), shares))
    if len(others) < len(shares):
        raise EngineLost([n for n in range(len(shares)) if n not in others], len(shares))
    counted = tuple((places, others[n]) for n, places in enumerate(outcomes))
    return SortedOnce(folder, tuple(parts), counted)


def _sorted(address: Address, question: Question, folder: str, share: Share) -> int:
    """Write the files of a share, done twice or once; return how many of its outcomes have another label."""
    check_shared(folder)
    point, others = question.experiment.decision_point, 0
    with address.open() as log:
        if share.part is not None:
            found = [each for some in earlier_ids(log, *share.part, point, _TOGETHER) for each in some.chunks]
            with _file(folder, IDS, share.part) as file:
                file.write_batch(_by_key(IdIndex(pa.chunked_array(found, pa.large_string())), IDS, {}))
        if share.outcomes is not None:
            label, until = question.experiment.declared.label.name, question.as_of.position
            with _file(folder, OUTCOMES, share.outcomes) as file:
                for table in outcome_tables(log, *share.outcomes, point, _TOGETHER):
                    known = one_label(table, label, until)
                    others += known.other_label
                    file.write_batch(_by_key(known.names, OUTCOMES, _columns(known.table)))
    return others


def _columns(outcomes: pa.Table) -> dict[str, Any]:
    return {
        "position": int64(outcomes.column("position"), "position"),
        "occurred_at": instants(outcomes.column("occurred_at"), "occurred_at"),
        "value": outcomes.column("value").cast(pa.float64()).to_numpy(),
    }


def _by_key(names: IdIndex, kind: str, columns: Mapping[str, Any]) -> pa.RecordBatch:
    rows, keys = names.by_key
    found = {"decision_id": names.whole, "row": rows.astype("i4"), "key": keys, **columns}
    schema = _SCHEMAS[kind]
    arrays = [pa.array(found[field.name], type=field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _index(batch: pa.RecordBatch) -> IdIndex:
    by_key = ByKey(batch.column("row").to_numpy(), batch.column("key").to_numpy())
    return IdIndex(pa.chunked_array([batch.column("decision_id")]), by_key)


@contextmanager
def _file(folder: str, kind: str, places: Range) -> Iterator[pa.RecordBatchFileWriter]:
    """Yield what writes a file that is there when it is whole."""
    path = _path(folder, kind, places)
    own = path.with_suffix(f".{uuid.uuid4().hex}")  # its name alone is by chance
    with pa.ipc.new_file(str(own), _SCHEMAS[kind]) as file:
        yield file
    own.replace(path)


def _mapped(folder: str, kind: str, places: Range) -> Iterator[pa.RecordBatch]:
    """Yield the batches of a file. They are read where they are touched, and let go with the batch."""
    reader = pa.ipc.open_file(pa.memory_map(str(_path(folder, kind, places))))
    return map(reader.get_batch, range(reader.num_record_batches))


def _path(folder: str, kind: str, places: Range) -> Path:
    return Path(folder) / f"{places[0]}-{places[1]}.{kind}.arrow"
