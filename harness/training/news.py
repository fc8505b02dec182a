"""News: the ids of new events, and whether one of them may be among the ids of a block."""

from collections.abc import Callable, Iterable
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from replay.fingerprints import Fingerprints, Sought, fingerprints

# Ids are shorter where a recorder wrote them: of longer ones no ends are kept.
ID_MAX = 256
# Of ids in any order half are less than the one before. Their ends would tell nothing, and take long to find.
_DESCENTS = 4
Ends = tuple[str, str]


def ends_of(ids: pa.ChunkedArray) -> Ends | None:
    """Return the least and the greatest of some ids, which mostly rise; None where they do not, or are long.

    >>> ends_of(pa.chunked_array([["a", "b"], ["d", "e", "c", "f"]]))
    ('a', 'f')
    >>> ends_of(pa.chunked_array([["b", "a"]])) is None
    True
    """
    if not len(ids):
        return None
    rises = pc.sum(pc.greater_equal(ids.slice(1), ids.slice(0, len(ids) - 1))).as_py() or 0
    descents = len(ids) - 1 - rises
    if _DESCENTS * descents >= len(ids):
        return None
    if descents:
        found = pc.min_max(ids).as_py()
        least, greatest = found["min"], found["max"]
    else:
        least, greatest = ids[0].as_py(), ids[-1].as_py()
    return None if max(len(least), len(greatest)) > ID_MAX else (least, greatest)


class News:
    """The ids of new events. Their fingerprints are made when the first block needs them."""

    def __init__(self, ids: Iterable[pa.ChunkedArray]) -> None:
        self._columns = [column.cast(pa.large_string()) for column in ids]

    @cached_property
    def _ids(self) -> pa.ChunkedArray:
        chunks = [chunk for column in self._columns for chunk in column.chunks]
        return pa.chunked_array(chunks, pa.large_string())

    @cached_property
    def _ends(self) -> Ends:
        found = pc.min_max(self._ids).as_py()
        return found["min"], found["max"]

    @cached_property
    def _sought(self) -> Sought:
        return Sought(fingerprints(self._ids))

    def any_in(self, ends: Ends | None, read: Callable[[], Fingerprints]) -> bool:
        """Return whether one of them may be among ids between `ends`, whose sorted fingerprints `read` gives.

        Ids that follow the time are told by their ends alone, and nothing is read (docs/adr/0089).
        """
        if not len(self._ids):
            return False
        if ends is not None and (self._ends[1] < ends[0] or ends[1] < self._ends[0]):
            return False
        return self._sought.any_among(read())
