"""Reuse: what of a set stays as it is in the longer one, and the writing of the rest."""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.training.files import linked
from harness.training.folder import TrainingSet
from harness.training.kept import Kept, Unusable, cells_of, variable
from harness.training.parts import Entry, PartWriter, cuts, sha256_of
from harness.training.rows import Rows
from replay.columns import int64
from replay.differ import differs
from replay.digest import CHUNK_ROWS, Cells

_NAME = re.compile(r"data/part-\d{12,19}-\d{12,19}\.parquet")


@dataclass(frozen=True, slots=True)
class Reused:
    """What a longer set took over: `parts` of `of_parts` files, and how many `rows` were read again.

    `why` says why nothing was; None where something could be.
    """

    parts: int
    of_parts: int
    rows: int
    why: str | None = None


def rewritten(kept: Kept, base: TrainingSet, rows: Rows, partial: Path) -> tuple[PartWriter, Cells, Reused]:
    """Write the rows into `partial`; parts and cells of `base` that cannot have changed are taken over.

    A part stays when it holds the same decisions with the same labels at the same places. The log gives the
    same features for them: what alone could change them, an erasure, is ruled out by who calls.

    Raises:
        Unusable: a part of the base that is needed is not what its digest names.
    """
    size = kept.index.rows_per_part
    edges, before = cuts(rows.size, size), cuts(base.manifest["rows"], size)
    same = unchanged(kept, rows)
    there = dict(zip(pairwise(before), _parts(base.manifest, len(before) - 1), strict=True))
    taken = {
        part: there[part]
        for part in pairwise(edges)
        if part in there and same(*part) and linked(base.folder, partial, there[part])
    }
    writer = PartWriter(partial, edges, {first: entry for (first, _last), entry in taken.items()})
    cells, known, read = Cells(rows.schema), cells_of(kept.index), 0
    if Cells.of(rows.schema, base.manifest["rows"], known).digest() != base.digest:
        raise Unusable("what its folder keeps is not what was registered")
    for at in range(0, rows.size, CHUNK_ROWS):
        end = min(at + CHUNK_ROWS, rows.size)
        pieces = _pieces(edges, at, end)
        if end - at == CHUNK_ROWS and same(at, end) and all(part in taken for part, *_ in pieces):
            cells.take(known[at // CHUNK_ROWS])
            continue
        for part, first, last in pieces:
            if part in taken:
                source = _of_part(partial, taken[part], first // CHUNK_ROWS - part[0] // CHUNK_ROWS)
            else:
                source, read = rows.batches(first, last), read + last - first
            for batch in writer.through(source, first):
                cells.add(batch)
    return writer, cells, Reused(len(taken), len(edges) - 1, read)


def unchanged(kept: Kept, rows: Rows) -> Callable[[int, int], bool]:
    """Return the test whether rows [first, last) are the same decisions with the same labels in both sets."""
    now = variable(rows)
    old, new = (int64(each.column("position"), "position") for each in (kept.own, now))
    shared = min(old.size, new.size)
    moved = np.flatnonzero(old[:shared] != new[:shared])
    stays = int(moved[0]) if moved.size else shared
    left, right = kept.own.slice(0, stays), now.slice(0, stays)
    changed = np.flatnonzero(differs(left, right, [name for name in now.schema.names if name != "position"]))
    return lambda first, last: (
        last <= stays and bool(np.searchsorted(changed, first) == np.searchsorted(changed, last))
    )


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


def _of_part(partial: Path, entry: Entry, group: int) -> Iterator[pa.RecordBatch]:
    """Yield a row group of a part, which is one chunk's rows, from the bytes that its digest names."""
    path = partial / entry["file"]
    if sha256_of(path) != entry["sha256"]:
        raise Unusable(f"its part {entry['file']} is damaged")
    yield pq.ParquetFile(path).read_row_group(group).combine_chunks().to_batches()[0]
