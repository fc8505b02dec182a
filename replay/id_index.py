"""Where an id stands in a column of ids: looked up by 64-bit keys of the texts, every match told by the text.

A hash table of a million texts misses the caches at each step; keys are in order (docs/adr/0067, 0091).
"""

from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from replay.fingerprints import Integers, of_texts
from replay.key_order import ByKey, Places, by_key

NEVER = np.int64(-1)
# Names are told apart by hashing them alone when they are so many times fewer than the ids.
_MANY = 4
# Beginnings of keys for each id, a byte each: so few of the names that are no id are looked up.
_MARKS = 8
_KEY_BITS = 64
_NONE: Integers = np.zeros(0, dtype=np.int64)


class IdIndex:
    """A column of ids without nulls, and the rows where they stand; `by_key` where they were sorted before.

    Keys are fingerprints, and nothing depends on them but time: ids whose keys are equal by chance or by ill
    will are told apart as texts.
    """

    def __init__(self, ids: pa.ChunkedArray, by_key: ByKey | None = None) -> None:
        self.ids = ids
        if by_key is not None:
            self.by_key = by_key

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def whole(self) -> pa.Array:
        """The ids as one array."""
        return _joined(self.ids)

    @cached_property
    def by_key(self) -> ByKey:
        """The rows in the order of their keys."""
        return by_key(of_texts(self.whole))

    @property
    def is_sorted(self) -> bool:
        """Whether they were sorted already."""
        return "by_key" in self.__dict__

    @cached_property
    def _places(self) -> Places:
        return Places(self.by_key.keys)

    @cached_property
    def _marks(self) -> tuple[np.uint64, npt.NDArray[np.bool_]]:
        """Return how far to shift a key to its beginning, and which beginnings the ids have."""
        bits = (_MARKS * len(self.ids)).bit_length()
        shift, found = np.uint64(_KEY_BITS - bits), np.zeros(2**bits, dtype=np.bool_)
        found[self.by_key.keys >> shift] = True
        return shift, found

    def first_rows(self) -> Integers:
        """Return for each row the first row that has its id.

        >>> IdIndex(pa.chunked_array([["a", "b", "a"]], pa.large_string())).first_rows().tolist()
        [0, 1, 0]
        """
        order, keys = self.by_key
        found = np.arange(order.size, dtype=np.int64)
        again = keys[1:] == keys[:-1]
        if again.any():
            alike = np.zeros(order.size, dtype=np.bool_)
            alike[1:] |= again
            alike[:-1] |= again
            rows = np.sort(order[alike])
            encoded = self.whole.take(pa.array(rows)).dictionary_encode()
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
        found = np.full(len(names), NEVER)
        at, rows = self.matches(IdIndex(names))
        found[at] = rows
        return found

    def matches(self, names: "IdIndex") -> tuple[Integers, Integers]:
        """Return the rows of `names` that name an id, in order, and where the id of each stands here.

        >>> here, names = (IdIndex(pa.chunked_array([each], pa.large_string())) for each in ("abc", "zcxa"))
        >>> [found.tolist() for found in here.matches(names)]
        [[1, 3], [2, 0]]
        """
        if not len(self) or not len(names):
            return _NONE, _NONE
        if not self.is_sorted and not names.is_sorted and _MANY * len(names) <= len(self):
            return self._matches_of_few(names)
        named, rows = self._by_sorted(names) if names.is_sorted else self._by_place(names)
        return self._told_by_text(names.whole, named, rows) if named.size else (_NONE, _NONE)

    def _by_place(self, names: "IdIndex") -> tuple[Integers, Integers]:
        """Return the rows of names whose keys are those of an id, and where that stands."""
        order, own = self.by_key
        keys = of_texts(names.whole)
        at = self._places.of(keys)
        named = np.flatnonzero(own[at] == keys)
        return named, order[at[named]].astype(np.int64, copy=False)

    def _by_sorted(self, names: "IdIndex") -> tuple[Integers, Integers]:
        """Return the same of names that are sorted: they and the ids are passed over in sequence."""
        order, own = self.by_key
        asked, keys = _likely(names.by_key, *self._marks)
        at = np.minimum(np.searchsorted(own, keys), own.size - 1)
        hits = np.flatnonzero(own[at] == keys)
        rows = np.full(len(names), NEVER)
        rows[asked[hits]] = order[at[hits]]
        named = np.flatnonzero(rows != NEVER)
        return named, rows[named]

    def _told_by_text(self, asked: pa.Array, named: Integers, rows: Integers) -> tuple[Integers, Integers]:
        """Return what `matches` does, where until now keys alone were compared."""
        texts = asked if named.size == len(asked) else asked.take(pa.array(named))
        equal = pc.equal(texts, self.whole.take(pa.array(rows)))
        if pc.all(equal, min_count=0).as_py():
            return named, rows
        odd = np.flatnonzero(~np.asarray(equal.to_numpy(zero_copy_only=False), dtype=np.bool_))
        found = pc.index_in(texts.take(pa.array(odd)), value_set=self.whole)
        rows[odd] = found.fill_null(NEVER).to_numpy()
        there = rows != NEVER
        return named[there], rows[there]

    def _matches_of_few(self, names: "IdIndex") -> tuple[Integers, Integers]:
        distinct = pc.unique(names.ids)
        there = pc.index_in(self.ids, value_set=distinct).fill_null(NEVER).to_numpy()
        rows = np.full(len(distinct), NEVER)
        at = np.flatnonzero(there != NEVER)
        rows[there[at]] = at
        found = rows[np.asarray(pc.index_in(names.ids, value_set=distinct).to_numpy(), dtype=np.int64)]
        named = np.flatnonzero(found != NEVER)
        return named, found[named]


def _likely(names: ByKey, shift: np.uint64, marks: npt.NDArray[np.bool_]) -> ByKey:
    """Return those whose keys begin as one that is marked.

    A part of a range is asked for all outcomes, and has the decisions of few: others are not searched for.
    """
    # Every beginning has a mark: clipping does nothing, and is quicker than to look whether it must.
    likely = np.flatnonzero(marks.take((names.keys >> shift).view(np.int64), mode="clip"))
    return ByKey(names.rows[likely], names.keys[likely])


def _joined(column: pa.ChunkedArray) -> pa.Array:
    if column.num_chunks == 1:
        return column.chunk(0)
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
