"""Parts: where a set's rows are cut into files, and how these are written; a function of the rows alone."""

import hashlib
import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from replay.digest import CHUNK_ROWS

ROWS_PER_PART = 2**18
DATA = "data"
_FINER, _SMALLEST = 8, 2**11

Entry = dict[str, Any]


def cuts(rows: int, rows_per_part: int) -> list[int]:
    """Return where the parts begin, and where the last one ends.

    What is left after the full parts is cut into eighths of one, what is left then into 64ths: a set that
    grows keeps all parts but its last few rows.

    >>> cuts(300_000, 2**18)
    [0, 262144, 294912, 299008, 300000]
    """
    found, size = [0], rows_per_part
    while found[-1] < rows:
        left = rows - found[-1]
        while size > left and size // _FINER >= _SMALLEST:
            size //= _FINER
        found.append(found[-1] + min(size, left))
    return found


def marks(edges: Sequence[int]) -> list[int]:
    """Return where parts begin inside of the digest's last chunk, as long as that is not full.

    There the digest of a longer set is taken up.
    """
    open_from = edges[-1] - edges[-1] % CHUNK_ROWS
    return [edge for edge in edges[:-1] if edge > open_from]


class PartWriter:
    """Writes rows into parts as they pass, row groups cut where the digest's chunks are.

    `kept` are the entries of parts that are in place already, by the number of their first row. What is on
    disk is synced.
    """

    def __init__(self, partial: Path, edges: Sequence[int], kept: Mapping[int, Entry] | None = None) -> None:
        self.partial, self.edges = partial, edges
        self._entries: dict[int, Entry] = dict(kept or {})
        self._kept = frozenset(self._entries)
        self._open: tuple[pq.ParquetWriter, Any] | None = None
        self._held: list[pa.RecordBatch] = []
        self._at = 0
        self._first = self._last = 0
        (partial / DATA).mkdir(exist_ok=True)

    @property
    def parts(self) -> list[Entry]:
        """What is said of each part in the manifest, in order."""
        return [self._entries[first] for first in self.edges[:-1]]

    def through(self, batches: Iterable[pa.RecordBatch], first: int = 0) -> Iterator[pa.RecordBatch]:
        """Yield the batches, each when it is written; their first row is number `first`."""
        self._at = first
        for batch in batches:
            self._add(batch)
            yield batch

    def abandon(self) -> None:
        """Close what is open without keeping it."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _add(self, batch: pa.RecordBatch) -> None:
        at = 0
        while at < batch.num_rows:
            number = bisect_right(self.edges, self._at)
            first, edge = self.edges[number - 1], self.edges[number]
            end = min(edge, (self._at // CHUNK_ROWS + 1) * CHUNK_ROWS)
            take = min(end - self._at, batch.num_rows - at)
            if first not in self._kept:
                self._held.append(batch.slice(at, take))
            at, self._at = at + take, self._at + take
            if self._at == end and self._held:
                self._write(pa.Table.from_batches(self._held).combine_chunks())
            if self._at == edge and first not in self._kept:
                self._finish(first, edge - first)

    def _write(self, rows: pa.Table) -> None:
        """Write one row group: its bytes say nothing of the batches that the rows came in."""
        self._held = []
        if self._open is None:
            file = (self.partial / DATA / "open").open("wb")
            # Numbers of features rarely repeat: a dictionary of them costs more than it saves.
            text = [field.name for field in rows.schema if pa.types.is_string(field.type)]
            self._open = (pq.ParquetWriter(file, rows.schema, compression="zstd", use_dictionary=text), file)
            self._first = rows.column("position")[0].as_py()
        self._open[0].write_table(rows, row_group_size=CHUNK_ROWS)
        self._last = rows.column("position")[-1].as_py()

    def _finish(self, first: int, rows: int) -> None:
        assert self._open is not None, "rows were written"
        writer, file = self._open
        writer.close()
        file.flush()
        os.fsync(file.fileno())
        self.abandon()
        name = f"{DATA}/part-{self._first:012d}-{self._last:012d}.parquet"
        path = (self.partial / DATA / "open").rename(self.partial / name)
        self._entries[first] = {
            "file": name,
            "first": self._first,
            "last": self._last,
            "rows": rows,
            "bytes": path.stat().st_size,
            "sha256": sha256_of(path),
        }


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
