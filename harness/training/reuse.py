"""Reuse: what of a set stays as it is in the longer one, and the writing of the rest."""

import hashlib
import re
from bisect import bisect_right
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.training.blocks import NOT_REGISTERED, Unusable
from harness.training.files import linked
from harness.training.folder import TrainingSet
from harness.training.kept import Kept
from harness.training.parts import Entry, PartWriter, cuts, marks
from harness.training.stream import Own, whole_batch
from harness.training.tail import Tail
from replay.columns import int64
from replay.differ import differs
from replay.digest import CELL_BYTES, CHUNK_ROWS, Cells
from replay.matching import Integers

_STILL = ("decision_id", "occurred_at", "split", "fold")
_NAME = re.compile(r"data/part-\d{12,19}-\d{12,19}\.parquet")


@dataclass(frozen=True, slots=True)
class Reused:
    """What a longer set took over: `parts` of `of_parts` files; `rows` were read from the log.

    `decisions` were judged, of which some are no rows. `why` says why nothing was taken over; None where
    something could be.
    """

    parts: int
    of_parts: int
    rows: int
    decisions: int
    why: str | None = None


def rewritten(kept: Kept, base: TrainingSet, tail: Tail, partial: Path) -> tuple[PartWriter, Cells, Reused]:
    """Write the longer set into `partial`; parts and cells of `base` that cannot have changed are kept.

    A part stays when it holds the same decisions with the same labels at the same places. The log gives the
    same features for them: what alone could change them, an erasure, is ruled out by who calls.

    Raises:
        Unusable: a part of the base that is needed is not what its digest names.
    """
    size, rows, schema, first = tail.outline.size, tail.rows, tail.outline.schema, tail.first
    edges, before = (cuts(each, tail.rows_per_part) for each in (size, base.manifest["rows"]))
    same = Unchanged.between(tail)
    there = dict(zip(pairwise(before), _parts(base.manifest, len(before) - 1), strict=True))
    stored = _Stored(base.folder, there, schema)
    taken = {
        part: there[part]
        for part in pairwise(edges)
        if part in there and same.until(part[0]) >= part[1] and linked(base.folder, partial, there[part])
    }
    writer = PartWriter(partial, edges, {start: entry for (start, _end), entry in taken.items()})
    found, width, read = Cells(schema, marks(edges)), CELL_BYTES * len(schema), 0
    if Cells.of(schema, base.manifest["rows"], [kept.cells]).digest() != base.digest:
        raise Unusable(NOT_REGISTERED)
    for at in range(0, size, CHUNK_ROWS):
        end = min(at + CHUNK_ROWS, size)
        still = max(at, min(same.until(at), end))
        stays = _taken_until(taken, edges, at, still)
        if stays == at + CHUNK_ROWS:
            found.take(kept.cells[at // CHUNK_ROWS * width :][:width])
            continue
        begin = max((mark for mark in kept.states if at < mark <= stays), default=at)
        if begin > at:
            _resume(found, begin, kept)
        fresh = rows.batches(still - first, end - first) if still < end else ()
        together = [whole_batch(chain(stored.rows(begin, still), fresh))] if begin < end else ()
        for batch in writer.through(together, begin):
            found.add(batch)
        read += end - still
    return writer, found, Reused(len(taken), len(edges) - 1, read, rows.codes.size)


def _resume(cells: Cells, row: int, kept: Kept) -> None:
    try:
        cells.resume(row, kept.states)
    except (ValueError, msgspec.MsgspecError) as error:
        raise Unusable from error


def _taken_until(taken: Container[tuple[int, int]], edges: Sequence[int], at: int, still: int) -> int:
    """Return up to where the rows from `at` on are in parts that were taken over, `still` at most."""
    for part, _start, _end in _pieces(edges, at, still):
        if part not in taken:
            return max(at, part[0])
    return still


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Which rows are the same decisions with the same labels in both sets: those before `stays`, or not."""

    stays: int
    changed: Integers

    @classmethod
    def between(cls, tail: Tail) -> "Unchanged":
        """Return what is unchanged between a set and the longer one."""
        was, now = _variable(tail.was.own), _variable(tail.rows.own)
        old, new = (int64(each.column("position"), "position") for each in (was, now))
        shared = min(old.size, new.size)
        moved = np.flatnonzero(old[:shared] != new[:shared])
        stays = int(moved[0]) if moved.size else shared
        left, right = was.slice(0, stays), now.slice(0, stays)
        names = [name for name in now.schema.names if name != "position"]
        return cls(tail.first + stays, tail.first + np.flatnonzero(differs(left, right, names)))

    def until(self, first: int) -> int:
        """Return up to where the rows from `first` on are unchanged; `first` or less where it is changed."""
        at = np.searchsorted(self.changed, first)
        return int(self.changed[at]) if at < self.changed.size else self.stays


def _variable(own: Own) -> pa.Table:
    """Return the own columns of a set that can change for the same decisions, and the places of its rows."""
    return pa.table({name: column for name, column in own.items() if name not in _STILL})


def _parts(manifest: dict[str, Any], number: int) -> list[Entry]:
    """Return the entries of the parts, whose names lead nowhere else.

    Raises:
        Unusable: they are damaged.
    """
    try:
        entries = [
            Entry(file=each["file"], sha256=each["sha256"], bytes=int(each["bytes"]), **_span(each))
            for each in manifest["parts"]
            if _NAME.fullmatch(each["file"])
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise Unusable("its manifest's list of parts is damaged") from error
    if len(entries) != number:
        raise Unusable("its manifest's list of parts is damaged")
    return entries


def _span(entry: dict[str, Any]) -> dict[str, int]:
    return {name: int(entry[name]) for name in ("first", "last", "rows")}


def _pieces(edges: Sequence[int], at: int, end: int) -> list[tuple[tuple[int, int], int, int]]:
    """Return the parts that rows [at, end) are in, each with those of the rows that it holds."""
    found = []
    for number in range(bisect_right(edges, at) - 1, len(edges) - 1):
        part = edges[number], edges[number + 1]
        if part[0] >= end:
            break
        found.append((part, max(at, part[0]), min(end, part[1])))
    return found


class _Stored:
    """The rows of the parts of a set, from bytes that their digests name; a part is opened once."""

    def __init__(self, folder: Path, parts: Mapping[tuple[int, int], Entry], schema: pa.Schema) -> None:
        self._folder, self._parts, self._schema = folder, parts, schema
        self._edges = [0, *(last for _first, last in parts)]
        self._open: tuple[tuple[int, int], pq.ParquetFile] | None = None

    def rows(self, first: int, last: int) -> Iterator[pa.RecordBatch]:
        """Yield rows [first, last) of one chunk; a row group of a part holds no others.

        Raises:
            Unusable: a part is not what its digest names.
        """
        for part, start, end in _pieces(self._edges, first, last):
            group = start // CHUNK_ROWS - part[0] // CHUNK_ROWS
            begins = max(part[0], start - start % CHUNK_ROWS)
            rows = (
                self._file(part).read_row_group(group, use_threads=False).slice(start - begins, end - start)
            )
            for batch in rows.to_batches():
                yield pa.RecordBatch.from_arrays(batch.columns, schema=self._schema)

    def _file(self, part: tuple[int, int]) -> pq.ParquetFile:
        if self._open is None or self._open[0] != part:
            entry = self._parts[part]
            try:
                with pa.memory_map(str(self._folder / entry["file"])) as source:
                    data = source.read_buffer()
            except OSError as error:
                raise Unusable(f"its part {entry['file']} cannot be read") from error
            if hashlib.sha256(data).hexdigest() != entry["sha256"]:
                raise Unusable(f"its part {entry['file']} is damaged")
            self._open = part, pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
        return self._open[1]
