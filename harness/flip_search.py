"""The smallest change of one feature after which a model decides as the other one did."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.log.log import Log
from replay.columns import FEATURE
from replay.model import Model
from replay.score import BLOCK_ROWS, columns_for

ROWS_MAX = 5
VALUES_MIN = 10
AROUND = 5_000


def smallest_changes(
    log: Log, model: Model, decision_point: str, flips: pa.Table, *, threshold: float | None
) -> dict[int, dict[str, Any] | None]:
    """Return for each of the first rows of `flips`, by position, the change that undoes the flip.

    Tried is one feature at a time, with values that were recorded around it: quantiles of numbers, frequent
    values of the rest, as many as one block has room for and ten at least. The smallest is that with the
    least distance: for numbers in standard deviations (from their mean where the row has none), else 1.
    None: no single change does it.
    """
    found: dict[int, dict[str, Any] | None] = {}
    for flip in flips.slice(0, ROWS_MAX).to_pylist():
        at = flip["position"]
        columns = columns_for(model.info)
        row = next(
            log.read(at, at + 1, kind="decision", decision_point=decision_point, columns=columns), None
        )
        assert row is not None, "it was just read"
        around = _around(log, decision_point, at, columns)
        found[at] = _smallest(model, row, around, flip["a_decision"], threshold)
    return found


def _around(log: Log, decision_point: str, at: int, columns: tuple[str, ...]) -> list[pa.RecordBatch]:
    """Return the decisions before a position and after it, whatever their feature sets."""
    start = max(1, at - AROUND)
    return list(log.read(start, at + AROUND, kind="decision", decision_point=decision_point, columns=columns))


def _seen(around: list[pa.RecordBatch], name: str, own: pa.Array) -> pa.ChunkedArray:
    """Return the values of a feature in these decisions, where they are of the type of `own`."""
    kind = _plain(own).type
    columns = [_plain(batch.column(name)) for batch in around if name in batch.schema.names]
    return pa.chunked_array([column for column in columns if column.type == kind], kind)


def _plain(column: pa.Array) -> pa.Array:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _smallest(
    model: Model, row: pa.RecordBatch, around: list[pa.RecordBatch], wanted: str, threshold: float | None
) -> dict[str, Any] | None:
    # A block is asked whole, however few changes are in it.
    most = max(VALUES_MIN, BLOCK_ROWS // len(model.info.inputs) - 1)
    tried = [
        (name, value, distance)
        for name in model.info.inputs
        if FEATURE + name in row.schema.names
        for own in [row.column(FEATURE + name)]
        for value, distance in _candidates(_seen(around, FEATURE + name, own), own[0], most)
    ]
    if not tried:
        return None
    scores = model.score(_changed(row, tried))
    decided = scores.column("decision")
    if threshold is not None:
        above = pc.greater_equal(scores.column("score"), threshold)
        decided = pc.if_else(above, f">= {threshold:g}", f"< {threshold:g}")
    same = np.asarray(pc.fill_null(pc.equal(decided, wanted), False).to_numpy(zero_copy_only=False))  # noqa: FBT003
    good = [(distance, name, value) for (name, value, distance), ok in zip(tried, same, strict=True) if ok]
    if not good:
        return None
    distance, name, value = min(good, key=lambda each: (each[0], each[1]))
    old = row.column(FEATURE + name)[0].as_py()
    return {"feature": name, "from": old, "to": value, "distance": distance}


def _candidates(seen: pa.ChunkedArray, own: pa.Scalar, most: int) -> list[tuple[Any, float]]:
    """Return recorded values of a feature and how far each is from its own, `most` of them or one more."""
    kind = seen.type
    values = seen.drop_null()
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        exact = values.to_numpy()
        numbers = exact.astype(np.float64)
        exact, numbers = exact[np.isfinite(numbers)], numbers[np.isfinite(numbers)]
        scale = float(numbers.std()) if numbers.size else 0.0
        if not scale:
            return []
        places = np.rint(np.linspace(0, exact.size - 1, most + 1)).astype(np.int64)
        parts = np.unique(np.sort(exact)[places])
        old = own.as_py()
        start = float(old) if old is not None and math.isfinite(old) else float(numbers.mean())
        return [(part.item(), abs(float(part) - start) / scale) for part in parts]
    if pa.types.is_list(kind) or pa.types.is_timestamp(kind) or pa.types.is_binary(kind):
        return []
    counted = sorted(
        values.value_counts().to_pylist(), key=lambda each: (-each["counts"], str(each["values"]))
    )
    return [(each["values"], 1.0) for each in counted[:most] if each["values"] != own.as_py()]


def _changed(row: pa.RecordBatch, tried: list[tuple[str, Any, float]]) -> pa.RecordBatch:
    """Return the row once for each change, with that change."""
    columns: dict[str, pa.Array] = {}
    repeated = pa.array(np.zeros(len(tried), dtype=np.int64))
    for name in row.schema.names:
        if name == "recorded_at":
            continue
        column = row.column(name).take(repeated)
        own = [value if FEATURE + of == name else None for of, value, _distance in tried]
        if any(value is not None for value in own):
            plain = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
            column = pc.coalesce(pa.array(own, plain.type), plain)
        columns["decision_position" if name == "position" else name] = column
    return pa.RecordBatch.from_pydict(columns)
