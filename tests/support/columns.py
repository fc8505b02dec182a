"""Batches of every type of field, with everything in them that could be lost on the way through a file."""

import random
import struct
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from recorders.columns import decision_schema
from recorders.fields import FeatureSet, Field

AT = datetime(2013, 2, 1, tzinfo=UTC)
ODD = FeatureSet(
    "odd",
    1,
    (
        Field("number", "float64"),
        Field("count", "int64"),
        Field("flag", "bool"),
        Field("text", "string"),
        Field("kind", "category"),
        Field("seen.at", "timestamp"),
        Field("raw", "bytes"),
        Field("series", "list[float64]"),
    ),
)
ODDER = FeatureSet("odd", 2, (*ODD.fields, Field("number.list", "float64")))
_FLOATS = [0.0, -0.0, 1.5, -1e308, float("inf"), float("-inf"), float("nan"), None]
_TEXTS = ["", "é", "a" * 300, "x", "nul\0", None]


def odd_decisions(count: int, seed: int, feature_set: FeatureSet = ODD) -> pa.RecordBatch:
    """Return decisions of values that are hard to keep: -0.0, NaN, nulls, empty, long, extreme."""
    chance = random.Random(seed)
    columns: dict[str, list[Any]] = {
        "decision_id": [f"{seed}/{n}" for n in range(count)],
        "occurred_at": [AT + timedelta(seconds=chance.randrange(10**6)) for _ in range(count)],
        "unit": [chance.choice(_TEXTS) for _ in range(count)],
        "model": ["champion"] * count,
        "model_version": ["1"] * count,
        "score": [chance.choice(_FLOATS) for _ in range(count)],
        "decision": [chance.choice(["yes", "no", None]) for _ in range(count)],
        "propensity": [chance.choice([0.5, None]) for _ in range(count)],
        "inclusion": [1.0] * count,
        "latency_us": [chance.choice([0, -(2**63), 2**63 - 1, None]) for _ in range(count)],
        "trace_id": [None] * count,
        "f.number": [chance.choice(_FLOATS) for _ in range(count)],
        "f.count": [chance.choice([1, -1, 2**63 - 1, None]) for _ in range(count)],
        "f.flag": [chance.choice([True, False, None]) for _ in range(count)],
        "f.text": [chance.choice(_TEXTS) for _ in range(count)],
        "f.kind": [chance.choice(["a", "b", None]) for _ in range(count)],
        "f.seen.at": [chance.choice([AT, datetime(1, 1, 1, tzinfo=UTC), None]) for _ in range(count)],
        "f.raw": [chance.choice([b"", b"\0\xff", None]) for _ in range(count)],
        "f.series": [chance.choice([[], None, [1.0, None, float("nan"), -0.0]]) for _ in range(count)],
        "f.number.list": [float(n) for n in range(count)],
        "statuses": [
            chance.choice([None, [], [{"field": "count", "status": "stale"}]]) for _ in range(count)
        ],
    }
    schema = decision_schema(feature_set)
    return pa.RecordBatch.from_pydict({name: columns[name] for name in schema.names}, schema=schema)


def bits(table: pa.Table) -> list[Any]:
    """Return every cell in a form in which equal means the same bits: NaN equals itself, -0.0 is not 0.0."""
    return [[_exact(cell) for cell in column.to_pylist()] for column in table.columns]


def _exact(cell: Any) -> Any:
    if isinstance(cell, float):
        return struct.pack(">d", cell)
    return [_exact(one) for one in cell] if isinstance(cell, list) else cell
