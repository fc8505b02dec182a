"""A range measured in parts, on any engine: references of parts travel out, sums come back.

The paired columns of a part wait in a file until it is its turn: their digest is over all of them in order.
"""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from harness.engines.engine import Engine, staying
from harness.engines.errors import EngineLost
from harness.engines.shared import check_shared
from harness.kept_pairs import KeptPart, Range, keep, lead_of, load, read, tell
from harness.log.log import Address, Log
from harness.measured_part import MeasuredPart, Question, fold_part, pair_part
from harness.owned_folder import owned_folder
from harness.pair_files import ROWS, batches_of, write
from harness.sorted_once import SortedOnce, sort_once
from policies.groups import Grouped
from policies.plan import Plan
from policies.retrain_rule import RetrainRule
from policies.slice_plan import SlicePlan
from replay.digest import Cells

# A part's decisions and scores are held at once: some 300 bytes a position.
POSITIONS_MAX = 2**21
# Outcomes are sorted once for all parts of a range in a log that is so many times as long at most.
SHARED_MAX = 8
# What a file holds that has only the rows which no kept cell covers.
FRINGE = ".fringe"


def cut(start: int, stop: int, parts: int) -> list[Range]:
    """Return [start, stop) in at most `parts` ranges, equal to one position.

    >>> cut(1, 11, 3)
    [(1, 4), (4, 7), (7, 11)]
    """
    parts = max(1, min(parts, stop - start))
    ends = [start + (stop - start) * n // parts for n in range(parts + 1)]
    return list(pairwise(ends))


def cells(start: int, stop: int, positions: int) -> list[Range]:
    """Return [start, stop) cut at the multiples of `positions`: the same cells, however the range grows.

    >>> cells(3, 9, 4)
    [(3, 4), (4, 8), (8, 9)]
    """
    ends = [start, *range((start // positions + 1) * positions, stop, positions), stop]
    return list(pairwise(ends))


def even_end(parts: Sequence[Range], anew: int, workers: int) -> list[Range]:
    """Return the parts, the last of them cut so that so many workers end together.

    `anew` parts at the end have to be paired. Beyond whole rounds they are cut evenly, where that
    takes an eighth of the largest part off the last round: a part more is a pass over all outcomes more.

    >>> even_end([(1, 9), (9, 17), (17, 21)], 3, 2)
    [(1, 9), (9, 17), (17, 19), (19, 21)]
    """
    if not anew:
        return list(parts)
    rest = (anew - 1) % workers + 1
    last = parts[-rest:]
    even = cut(last[0][0], last[-1][1], workers)
    before = parts[-anew:-rest] if anew > rest else []
    gained = _rounds([*before, *last], workers) - _rounds([*before, *even], workers)
    longest = max(stop - start for start, stop in parts)
    return [*parts[:-rest], *even] if gained > longest // 8 else list(parts)


def _rounds(parts: Sequence[Range], workers: int) -> int:
    """Return how many positions go by until all are done, each part given to the first who is free."""
    busy = [0] * workers
    for start, stop in parts:
        busy.sort()
        busy[0] += stop - start
    return max(busy)


def undivided(plan: Plan) -> str | None:
    """Return why a plan is measured in one piece, None when it can be in parts."""
    if isinstance(plan.slices, SlicePlan):
        return "its slices are named in the order of all decisions"
    if isinstance(plan.retraining, RetrainRule):
        return "a proof of retraining compares its rivals on the same rows"
    for metric in plan.metrics:
        if isinstance(metric.kind, Grouped):
            return f"{metric.name} needs whole groups"
        if metric.function:
            return f"{metric.function} is called once with all rows"
    return None


class Piece(NamedTuple):
    """One part and where its pairs are kept; `key`: under what to keep them, None for not at all."""

    part: Range
    kept: KeptPart | None = None
    key: str | None = None

    def __repr__(self) -> str:
        return repr(self.part)


class Done(NamedTuple):
    """A measured part without its columns: they are where they are `kept`, else in the folder."""

    found: MeasuredPart
    kept: KeptPart | None


def map_parts(
    log: Log, question: Question, pieces: Sequence[Piece], engine: Engine
) -> tuple[MeasuredPart, str]:
    """Return what all parts say together, and the digest of their paired columns in order.

    The folder of temporary files must be one that this process and the workers share. Memory here: one part's
    paired columns and the evidence. Disk: the columns of the parts that are done before their turn.

    Raises:
        EngineLost, PartPoisoned, ClusterFailed: see harness.engines.errors.
    """
    merged: MeasuredPart | None = None
    new: list[KeptPart] = []
    with owned_folder("harness-parts-") as folder, staying(engine) as workers:
        known = _read_before(log, question, str(folder), pieces, workers)
        done = workers.map(partial(_measured, log.address, question, str(folder), known), pieces)
        digested = _Digested(log, question, str(folder))
        for index, (found, there) in _in_order(done, len(pieces)):
            merged = found if merged is None else merged.merge(found)
            kept = digested.add(pieces[index].part, there)
            if kept is not None and kept != pieces[index].kept:
                new.append(kept)
    if new and pieces[0].key is not None:
        replaced = {each.part for each in new}
        old = [piece.kept for piece in pieces if piece.kept is not None and piece.part in replaced]
        tell(log, pieces[0].key, new, instead=old)
    assert merged is not None, "there is a part at least"
    return merged, digested.digest()


def _read_before(
    log: Log, question: Question, folder: str, pieces: Sequence[Piece], engine: Engine
) -> SortedOnce | None:
    """Return what several parts will ask for, read and sorted once; None where each reads it by itself.

    That is where one part asks, and where the range is a small piece of the log, whose outcomes fill a disk.
    """
    end = question.as_of.position + 1
    small = end > SHARED_MAX * (question.stop - question.start)
    if small or sum(piece.kept is None for piece in pieces) < 2:  # noqa: PLR2004  one has nobody to share with
        return None
    outcomes = cut(1, end, max(len(pieces), -(-end // POSITIONS_MAX)))
    return sort_once(log, question, folder, engine, [piece.part for piece in pieces], outcomes)


class _Digested:
    """The digest of the paired columns of all parts, added in order; one part's are held at a time."""

    def __init__(self, log: Log, question: Question, folder: str) -> None:
        self._log, self._question, self._folder = log, question, folder
        self._cells: Cells | None = None
        self._numbers = 0

    def add(self, part: Range, kept: KeptPart | None) -> KeptPart | None:
        """Add the rows of a part; return how it is kept, with its cells, if it is.

        Cells that were kept are taken over where as many rows precede them as then; the others are read.
        """
        before = 0 if self._cells is None else self._cells.rows
        if kept is not None and kept.cells and kept.lead == lead_of(before):
            fringe = _path(self._folder, part, FRINGE)
            rows = pa.Table.from_batches(batches_of(fringe))
            self._add(rows.slice(0, kept.lead).to_batches(), rows.schema).take_all(kept.cells)
            self._add(rows.slice(kept.lead).to_batches(), rows.schema)
            fringe.unlink()
            return kept
        table = None if kept is None else read(self._log, kept)
        if kept is not None and table is not None:
            cells = self._add(table.to_batches(max_chunksize=ROWS), table.schema)
            return kept.with_cells(before, cells.since(before))
        path = _path(self._folder, part)
        if not path.exists():  # what was kept went away while it was read
            _put(path, pair_part(self._log, self._question, *part).table)
        for batch in batches_of(path):
            self._add([batch], batch.schema)
        path.unlink()
        return kept

    def _add(self, batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Cells:
        rows = [batch for batch in batches if batch.num_rows]
        found = rows[0].schema if rows else schema
        # A feature is text in a part without decisions, whatever it is in others: no rows tell no type.
        if self._cells is None or (not self._cells.rows and (rows or _numbers(found) > self._numbers)):
            self._cells, self._numbers = Cells(found), _numbers(found)
        for batch in rows:
            self._cells.add(batch)
        return self._cells

    def digest(self) -> str:
        """Return the digest; there was a part at least."""
        assert self._cells is not None, "every part has columns, if no rows"
        return self._cells.digest()


def _numbers(schema: pa.Schema) -> int:
    return sum(pa.types.is_floating(field.type) for field in schema)


def _measured(
    address: Address, question: Question, folder: str, known: SortedOnce | None, piece: Piece
) -> Done:
    """Return what a part says. Its columns are where they are kept, or in their file, done twice or once."""
    check_shared(folder)
    with address.open() as log:
        loaded, kept = load(log, piece.kept, question), piece.kept
        if loaded is not None:
            pairs = loaded.pairs
        else:
            pairs = pair_part(log, question, *piece.part, known)
            # The last part grows with the next look, unless no more can come.
            lasting = piece.part[1] < question.stop or pairs.settled
            kept = keep(log, piece.key, question, piece.part, pairs) if piece.key and lasting else None
        found = fold_part(log, question, pairs)
        if kept is None:
            _put(_path(folder, piece.part), pairs.table)
        elif loaded is not None and loaded.fringe is not None:
            _put(_path(folder, piece.part, FRINGE), loaded.fringe)
    return Done(found.without_columns(), kept)


def _put(path: Path, table: pa.Table) -> None:
    own = path.with_suffix(f".{uuid.uuid4().hex}")  # its name alone is by chance
    write(own, table)
    own.replace(path)


def _in_order(done: Iterator[tuple[int, Done]], parts: int) -> Iterator[tuple[int, Done]]:
    """Yield every part when all before it were yielded."""
    waiting: dict[int, Done] = {}
    turn = 0
    for index, found in done:
        waiting[index] = found
        while turn in waiting:
            yield turn, waiting.pop(turn)
            turn += 1
    if turn < parts:
        raise EngineLost([n for n in range(turn, parts) if n not in waiting], parts)


def _path(folder: str, part: Range, kind: str = "") -> Path:
    return Path(folder) / f"{part[0]}-{part[1]}{kind}.arrow"
