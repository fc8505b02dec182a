"""A small history for training sets and replays: numbers, a kind and gaps, with outcomes hours later."""

import hashlib
import uuid
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

from harness.log.log import Log
from recorders.append import Batch
from recorders.columns import OUTCOME_SCHEMA, decision_schema, encode_batch, occurred_range
from recorders.fields import FeatureSet, Field

POINT = "shop.fraud"
START = datetime(2024, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
FEATURES = FeatureSet(
    "fraud",
    1,
    (
        Field("amount", "float64"),
        Field("items", "int64"),
        Field("kind", "category"),
        Field("note", "string", role="context"),
    ),
)
OUTCOME_DIGEST = hashlib.sha256(b"outcome/1").hexdigest()


class History:
    """Appends decisions a minute apart, and their outcomes, in batches of `size`; deterministic."""

    def __init__(self, log: Log, *, size: int = 500, name: str = "history") -> None:
        self.log, self.size = log, size
        self.writer, self.sequence = uuid.uuid5(uuid.NAMESPACE_DNS, name), 0
        log.register_feature_set(FEATURES)

    def decisions(
        self, first: int, stop: int, *, feature_set: FeatureSet = FEATURES, scores: np.ndarray | None = None
    ) -> tuple[int, int]:
        """Append decisions numbered [first, stop); return their half-open range of positions."""
        self.log.register_feature_set(feature_set)
        start = self.log.head().position + 1
        for at in range(first, stop, self.size):
            last = min(at + self.size, stop)
            own = None if scores is None else scores[at - first : last - first]
            batch = rows(np.arange(at, last), feature_set, own)
            self.append("decision", batch, feature_set.digest)
        return start, self.log.head().position + 1

    def outcomes(
        self, first: int, stop: int, *, hours: float = 2, flip: bool = False, label: str = "fraud"
    ) -> None:
        """Append the outcomes of the decisions numbered [first, stop), `hours` after each."""
        numbers = np.arange(first, stop)
        value = (amounts(numbers) > 0).astype(float)
        columns = [
            [f"d{n}" for n in numbers],
            [label] * numbers.size,
            1.0 - value if flip else value,
            [START + int(n) * MINUTE + timedelta(hours=hours) for n in numbers],
        ]
        arrays = [pa.array(c, type=f.type) for c, f in zip(columns, OUTCOME_SCHEMA, strict=True)]
        batch = pa.RecordBatch.from_arrays(arrays, schema=OUTCOME_SCHEMA)
        self.append("outcome", batch)

    def append(self, kind: str, batch: pa.RecordBatch, schema_digest: str = OUTCOME_DIGEST) -> None:
        """Append one batch under the next sequence."""
        self.sequence += 1
        payload = encode_batch(batch)
        first, last = occurred_range(batch)
        self.log.append(
            Batch(
                kind=kind,
                decision_point=POINT,
                schema_digest=schema_digest,
                writer=self.writer,
                sequence=self.sequence,
                events=batch.num_rows,
                occurred_min=first,
                occurred_max=last,
                payload=payload,
                digest=hashlib.sha256(payload).hexdigest(),
            )
        )


def amounts(numbers: np.ndarray) -> np.ndarray:
    """Return the amount of each decision: spread, without chance."""
    return np.sin(numbers * 1.7) * 10 + np.cos(numbers * 0.3)


def rows(numbers: np.ndarray, feature_set: FeatureSet, scores: np.ndarray | None = None) -> pa.RecordBatch:
    """Return the decisions with these numbers; every 97th has no amount."""
    amount = amounts(numbers)
    plain = {
        "decision_id": [f"d{n}" for n in numbers],
        "occurred_at": [START + int(n) * MINUTE for n in numbers],
        "unit": [f"u{n % 50}" for n in numbers],
        "model": ["rules"] * numbers.size,
        "model_version": ["1"] * numbers.size,
        "score": 1 / (1 + np.exp(-amount / 10)) if scores is None else scores,
        "decision": ["block" if a > 0 else "pass" for a in amount],
        "inclusion": [1.0] * numbers.size,
        "f.amount": pa.array(amount, mask=numbers % 97 == 96),
        "f.items": numbers % 7,
        "f.kind": [["card", "bank", "coin"][n % 3] for n in numbers],
        "f.note": [None] * numbers.size,
        "f.who": [f"w{n % 60}" for n in numbers],
    }
    schema = decision_schema(feature_set)
    arrays = [pa.array(plain.get(f.name, [None] * numbers.size), type=f.type) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
