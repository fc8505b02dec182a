"""What Spark's workers do for a training set: read keys and outcomes, match a bucket of ids, write a unit."""

import json
import pickle
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.log.log import Address
from harness.training.candidates import OUTCOMES, sorted_out
from harness.training.parts import PartWriter, cuts
from harness.training.rows import beside
from harness.training.source import Schemas, Source, digest_of
from harness.training.spec import Spec
from harness.training.stream import Own, Stream
from recorders.errors import HarnessError
from replay.columns import INSTANT, count_values, int64, mask_of
from replay.digest import Cells
from replay.matching import Decided, Latest
from replay.ranges import AsOf
from replay.splits import Parted
from replay.training import chosen, label_columns, split_columns

Range = tuple[int, int]

REFUSED = "refused-"
_BATCH_ROWS = 65_536
_KEYS = pa.schema(
    [
        ("position", pa.int64()),
        ("decision_id", pa.string()),
        ("occurred_us", pa.int64()),
        ("excluded", pa.bool_()),
        ("stays", pa.bool_()),
        ("test", pa.bool_()),
        ("fold", pa.int64()),
    ]
)
_OUTCOMES = pa.schema(
    [
        ("position", pa.int64()),
        ("decision_id", pa.string()),
        ("label", pa.string()),
        ("value", pa.float64()),
        ("occurred_us", pa.int64()),
    ]
)
_UNIT = pa.schema(
    [
        ("unit", pa.int64()),
        ("folder", pa.string()),
        ("parts", pa.string()),
        ("cells", pa.binary()),
        ("splits", pa.string()),
    ]
)
_ACCOUNT = "account"
_WORDS = {pa.float64(): "double", pa.int64(): "long", pa.bool_(): "boolean", pa.string(): "string"}
_WORDS |= {pa.binary(): "binary", INSTANT: "long"}


@dataclass(frozen=True, slots=True)
class Job:
    """What every task knows. `folder` is one that the workers share with the one who asks."""

    address: Address
    spec: Spec
    as_of: AsOf
    schemas: Schemas
    folder: str


def spark_schema(schema: pa.Schema) -> str:
    """Return a schema in Spark's words; instants travel as microseconds, since a session has a time zone."""
    return ", ".join(f"`{field.name}` {_WORDS[field.type]}" for field in schema)


KEYS, OUTCOME_KEYS, UNIT = (spark_schema(schema) for schema in (_KEYS, _OUTCOMES, _UNIT))


def counted(address: Address, spec: Spec, part: Range) -> tuple[dict[str, int], dict[str, int]]:
    """Return of a part of the log: decisions of the range by feature set, outcomes by label."""
    sets: dict[str, int] = {}
    labels: dict[str, int] = {}
    with address.open() as log:
        start, stop = max(part[0], spec.start), min(part[1], spec.stop)
        if start < stop:
            for batch in log.read(
                start, stop, kind="decision", decision_point=spec.decision_point, columns=()
            ):
                if batch.num_rows:
                    sets = added(sets, {digest_of(batch): batch.num_rows})
        for batch in log.read(*part, kind="outcome", decision_point=spec.decision_point, columns=["label"]):
            labels = added(labels, count_values(batch.column("label")))
    return sets, labels


