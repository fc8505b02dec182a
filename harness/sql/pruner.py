"""What a condition rules out before it is read: pieces of the log, batches, row groups."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
from pyarrow.fs import LocalFileSystem

from harness.log.predicate import Bounds
from harness.sql.columns import Column

_FORMAT: Final = ds.ParquetFileFormat()
_NOWHERE: Final = LocalFileSystem()


class Scanned(msgspec.Struct):
    """What the scans of one relation touched: row groups of segments, `batches` of what is not sealed."""

    segments: int = 0
    segments_read: int = 0
    groups_read: int = 0
    groups_pruned: int = 0
    batches: int = 0
    batches_read: int = 0
    rows: int = 0


class Pruner:
    """Tells which rows can meet a condition, from what is known of them, and counts row groups."""

    def __init__(self, condition: pc.Expression | None, columns: Sequence[Column], scanned: Scanned) -> None:
        self.condition = condition
        self.scanned = scanned
        self._schema = pa.schema([(column.name, column.type) for column in columns])
        # Expressions do not tell their fields. A name that only occurs in a text costs a look more, no row.
        text = str(condition)
        self.mentioned = [column for column in columns if condition is not None and column.name in text]

    def may_match(self, known: pc.Expression) -> bool:
        """Return whether a row of which `known` is true can meet the condition; True if that is not sure."""
        if self.condition is None:
            return True
        # Datasets leave out files by what is known of them: asking for the fragments opens none.
        fragment = _FORMAT.make_fragment("unread", filesystem=_NOWHERE, partition_expression=known)
        dataset = ds.FileSystemDataset([fragment], self._schema, _FORMAT, _NOWHERE)
        return any(True for _ in dataset.get_fragments(self.condition))

    def skips(self, bounds: Callable[[str], Bounds | None]) -> bool:
        """Return whether no row of a row group can meet the condition. `bounds` is by name in the log."""
        excluded = any(self._excludes(column, bounds(column.source)) for column in self.mentioned)
        self.scanned.groups_pruned += excluded
        self.scanned.groups_read += not excluded
        return excluded

    def _excludes(self, column: Column, found: Bounds | None) -> bool:
        if found is None or found.type != column.type:
            return False
        field = pc.field(column.name)
        low, high = (pa.scalar(end, column.type) for end in (found.low, found.high))
        return not self.may_match((field >= low) & (field <= high)) and not (
            found.nulls and self.may_match(field.is_null())
        )
