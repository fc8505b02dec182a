"""Write one file of a segment on this machine's disk, and say what is in it."""

import hashlib
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from harness.log.encodings import how_to_write
from harness.log.segments import DIGEST_BYTES, RowGroup

ROWS_PER_GROUP: Final = 131_072
BYTES_PER_GROUP: Final = 64 * 2**20
_END_BYTES: Final = 8  # the footer's length and the closing magic


class Written(msgspec.Struct, frozen=True):
    """A finished file, with what a manifest says of it."""

    path: Path
    rows: int
    first: int
    last: int
    bytes: int
    digest: str
    footer_bytes: int
    footer_digest: str
    groups: tuple[RowGroup, ...]


class PartWriter:
    """Collects batches that have a column `position`, in its order, and writes them as row groups.

    Parquet with statistics of every column chunk, and the Arrow schema with its metadata: what is read back
    has the columns, types and marks of what was added. The first row group says how columns are packed;
    `opaque` ones are compressed already.
    """

    def __init__(self, path: Path, schema: pa.Schema, *, opaque: Sequence[str] = ()) -> None:
        self.path = path
        self._held: list[pa.RecordBatch] = []
        self._groups: list[tuple[int, int, int]] = []
        self.held_rows = 0
        self.held_bytes = 0
        self._schema = schema
        self._opaque = opaque
        self._writer: pq.ParquetWriter | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        """Take one batch more; a full row group is written."""
        self._held.append(batch)
        self.held_rows += batch.num_rows
        self.held_bytes += batch.nbytes
        if self.held_rows >= ROWS_PER_GROUP or self.held_bytes >= BYTES_PER_GROUP:
            self.flush()

    def flush(self) -> None:
        """Write what is held as one row group."""
        if not self.held_rows:
            return
        table = pa.Table.from_batches(self._held)
        writer = self._writer = self._writer or self._opened(table)
        places = table.column("position")
        self._groups.append((table.num_rows, places[0].as_py(), places[-1].as_py()))
        writer.write_table(table, row_group_size=table.num_rows)
        self._held, self.held_rows, self.held_bytes = [], 0, 0

    def _opened(self, first: pa.Table) -> pq.ParquetWriter:
        return pq.ParquetWriter(
            self.path,
            self._schema,
            use_compliant_nested_type=False,  # else lists come back with another name for their elements
            **how_to_write(first, self._opaque),
        )

    def close(self) -> Written:
        """Return what was written. At least one row was."""
        self.flush()
        assert self._writer is not None, "it has a row"
        self._writer.close()
        with self.path.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
            size = len(data)
            footer = int.from_bytes(data[size - _END_BYTES : size - _END_BYTES + 4], "little") + _END_BYTES
            metadata = pq.read_metadata(self.path)
            groups = tuple(
                RowGroup(rows, first, last, "".join(chunk_digests(data, metadata, number)))
                for number, (rows, first, last) in enumerate(self._groups)
            )
            return Written(
                path=self.path,
                rows=metadata.num_rows,
                first=groups[0].first,
                last=groups[-1].last,
                bytes=size,
                digest=hashlib.sha256(data).hexdigest(),
                footer_bytes=footer,
                footer_digest=hashlib.sha256(data[size - footer :]).hexdigest(),
                groups=groups,
            )


def chunk_ranges(metadata: pq.FileMetaData, group: int) -> list[tuple[int, int]]:
    """Return where the column chunks of a row group begin and stop in the file, in order of columns."""
    row_group = metadata.row_group(group)
    found = []
    for index in range(row_group.num_columns):
        column = row_group.column(index)
        start = column.data_page_offset
        if column.has_dictionary_page:
            start = min(start, column.dictionary_page_offset)
        found.append((start, start + column.total_compressed_size))
    return found


def chunk_digests(data: mmap.mmap, metadata: pq.FileMetaData, group: int) -> list[str]:
    """Return the digest of each column chunk of a row group, in order of columns."""
    with memoryview(data) as view:
        return [
            hashlib.sha256(view[start:stop]).digest()[:DIGEST_BYTES].hex()
            for start, stop in chunk_ranges(metadata, group)
        ]
