"""From scored blocks to batches of the log: group k of a run is batch k of its writer."""

import hashlib
import uuid
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from recorders.append import Batch
from recorders.canonical import digest
from recorders.columns import encode_batch
from replay.adapters.reasons import MISSING
from replay.model import Model
from replay.model_errors import ModelBroken
from replay.score import BLOCK_ROWS

GROUP_BLOCKS = 4
GROUP_ROWS = GROUP_BLOCKS * BLOCK_ROWS
SCHEMA_DIGEST = hashlib.sha256(b"score/1").hexdigest()
RUN = b"run"


def alive(model: Model, scored: Iterator[pa.RecordBatch], *, first: bool) -> Iterator[pa.RecordBatch]:
    """Yield the scores; stop at once when the model raised for every row of the run's first block."""
    for block in scored:
        if first and (why := _raised_for_all(block)):
            raise ModelBroken(model.info.name, block.num_rows, why)
        first = False
        yield block


def _raised_for_all(block: pa.RecordBatch) -> str | None:
    """Return what the model raised for the first row when it raised for each."""
    errors = block.column("error")
    raised = pc.and_not(errors.is_valid(), pc.starts_with(errors, MISSING)).fill_null(False)  # noqa: FBT003
    return str(errors[0].as_py()) if pc.all(raised).as_py() else None


def groups(scored: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield GROUP_BLOCKS blocks of scores at a time as one batch."""
    while held := list(islice(scored, GROUP_BLOCKS)):
        yield pa.Table.from_batches(held).combine_chunks().to_batches()[0]


class Group(NamedTuple):
    """One group of scores in its stored form: how many, the position of its last decision, its bytes."""

    rows: int
    last: int
    payload: bytes


def group_of(scores: pa.RecordBatch, run_id: str) -> Group:
    """Return the stored form of one group; the run is named in the schema's metadata, under the digest."""
    payload = encode_batch(scores.replace_schema_metadata({RUN: run_id.encode()}))
    return Group(scores.num_rows, scores.column("decision_position")[-1].as_py(), payload)


def batch_of(group: Group, *, decision_point: str, writer: uuid.UUID, sequence: int) -> Batch:
    """Return what is appended to the log of one group."""
    return Batch(
        kind="score",
        decision_point=decision_point,
        schema_digest=SCHEMA_DIGEST,
        writer=writer,
        sequence=sequence,
        events=group.rows,
        occurred_min=None,
        occurred_max=None,
        payload=group.payload,
        digest=digest(group.payload),
    )
