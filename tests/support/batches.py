"""Batches as shippers make them, small enough to read in a failure."""

import hashlib
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from recorders.append import Batch
from recorders.columns import OUTCOME_SCHEMA, decision_schema, encode_batch
from recorders.fields import FeatureSet, Field

START = datetime(2013, 2, 1, tzinfo=UTC)
FEATURES = FeatureSet("flights", 1, (Field("distance", "float64"), Field("carrier", "category")))


def decisions(count: int, *, first: int = 0, point: str = "flights.late") -> pa.RecordBatch:
    """Return `count` decisions, numbered from `first`, a minute apart."""
    numbers = np.arange(first, first + count)
    columns: dict[str, Any] = {
        "decision_id": [f"{point}/{number}" for number in numbers],
        "occurred_at": [START + timedelta(minutes=int(number)) for number in numbers],
        "unit": [None] * count,
        "model": ["champion"] * count,
        "model_version": ["1"] * count,
        "score": numbers / 7.0,
        "decision": ["late"] * count,
        "propensity": [None] * count,
        "inclusion": [1.0] * count,
        "latency_us": [None] * count,
        "trace_id": [None] * count,
        "f.distance": numbers * 1.5,
        "f.carrier": ["UA"] * count,
        "statuses": [None] * count,
    }
    return pa.RecordBatch.from_pydict(columns, schema=decision_schema(FEATURES))


def outcomes(count: int, *, first: int = 0) -> pa.RecordBatch:
    """Return `count` outcomes of the decisions numbered from `first`."""
    columns = {
        "decision_id": [f"flights.late/{number}" for number in range(first, first + count)],
        "label": ["late"] * count,
        "value": [float(number % 2) for number in range(first, first + count)],
        "occurred_at": [START + timedelta(hours=3, minutes=number) for number in range(first, first + count)],
    }
    return pa.RecordBatch.from_pydict(columns, schema=OUTCOME_SCHEMA)


def stored(
    batch: pa.RecordBatch, writer: uuid.UUID, sequence: int, *, point: str = "flights.late", acked: int = 0
) -> Batch:
    """Return the Arrow batch as it is appended."""
    decision = "model" in batch.schema.names
    payload = encode_batch(batch)
    times = batch.column("occurred_at").to_pylist()
    schema = FEATURES.digest if decision else hashlib.sha256(b"outcome/1").hexdigest()
    return Batch(
        kind="decision" if decision else "outcome",
        decision_point=point,
        schema_digest=schema,
        writer=writer,
        sequence=sequence,
        events=batch.num_rows,
        occurred_min=min(times),
        occurred_max=max(times),
        payload=payload,
        digest=hashlib.sha256(payload).hexdigest(),
        acked=acked,
    )


def raw(
    writer: uuid.UUID, sequence: int, *, events: int = 1, seed: int = 0, at: datetime = START, acked: int = 0
) -> Batch:
    """Return a batch of one column that no reader knows: for tests of the door alone."""
    payload = encode_batch(pa.RecordBatch.from_pydict({"mark": [f"{sequence}/{seed}"] * events}))
    return Batch(
        kind="decision",
        decision_point="flights.late",
        schema_digest=FEATURES.digest,
        writer=writer,
        sequence=sequence,
        events=events,
        occurred_min=at,
        occurred_max=at,
        payload=payload,
        digest=hashlib.sha256(payload).hexdigest(),
        acked=acked,
    )
