"""A run's account is the same whoever counted which of its scores."""

import numpy as np
import pyarrow as pa
import pytest

from harness.stored_scores import Summary
from recorders.columns import SCORE_SCHEMA
from replay.digest import CHUNK_ROWS, canonical_digest

GROUP = 4_096


def scores(rows: int) -> pa.RecordBatch:
    """Return scores of which some failed."""
    numbers = np.arange(rows)
    failed = numbers % 1_000 == 7
    columns = {
        "decision_position": numbers * 2,
        "decision_id": [f"d{number}" for number in numbers],
        "score": pa.array(numbers / rows, mask=failed),
        "decision": pa.nulls(rows, pa.string()),
        "error": [f"bad {number % 3}" if bad else None for number, bad in zip(numbers, failed, strict=True)],
    }
    return pa.RecordBatch.from_arrays(
        [pa.array(columns[field.name], type=field.type) for field in SCORE_SCHEMA], schema=SCORE_SCHEMA
    )


def counted_alone(summary: Summary, batch: pa.RecordBatch) -> None:
    for at in range(0, batch.num_rows, GROUP):
        summary.add(batch.slice(at, GROUP))


@pytest.mark.parametrize("before", [0, CHUNK_ROWS, GROUP])
def test_chunks_that_a_worker_counted_are_those_that_are_counted_here(before: int) -> None:
    whole = scores(before + 2 * CHUNK_ROWS + 5_000)
    part, worker, here = whole.slice(before), Summary(), Summary()
    counted_alone(worker, part)
    counted = worker.counted()
    assert counted.rows == 2 * CHUNK_ROWS
    counted_alone(here, whole.slice(0, before))
    known = here.take(counted)
    assert known == (0 if before % CHUNK_ROWS else counted.rows)
    counted_alone(here, part.slice(known))
    alone = Summary()
    counted_alone(alone, whole)
    said = here.said()
    assert said == alone.said()
    assert said["digest"] == canonical_digest([whole])
    assert sum(said["errors"].values()) == said["failed"] == whole.column("score").null_count


def test_what_ended_inside_of_a_chunk_is_handed_to_nobody_as_whole() -> None:
    summary = Summary()
    summary.add(scores(CHUNK_ROWS + 1))
    assert summary.counted() == (0, "", {})
    assert Summary().counted() == (0, "", {})
