"""Read one file of a segment: the row groups and columns that are asked for, each byte checked first."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from harness.log.part_bytes import Fetched, Mapped
from harness.log.part_writer import chunk_ranges
from harness.log.predicate import Bounds, Wanted, matching
from harness.log.segments import DIGEST_BYTES, Part, RowGroup
from harness.log.store import Store
from harness.segment_errors import SegmentAltered, SegmentMissing

_GAP_BYTES: Final = 64 * 2**10  # what lies between two chunks is fetched too when it is less than this
# Bytes a row, before compression: texts that take less are numbers of a dictionary with few entries.
TEXT_BYTES: Final = 2.5


class PartReader:
    """An open part. A file on a disk is read through memory; of another only what is needed is fetched.

    Raises:
        SegmentMissing, SegmentAltered, StoreError: here and from `batches`.
    """

    def __init__(self, store: Store, part: Part) -> None:
        self._store = store
        self._part = part
        try:
            file = store.mapped(part.path)
            size = 0 if file is None else file.size()
            if store.local and size != part.bytes:
                raise SegmentAltered(part.path, part.first, f"it has {size} bytes, not {part.bytes}")
            self._bytes = Fetched(part.bytes) if file is None else Mapped(file)
            self._fetch([(part.bytes - part.footer_bytes, part.bytes)])
        except FileNotFoundError as error:
            raise SegmentMissing(store.shown, part.path, part.first) from error
        footer = self._bytes.of(part.bytes - part.footer_bytes, part.bytes)
        if hashlib.sha256(footer).hexdigest() != part.footer_digest:
            raise SegmentAltered(part.path, part.first, "its footer is not what its digest names")
        self._file = self._opened()
        self._metadata = self._file.metadata
        self._leaves = [self._metadata.schema.column(n).path for n in range(self._metadata.num_columns)]
        self._columns: frozenset[str] = frozenset(self.schema.names)

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns of the part, with their metadata."""
        return self._file.schema_arrow

    def batches(self, start: int, stop: int, wanted: Wanted) -> Iterator[pa.RecordBatch]:
        """Yield the wanted rows with positions in [start, stop), a row group at a time."""
        if any(term.column not in self._columns for term in wanted.conditions):
            return
        names = wanted.names(self.schema)
        needed = [*names, *(term.column for term in wanted.conditions if term.column not in names)]
        read = self._reader(list(dict.fromkeys(needed)))
        for number, group in enumerate(self._part.groups):
            if group.last < start or group.first >= stop or wanted.excludes(partial(self._bounds, number)):
                continue
            batch = _within(read(number, group), start, stop)
            batch = matching(batch, wanted.conditions)
            if batch.num_rows:
                yield batch if len(needed) == len(names) else batch.select(names)

    def _reader(self, names: list[str]) -> Callable[[int, RowGroup], pa.RecordBatch]:
        """Return what reads these columns of a row group, by its number.

        Texts of few values are made faster from the numbers of a dictionary than one by one.
        """
        leaves = [n for n, path in enumerate(self._leaves) if self._holds(names, path)]
        numbered = [self._leaves[n] for n in leaves if self._has_few_values(n)]
        file = self._opened(metadata=self._metadata, read_dictionary=numbered) if numbered else self._file

        def read(number: int, group: RowGroup) -> pa.RecordBatch:
            self._check(number, group, leaves)
            columns = file.read_row_group(number, columns=names).select(names)
            for name in numbered:
                field = self.schema.field(name)
                columns = columns.set_column(names.index(name), field, columns.column(name).cast(field.type))
            return columns.combine_chunks().to_batches()[0]

        return read

    def _holds(self, names: list[str], path: str) -> bool:
        return path in names or (
            path not in self._columns and any(path.startswith(f"{name}.") for name in names)
        )

    def _opened(self, **how: Any) -> pq.ParquetFile:
        return pq.ParquetFile(self._bytes.source(), pre_buffer=False, **how)

    def _has_few_values(self, leaf: int) -> bool:
        path = self._leaves[leaf]
        if path not in self._columns or not pa.types.is_string(self.schema.field(path).type):
            return False
        groups = (self._metadata.row_group(n) for n in range(self._metadata.num_row_groups))
        size: int = sum(group.column(leaf).total_uncompressed_size for group in groups)
        return size < TEXT_BYTES * self._part.rows

    def _check(self, number: int, group: RowGroup, leaves: Sequence[int]) -> None:
        """Compare every chunk that is decoded with its digest."""
        ranges = chunk_ranges(self._metadata, number)
        self._fetch([ranges[n] for n in leaves])
        width = 2 * DIGEST_BYTES
        for n in leaves:
            found = hashlib.sha256(self._bytes.of(*ranges[n])).digest()[:DIGEST_BYTES].hex()
            if found != group.chunks[n * width : (n + 1) * width]:
                what = f"column {self._leaves[n]} is not what its digest names"
                raise SegmentAltered(self._part.path, group.first, what)

    def _bounds(self, number: int, name: str) -> Bounds | None:
        """Return what the statistics of a row group say of a column."""
        if name not in self._leaves or name not in self._columns:
            return None
        found = self._metadata.row_group(number).column(self._leaves.index(name)).statistics
        if found is None or not found.has_min_max:
            return None
        nulls = not found.has_null_count or found.null_count > 0
        return Bounds(self.schema.field(name).type, found.min, found.max, nulls)

    def _fetch(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Have the bytes of these ranges in memory."""
        if isinstance(self._bytes, Mapped):
            return
        runs: list[tuple[int, int]] = []
        for start, stop in sorted(ranges):
            if runs and start - runs[-1][1] <= _GAP_BYTES:
                runs[-1] = (runs[-1][0], max(stop, runs[-1][1]))
            else:
                runs.append((start, stop))
        try:
            fetched = self._store.ranges(self._part.path, runs)
        except FileNotFoundError as error:
            raise SegmentMissing(self._store.shown, self._part.path, self._part.first) from error
        for (start, stop), data in zip(runs, fetched, strict=True):
            if len(data) != stop - start:
                what = f"it ends before byte {stop}"
                raise SegmentAltered(self._part.path, self._part.first, what)
            self._bytes.put(start, data)


def _within(batch: pa.RecordBatch, start: int, stop: int) -> pa.RecordBatch:
    """Return the rows with positions in [start, stop)."""
    places = batch.column("position").to_numpy()
    low, high = (int(place) for place in places.searchsorted([start, stop]))
    return batch if high - low == batch.num_rows else batch.slice(low, high - low)
