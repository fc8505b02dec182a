"""Where an id stands in a column of ids: looked up by 64-bit keys of the texts, every match told by the text.

A hash table of a million texts misses the caches at each step; keys are sorted in sequence (docs/adr/0067).
"""

from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.fingerprints import Fingerprints, Integers, of_texts

NEVER = np.int64(-1)
# Names are told apart by hashing them alone when they are so many times fewer than the ids.
_MANY = 4
# Beginnings of keys for each id, a byte each: so few of the names that are no id are looked up.
_MARKS = 8
_KEY_BITS = 64


class IdIndex:
    """A column of ids without nulls, and the rows where they stand.

    Keys are fingerprints, and nothing depends on them but time: ids whose keys are equal by chance or by ill
    will are told apart as texts.
    """

    def __init__(self, ids: pa.ChunkedArray) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _whole(self) -> pa.Array:
        return _joined(self.ids)

    @cached_property
    def _sorted(self) -> tuple[Integers, Fingerprints]:
        """Return the rows in the order of their keys, and the keys in that order."""
        keys = of_texts(self._whole)
        order = np.argsort(keys)
        return order, keys[order]

    @cached_property
    def _marks(self) -> tuple[np.uint64, npt.NDArray[np.bool_]]:
        """Return how far to shift a key to its beginning, and which beginnings the ids have."""
        bits = (_MARKS * len(self.ids)).bit_length()
        shift, found = np.uint64(_KEY_BITS - bits), np.zeros(2**bits, dtype=np.bool_)
        found[self._sorted[1] >> shift] = True
        return shift, found

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
        """Return the row of each name, NEVER where it is no id; of an id that repeats, one of its rows.

        >>> ids = pa.chunked_array([["a", "b"]], pa.large_string())
        >>> IdIndex(ids).rows_of(pa.chunked_array([["b", "c"]], pa.large_string())).tolist()
        [1, -1]
        """
        if not len(self.ids) or not len(names):
            return np.full(len(names), NEVER)
        if "_sorted" not in self.__dict__ and _MANY * len(names) <= len(self.ids):
            return self._rows_of_few(names)
        asked = _joined(names)
        keys = of_texts(asked)
        shift, marks = self._marks
        # A part of a range is asked for all outcomes, and has the decisions of few.
        likely = np.flatnonzero(marks[keys >> shift])
        by_key = np.argsort(keys) if likely.size == keys.size else likely[np.argsort(keys[likely])]
        keys = keys[by_key]
        order, own = self._sorted
        at = np.minimum(np.searchsorted(own, keys), own.size - 1)
        rows = np.full(len(asked), NEVER)
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


def _joined(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
