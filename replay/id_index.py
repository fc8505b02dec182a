"""Where an id stands in a column of ids: looked up by 64-bit keys of the texts, every match told by the text.

A hash table of a million texts misses the caches at each step; keys are sorted in sequence (docs/adr/0067).
"""

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Integers = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

NEVER = np.int64(-1)
_WORD = 8
# So many rows are mixed at once: they and what is made of them stay in the cache.
_ROWS = 2**12
# Names are told apart by hashing them alone when they are so many times fewer than the ids.
_MANY = 4
_ODD, _OTHER = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_HALF = np.uint64(32)


class IdIndex:
    """A column of ids without nulls, and the rows where they stand.

    Keys are for this process alone, and nothing depends on them but time: ids whose keys are equal by chance
    or by ill will are told apart as texts.
    """

    def __init__(self, ids: pa.ChunkedArray) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _whole(self) -> pa.Array:
        return _joined(self.ids)

    @cached_property
    def _sorted(self) -> tuple[Integers, Keys]:
        """Return the rows in the order of their keys, and the keys in that order."""
        keys = id_keys(self._whole)
        order = np.argsort(keys)
        return order, keys[order]

    def first_rows(self) -> Integers:
        """Return for each row the first row that has its id.

        >>> IdIndex(pa.chunked_array([["a", "b", "a"]], pa.large_string())).first_rows().tolist()
        [0, 1, 0]
        """
        order, keys = self._sorted
        found = np.arange(order.size, dtype=np.int64)
        again = keys[1:] == keys[:-1]
        if again.any():
            alike = np.zeros(order.size, dtype=np.bool_)
            alike[1:] |= again
            alike[:-1] |= again
            rows = np.sort(order[alike])
            encoded = self._whole.take(pa.array(rows)).dictionary_encode()
            codes = np.asarray(encoded.indices, dtype=np.int64)
            # Assignment through repeated indices keeps the last value: backwards for the first of an id.
            first = np.full(len(encoded.dictionary), NEVER)
            first[codes[::-1]] = rows[::-1]
            found[rows] = first[codes]
        return found

    def rows_of(self, names: pa.ChunkedArray) -> Integers:
        """Return the row of each name, NEVER where it is none of the ids, which are distinct here.

        >>> ids = pa.chunked_array([["a", "b"]], pa.large_string())
        >>> IdIndex(ids).rows_of(pa.chunked_array([["b", "c"]], pa.large_string())).tolist()
        [1, -1]
        """
        if not len(self.ids) or not len(names):
            return np.full(len(names), NEVER)
        if "_sorted" not in self.__dict__ and _MANY * len(names) <= len(self.ids):
            return self._rows_of_few(names)
        asked = _joined(names)
        keys = id_keys(asked)
        by_key = np.argsort(keys)
        keys = keys[by_key]
        order, own = self._sorted
        at = np.minimum(np.searchsorted(own, keys), own.size - 1)
        rows = np.empty(by_key.size, dtype=np.int64)
        rows[by_key] = np.where(own[at] == keys, order[at], NEVER)
        return self._told_by_text(asked, rows)

    def _told_by_text(self, asked: pa.Array, rows: Integers) -> Integers:
        """Return the rows whose ids are the names asked for, where until now keys alone were compared."""
        hits = np.flatnonzero(rows != NEVER)
        mine = asked if hits.size == rows.size else asked.take(pa.array(hits))
        equal = pc.equal(mine, self._whole.take(pa.array(rows[hits])))
        if not pc.all(equal, min_count=0).as_py():
            odd = hits[~np.asarray(equal.to_numpy(zero_copy_only=False), dtype=np.bool_)]
            found = pc.index_in(asked.take(pa.array(odd)), value_set=self._whole)
            rows[odd] = found.fill_null(NEVER).to_numpy()
        return rows

    def _rows_of_few(self, names: pa.ChunkedArray) -> Integers:
        distinct = pc.unique(names)
        there = pc.index_in(self.ids, value_set=distinct).fill_null(NEVER).to_numpy()
        rows = np.full(len(distinct), NEVER)
        at = np.flatnonzero(there != NEVER)
        rows[there[at]] = at
        return rows[np.asarray(pc.index_in(names, value_set=distinct).to_numpy(), dtype=np.int64)]


def id_keys(texts: pa.Array) -> Keys:
    """Return a key of each text (large strings without nulls): equal texts have equal keys, shape (rows,)."""
    _, offsets, data = texts.buffers()
    keys: Keys = np.empty(len(texts), dtype=np.uint64)
    if not len(texts):
        return keys
    ends = np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
    raw = np.frombuffer(data or b"", dtype=np.uint8)
    for at in range(0, keys.size, _ROWS):
        own = ends[at : at + _ROWS + 1]
        low, high = int(own[0]), int(own[-1])
        padded = np.zeros(high - low + _WORD, dtype=np.uint8)
        padded[: high - low] = raw[low:high]
        words: Keys = np.ndarray((high - low + 1,), "<u8", padded.data, strides=(1,))
        keys[at : at + _ROWS] = _mixed(words, own[:-1] - low, np.diff(own))
    return keys


def _mixed(words: Keys, starts: Integers, lengths: Integers) -> Keys:
    keys = lengths.astype(np.uint64)
    shortest = int(lengths.min())
    even = shortest == lengths.max() and shortest > 0
    for done in range(0, int(lengths.max()), _WORD):
        # While all texts go on, rows are taken as they lie; with one length all begin where they must.
        active: Any = slice(None) if shortest > done else np.flatnonzero(lengths > done)
        word = words[done::shortest][: keys.size].copy() if even else words[starts[active] + done]
        if shortest < done + _WORD:  # what lies behind a text is shifted out
            word <<= (8 * np.maximum(done + _WORD - lengths[active], 0)).astype(np.uint64)
        word ^= keys[active]
        word *= _ODD
        word ^= word >> _HALF
        keys[active] = word
    keys *= _OTHER
    keys ^= keys >> _HALF
    return keys


def _joined(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
