"""Kept: what a set's folder keeps of its candidates, so that it can be continued without reading them again.

It is derived from the log and can be deleted: the set is then built anew. It holds ids, times, places and
labels; of features no more than the last bytes of a text, in the states of the digest. What is read is
checked against its digest, and the cells against the registration.
"""

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import pyarrow as pa

from harness.log.log import Log
from harness.training.blocks import (
    FOLDER,
    Block,
    Counted,
    File,
    Unusable,
    edges_of,
    read_blocks,
    read_ids,
    write_blocks,
    write_file,
)
from harness.training.candidates import Candidates
from harness.training.news import News
from harness.training.rows import Rows
from harness.training.spec import Spec
from recorders.canonical import canonical_json, digest
from replay import resumable
from replay.digest import Cells
from replay.join import microseconds
from replay.matching import MICROSECOND
from replay.ranges import AsOf

FORMAT: Final = "kept/3"
# What destroys values of the log, whatever place it is read at.
ERASURES: Final = "subject.*"
_INDEX, _ORPHANS, _CELLS, _STATES = "kept.json", "orphans.arrow", "cells", "states"


class Basis(NamedTuple):
    """What a set is kept under, and its first blocks where they are in place already.

    `erasures`: how many the log knew of before it was read.
    """

    set: str
    rows_per_part: int
    erasures: int
    stays: tuple[Block, ...] = ()


class Index(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept beside the columns. `totals` are within, late and orphan of each label."""

    format: str
    set: str
    as_of: AsOf
    rows_per_part: int
    erasures: int
    outcomes: dict[str, int]
    feature_sets: dict[str, int]
    totals: tuple[tuple[int, int, int], ...]
    blocks: tuple[Block, ...]
    orphans: File | None
    states: File

    @property
    def decisions(self) -> int:
        """How many decisions the set was cut from."""
        return sum(block.decisions for block in self.blocks)


@dataclass(frozen=True, slots=True)
class Kept:
    """What a set was cut from, in a folder: its blocks are read when they are asked for.

    `cells` are those of its digest, `states` what its last chunk is taken up from at the rows where a part
    begins.
    """

    folder: Path
    index: Index
    cells: bytes
    states: Mapping[int, bytes]

    def open_from(self, spec: Spec, decisions: int, news: News) -> int:
        """Return the first block that may differ in the set of `decisions` decisions; one is open at least.

        All before it are settled: every decision there was as old as each window when the set was cut, and
        none has an id among `news`, the ids of what came since.
        """
        blocks, edges = self.index.blocks, edges_of(decisions)
        window = max(rule.window for rule in spec.labels) // MICROSECOND
        settled = microseconds(self.index.as_of) - window
        found = 0
        for block, end in zip(blocks[:-1], edges[1:], strict=False):
            whole = block.first + block.decisions == end
            if not whole or block.newest > settled:
                break
            if news.any_in(block.ends, functools.partial(read_ids, self.folder, block)):
                break
            found += 1
        while found and not any(block.fresh for block in blocks[found:]):
            found -= 1
        return found

    def candidates(self, spec: Spec, first: int) -> Candidates:
        """Return the candidates from block `first` on.

        Raises:
            Unusable: they are not what was written.
        """
        index = self.index
        counted = Counted(outcomes=index.outcomes, totals=index.totals, orphans=self._orphans())
        return read_blocks(self.folder, index.blocks[first:], spec, counted)

    def _orphans(self) -> pa.Table | None:
        file = self.index.orphans
        if file is None:
            return None
        try:
            return pa.ipc.open_file(_checked(self.folder / FOLDER / _ORPHANS, file)).read_all()
        except (OSError, ValueError, pa.ArrowException) as error:
            raise Unusable from error


def erasures(log: Log, *, at_least: int | None = None) -> int:
    """Return how often the log says that somebody was erased; with `at_least` as `Log.heard` has it."""
    return len(log.controls(ERASURES) if at_least is None else log.heard(ERASURES, at_least=at_least))


def keep(partial: Path, rows: Rows, cells: Cells, basis: Basis) -> None:
    """Write what is kept of a set into its folder; `rows` are those of the blocks that are not in place."""
    of, folder = rows.candidates, partial / FOLDER
    folder.mkdir(exist_ok=True)
    first = sum(block.decisions for block in basis.stays)
    index = Index(
        format=FORMAT,
        set=basis.set,
        as_of=rows.as_of,
        rows_per_part=basis.rows_per_part,
        erasures=basis.erasures,
        outcomes=of.outcomes,
        feature_sets=rows.schemas.rows,
        totals=tuple((each.within, each.late, each.orphan) for _rule, each in of.latest),
        blocks=(*basis.stays, *write_blocks(partial, of, first)),
        orphans=None if of.orphans is None else _write_orphans(folder / _ORPHANS, of.orphans),
        states=write_file(folder / _STATES, msgspec.msgpack.encode(cells.states)),
    )
    (folder / _CELLS).write_bytes(b"".join(cells.chunks))
    body = msgspec.to_builtins(index)
    (folder / _INDEX).write_bytes(canonical_json({"sha256": digest(canonical_json(body)), "kept": body}))


def read_kept(folder: Path, name: str) -> Kept:
    """Return what a set's folder keeps.

    Raises:
        Unusable: nothing, or not what was written.
    """
    place = folder / FOLDER
    try:
        found = msgspec.json.decode((place / _INDEX).read_bytes())
        if digest(canonical_json(found["kept"])) != found["sha256"]:
            raise Unusable
        form, of = found["kept"]["format"], found["kept"]["set"]
        if form != FORMAT or of != name:
            raise Unusable(f"its folder keeps {form} of {of}")
        index = msgspec.convert(found["kept"], Index)
        states = msgspec.msgpack.decode(_checked(place / _STATES, index.states), type=dict[int, bytes])
        cells = (place / _CELLS).read_bytes()
        return Kept(folder, index, cells, states if resumable.AVAILABLE else {})
    except FileNotFoundError as error:
        raise Unusable("no folder of it is here that keeps what it was cut from") from error
    except (OSError, KeyError, TypeError, ValueError, msgspec.MsgspecError) as error:
        raise Unusable from error


def _checked(path: Path, file: File) -> bytes:
    """Return the bytes of a file that are those that were written."""
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise Unusable
    return data


def _write_orphans(path: Path, orphans: pa.Table) -> File:
    sink = pa.BufferOutputStream()
    table = orphans.sort_by("position").combine_chunks()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return write_file(path, sink.getvalue())
