"""The smallest change of one feature after which a model decides as the other one did."""

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
_SAMPLE_BATCHES = 4


def smallest_changes(
    log: Log, model: Model, decision_point: str, flips: pa.Table, *, threshold: float | None
) -> dict[int, dict[str, Any] | None]:
    """Return for each of the first rows of `flips`, by position, the change that undoes the flip.

    Tried is one feature at a time, with values that were recorded around it: quantiles of numbers, frequent
    values of the rest, as many as one block has room for and ten at least. The smallest is that with the
    least distance: for numbers in standard deviations, else 1. None: no single change does it.
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


def _around(log: Log, decision_point: str, at: int, columns: tuple[str, ...]) -> pa.Table:
    """Return some of the decisions before a position and after it, whatever their feature sets."""
    start = max(1, at - 5_000)
    tables = []
    for batch in log.read(start, at + 5_000, kind="decision", decision_point=decision_point, columns=columns):
        tables.append(pa.Table.from_batches([batch.replace_schema_metadata(None)]))
        if len(tables) == _SAMPLE_BATCHES:
            break
    return pa.concat_tables(tables, promote_options="permissive")


def _smallest(
    model: Model, row: pa.RecordBatch, around: pa.Table, wanted: str, threshold: float | None
) -> dict[str, Any] | None:
    # A block is asked whole, however few changes are in it.
    most = max(VALUES_MIN, BLOCK_ROWS // len(model.info.inputs) - 1)
    tried = [
        (name, value, distance)
        for name in model.info.inputs
        if FEATURE + name in around.schema.names and FEATURE + name in row.schema.names
        for value, distance in _candidates(around.column(FEATURE + name), row.column(FEATURE + name)[0], most)
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
        numbers = np.asarray(values.cast(pa.float64()).to_numpy(), dtype=np.float64)
        numbers = numbers[np.isfinite(numbers)]
        scale = float(numbers.std()) if numbers.size else 0.0
        if not scale:
            return []
        parts = np.quantile(numbers, np.linspace(0, 1, most + 1), method="nearest")
        old = own.as_py()
        as_number = int if pa.types.is_integer(kind) else float
        start = float(old) if old is not None else float(numbers.mean())
        return [(as_number(part), abs(float(part) - start) / scale) for part in np.unique(parts)]
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