def read_keys(job: Job, parts: list[Range], numbers: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield what decides of each decision of these parts whether it is a row."""
    for start, stop in _named(parts, numbers):
        with _told(job), job.address.open() as log:
            spec = msgspec.structs.replace(job.spec, start=start, stop=stop)
            source = Source(log, spec, kept=None).read()
            if not source.batches:
                continue
            keys, excluded, where = sorted_out(source, job.schemas)
            columns = [
                keys.column("position"),
                keys.column("decision_id"),
                keys.column("occurred_at").cast(pa.int64()),
                excluded,
                where.stays,
                where.test,
                np.zeros(keys.num_rows, dtype=np.int64) if where.fold is None else where.fold,
            ]
            yield from _batches(columns, _KEYS)


def read_outcomes(
    job: Job, parts: list[Range], numbers: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Yield the outcomes of the set's labels in these parts."""
    wanted = pa.array([rule.name for rule in job.spec.labels])
    names = [field.name for field in OUTCOMES]
    for part in _named(parts, numbers):
        with _told(job), job.address.open() as log:
            point = job.spec.decision_point
            for batch in log.read(*part, kind="outcome", decision_point=point, columns=names):
                own = batch.filter(pc.is_in(batch.column("label").cast(pa.string()), value_set=wanted))
                columns = [own.column(name) for name in ("position", "decision_id", "label", "value")]
                yield from _batches([*columns, own.column("occurred_at").cast(pa.int64())], _OUTCOMES)


def own_schema(job: Job) -> pa.Schema:
    """Return the columns of rows but their features."""
    own, _account = _matched(job, _KEYS.empty_table(), _OUTCOMES.empty_table())
    return pa.schema([(name, column.type) for name, column in own.items()])


def travelling(job: Job) -> pa.Schema:
    """Return the columns of rows as they travel, numbered since a dot is a step to Spark, and the account."""
    named = [
        field if field.name == "position" else field.with_name(f"own_{number}")
        for number, field in enumerate(own_schema(job))
    ]
    return pa.schema([*named, (_ACCOUNT, pa.string())])


def match(job: Job, keys: pa.Table, outcomes: pa.Table) -> pa.Table:
    """Return the rows among the decisions of a bucket, which has all of their ids, and last its account."""
    with _told(job):
        own, account = _matched(job, keys.sort_by("position"), outcomes.sort_by("position"))
        schema = travelling(job)
    columns = [*own.values(), pa.nulls(len(own["position"]), pa.string())]
    rows = pa.Table.from_arrays(columns, schema=schema)
    said = pa.Table.from_pylist([{_ACCOUNT: json.dumps(account)}], schema=schema)
    whole = pa.concat_tables([rows, said])
    return pa.table([_plain(column) for column in whole.columns], names=whole.schema.names)


def _matched(job: Job, keys: pa.Table, outcomes: pa.Table) -> tuple[Own, dict[str, Any]]:
    """Return the columns of the rows and where all other decisions and outcomes went."""
    spec = job.spec
    decided = Decided.of(keys.column("decision_id"), int64(keys.column("occurred_us"), "occurred_us"))
    happened = outcomes.column("occurred_us").cast(INSTANT)
    named = outcomes.append_column("occurred_at", happened)
    latest = [(rule, Latest(decided, rule.window)) for rule in spec.labels]
    for rule, each in latest:
        each.update(named.filter(pc.equal(named.column("label"), rule.name)))
    flags = {name: np.asarray(keys.column(name).to_numpy()) for name in ("excluded", "stays", "test", "fold")}
    found = chosen(latest, flags["excluded"], job.as_of)
    folded = spec.split is not None and spec.split.by in {"rolling", "unit_folds"}
    where = Parted(flags["stays"], flags["test"], flags["fold"] if folded else None)
    rows = found.used & where.stays
    of_rows = keys.filter(mask_of(rows))
    own: Own = {
        "decision_id": of_rows.column("decision_id").cast(pa.string()),
        "position": of_rows.column("position"),
        "occurred_at": of_rows.column("occurred_us").cast(INSTANT),
        **label_columns(found, rows),
        **split_columns(where, rows),
    }
    left = {beside(spec): int(np.count_nonzero(found.used & ~where.stays))}
    oldest = int(decided.occurred_us.min()) if decided.occurred_us.size else None
    return own, {"counts": {**found.counts, **left}, "outcomes": found.outcomes, "oldest_us": oldest}


def write_unit(job: Job, size: int, rows_per_part: int, table: pa.Table) -> pa.Table:
    """Write the parts that a unit of rows holds whole; return what is said of them, and their cells."""
    table = table.sort_by("ordinal")
    first, last = table.column("ordinal")[0].as_py(), table.column("ordinal")[-1].as_py() + 1
    columns = zip(own_schema(job), travelling(job), strict=False)  # without the account
    own = {field.name: table.column(sent.name).cast(field.type) for field, sent in columns}
    folder = Path(job.folder) / uuid.uuid4().hex  # its name alone is by chance
    with _told(job), job.address.open() as log:
        folder.mkdir()
        stream = Stream(Source(log, job.spec, kept=None), job.schemas, own)
        edges = [edge for edge in cuts(size, rows_per_part) if first <= edge <= last]
        writer, cells = PartWriter(folder, edges), Cells(stream.schema)
        try:
            for _batch in writer.through(cells.through(stream.batches(0, last - first)), first):
                pass
        finally:
            writer.abandon()
        cells.digest()  # closes the last chunk
    said = [table.column("unit")[0].as_py(), folder.name, json.dumps(writer.parts), b"".join(cells.chunks)]
    said.append(json.dumps(count_values(own["split"])))
    return pa.Table.from_pydict({n: [v] for n, v in zip(_UNIT.names, said, strict=True)}, schema=_UNIT)


def added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Return the sums of two tables of counts."""
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def _named(parts: list[Range], numbers: Iterator[pa.RecordBatch]) -> Iterator[Range]:
    for batch in numbers:
        for index in batch.column(0).to_pylist():
            yield parts[index]


def _batches(columns: list[Any], schema: pa.Schema) -> list[pa.RecordBatch]:
    """Return columns as batches of that schema."""
    arrays = [
        (column if isinstance(column, pa.Array | pa.ChunkedArray) else pa.array(column)).cast(field.type)
        for column, field in zip(columns, schema, strict=True)
    ]
    table = pa.Table.from_arrays(arrays, schema=schema)
    return list(table.combine_chunks().to_batches(max_chunksize=_BATCH_ROWS))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.int64()) if column.type == INSTANT else column


@contextmanager
def _told(job: Job) -> Iterator[None]:
    """Leave an error of ours in the folder before it is raised: Spark would hand on its text alone."""
    try:
        yield
    except HarnessError as error:
        (Path(job.folder) / f"{REFUSED}{uuid.uuid4().hex}").write_bytes(pickle.dumps(error))
        raise
