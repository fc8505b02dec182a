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
# Parts of so few rows become larger ones as the set grows: to compress them costs more than to write them.
PLAIN_ROWS = 2**12

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
        self._open: _Open | None = None
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
            self._open.file.close()
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
                self._write(pa.Table.from_batches(self._held).combine_chunks(), edge - first)
            if self._at == edge and first not in self._kept:
                self._finish(first, edge - first)

    def _write(self, rows: pa.Table, of: int) -> None:
        """Write one row group of a part of `of` rows: its bytes say nothing of the batches they came in."""
        self._held = []
        if self._open is None:
            self._open = _Open(self.partial / DATA / "open", rows.schema, plain=of <= PLAIN_ROWS)
            self._first = rows.column("position")[0].as_py()
        self._open.writer.write_table(rows, row_group_size=CHUNK_ROWS)
        self._last = rows.column("position")[-1].as_py()

    def _finish(self, first: int, rows: int) -> None:
        assert self._open is not None, "rows were written"
        found = self._open.finished()
        self._open = None
        name = f"{DATA}/part-{self._first:012d}-{self._last:012d}.parquet"
        (self.partial / DATA / "open").rename(self.partial / name)
        span = {"file": name, "first": self._first, "last": self._last, "rows": rows}
        self._entries[first] = {**span, **found}


class _Open:
    """A part that is being written. A `plain` one is not compressed, and is written when it is whole."""

    def __init__(self, path: Path, schema: pa.Schema, *, plain: bool) -> None:
        self._path, self.file = path, path.open("wb")
        self._whole = pa.BufferOutputStream() if plain else None
        # Numbers of features rarely repeat: a dictionary of them costs more than it saves.
        text = [field.name for field in schema if pa.types.is_string(field.type)]
        sink = self.file if self._whole is None else self._whole
        self.writer = pq.ParquetWriter(
            sink, schema, compression="none" if plain else "zstd", use_dictionary=text
        )

    def finished(self) -> Entry:
        """Return the size and the digest of the file, which is synced."""
        self.writer.close()
        data = None if self._whole is None else self._whole.getvalue()
        with self.file:
            if data is not None:
                self.file.write(data)
            self.file.flush()
            os.fsync(self.file.fileno())
            size = self.file.tell()
        digest = sha256_of(self._path) if data is None else hashlib.sha256(data).hexdigest()
        return {"bytes": size, "sha256": digest}


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
