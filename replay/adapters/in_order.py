"""Rows in order, key by key, for models that remember: each row sees the rows before it (docs/adr/0049)."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from recorders.columns import SCORE_SCHEMA
from replay.adapters.reasons import MISSING
from replay.columns import FEATURE
from replay.model_errors import KeyNotOneValue

# The rows of each call of a model that remembers: as much a part of its scores as BLOCK_ROWS is of others'.
# Few keys make small waves, and each costs a call.
WAVE_ROWS = 128

Rows = npt.NDArray[np.int64]
Step = Callable[[pa.RecordBatch], pa.RecordBatch]
Tell = Callable[[pa.RecordBatch], None]


def waves(keys: pa.Array) -> Iterator[Rows]:
    """Yield the rows whose key comes for the first time, for the second time, and so on; null keys never.

    In a wave no key comes twice, and the rows of each key are met in their order: whoever handles wave after
    wave handles each key's rows one by one, and all keys side by side.

    >>> [wave.tolist() for wave in waves(pa.array(["a", "b", "a", None, "a"]))]
    [[0, 1], [2], [4]]
    """
    known = np.flatnonzero(np.asarray(pc.is_valid(keys)))
    if not known.size:
        return
    codes = np.asarray(pc.dictionary_encode(keys.take(pa.array(known))).indices, dtype=np.int64)
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    first = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    places = np.arange(ordered.size) - np.repeat(first, np.diff(np.r_[first, ordered.size]))
    turn = np.empty(codes.size, dtype=np.int64)
    turn[order] = places
    for number in range(int(places.max()) + 1):
        yield known[turn == number]


def score_in_order(columns: pa.RecordBatch, key: str, score: Step, observe: Tell) -> pa.RecordBatch:
    """Return one score row for each row, each key's rows scored and observed one after the other.

    A row without a key is an error row, is shown to nobody and changes nothing.

    Raises:
        KeyNotOneValue: the keys are lists.
    """
    keys = _keys(columns, key)
    parts, met = [_without_key(columns.filter(pc.is_null(keys)), key)], [np.flatnonzero(pc.is_null(keys))]
    for wave in waves(keys):
        rows = columns if wave.size == columns.num_rows else columns.take(pa.array(wave))
        parts.append(score(rows))
        observe(rows)
        met.append(wave)
    if len(parts) == 2 and not met[0].size:  # noqa: PLR2004  no null, no key twice: the usual block
        return parts[1]
    together = pa.Table.from_batches(parts).combine_chunks().to_batches()
    return together[0].take(pa.array(np.argsort(np.concatenate(met)))) if together else parts[0]


def observe_in_order(columns: pa.RecordBatch, key: str, observe: Tell) -> None:
    """Show the rows to a model as `score_in_order` does, unscored. Raises as that does."""
    for wave in waves(_keys(columns, key)):
        observe(columns if wave.size == columns.num_rows else columns.take(pa.array(wave)))


def _keys(columns: pa.RecordBatch, key: str) -> pa.Array:
    keys = columns.column(FEATURE + key)
    if pa.types.is_nested(keys.type):
        raise KeyNotOneValue(key)
    return keys


def _without_key(columns: pa.RecordBatch, key: str) -> pa.RecordBatch:
    rows = columns.num_rows
    return pa.RecordBatch.from_arrays(
        [
            columns.column("decision_position"),
            columns.column("decision_id"),
            pa.nulls(rows, pa.float64()),
            pa.nulls(rows, pa.string()),
            pa.array([MISSING + key] * rows, pa.string()),
        ],
        schema=SCORE_SCHEMA,
    )
