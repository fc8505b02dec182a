"""As-of join: for each entity and instant the newest feature row that was there; keys first, values last."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replay.as_of_keys import comparable
from replay.columns import instants
from replay.errors import EntitiesUnusable
from replay.matching import Integers

NOTHING = -1


def newest_rows(
    entities: pa.Table, history: pa.Table, *, key: str, entity_time: str, history_time: str
) -> Integers:
    """Return for each entity row the row of `history` that was newest at its instant, or NOTHING.

    A row counts from its instant on (equal instants match). Of rows of one key and one instant the last in
    `history` counts: pass it in the order in which it became known. A null key matches nothing; what keys of
    two types are equal, `as_of_keys.comparable` says. A naive time is refused. Cost: two columns are sorted;
    no value is touched.

    >>> hour = pa.array([0, 3600], pa.timestamp("s", "UTC"))
    >>> known = pa.table({"k": ["a", "a"], "t": hour})
    >>> asked = pa.table({"k": ["a", "b"], "at": hour})
    >>> newest_rows(asked, known, key="k", entity_time="at", history_time="t").tolist()
    [0, -1]
    """
    for table, names, what in (
        (entities, (key, entity_time), "entity table"),
        (history, (key, history_time), "log"),
    ):
        missing = [name for name in names if name not in table.schema.names]
        if missing:
            raise EntitiesUnusable(f"The {what} lacks {', '.join(missing)}.", "Expected a key and a time.")
    asked, known = _codes(*comparable(entities.column(key), history.column(key), key))
    at = instants(entities.column(entity_time), entity_time)
    since = instants(history.column(history_time), history_time)
    order = _order(known, since)
    known, since = known[order], since[order]
    first, after = np.searchsorted(known, asked, side="left"), np.searchsorted(known, asked, side="right")
    place = _upper(since, at, first, after) - 1
    found = (place >= first) & (asked >= 0)
    return np.where(found, order[np.maximum(place, 0)] if order.size else NOTHING, NOTHING)


def gathered(
    history: Iterable[pa.RecordBatch | pa.Table], rows: Integers, names: Sequence[str], empty: pa.Table
) -> dict[str, pa.ChunkedArray]:
    """Return the columns of the found rows; null where nothing was found.

    `history` comes in pieces, in the order in which its rows were counted; only what was found is held.
    `empty` has its columns and no row.
    """
    asked = np.zeros(int(rows.max(initial=NOTHING)) + 1, dtype=np.bool_)
    asked[rows[rows != NOTHING]] = True
    at, taken = 0, {name: empty.column(name).chunks for name in names}
    for piece in history:
        own = np.flatnonzero(asked[at : at + piece.num_rows])
        if own.size:
            wanted = pa.array(own)
            for name in names:
                part = piece.column(name).take(wanted)
                taken[name] += part.chunks if isinstance(part, pa.ChunkedArray) else [part]
        at += piece.num_rows
    places = np.append(np.cumsum(asked) - 1, NOTHING)[rows]  # the last one is for NOTHING
    wanted = pa.array(places, mask=places == NOTHING)
    # A column at a time: what was found and what is returned are never both there whole.
    return {name: _taken(taken.pop(name), wanted, empty.schema.field(name).type) for name in names}


def _taken(parts: list[pa.Array], rows: pa.Array, kind: pa.DataType) -> pa.ChunkedArray:
    whole = pa.concat_arrays(parts) if parts else pa.array([], kind)
    return pa.chunked_array([whole.take(rows)], kind)


def _order(known: Integers, since: Integers) -> Integers:
    """Return the rows by key, then by instant, then as they came."""
    narrow = known.astype(np.min_scalar_type(int(known.max(initial=0))))  # a radix sort, up to 16 bits
    if bool(np.all(since[1:] >= since[:-1])):
        return np.argsort(narrow, kind="stable")
    return np.lexsort((since, narrow))


def _codes(asked: pa.ChunkedArray, known: pa.ChunkedArray) -> tuple[Integers, Integers]:
    """Return one number a key in both columns, of one type; -1 for a null of the asked, which is no key."""
    together = pa.chunked_array([*asked.chunks, *known.chunks], known.type)
    distinct = pc.unique(together).drop_null()
    codes = [pc.index_in(keys, value_set=distinct) for keys in (asked, known)]
    return _filled(codes[0], -1), _filled(codes[1], len(distinct))


def _filled(codes: pa.ChunkedArray, other: int) -> Integers:
    return np.asarray(codes.cast(pa.int64()).fill_null(other).to_numpy(), dtype=np.int64)


def _upper(since: Integers, at: Integers, first: Integers, after: Integers) -> Integers:
    """Return for each row the first place in [first, after) whose instant is later: all searches at once."""
    low, high = first.copy(), after.copy()
    while True:
        open_ = np.flatnonzero(low < high)
        if not open_.size:
            return low
        middle = (low[open_] + high[open_]) // 2
        right = since[middle] <= at[open_]
        low[open_[right]] = middle[right] + 1
        high[open_[~right]] = middle[~right]
