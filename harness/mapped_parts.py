"""A range measured in parts, on any engine: references of parts travel out, sums come back.

The paired columns of a part wait in a file until it is its turn: their digest is over all of them in order.
"""

import tempfile
import uuid
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from harness.engines.engine import Engine
from harness.engines.errors import EngineLost
from harness.kept_pairs import ROWS, KeptPart, Range, batches_of, keep, load, read, tell, write
from harness.log.log import Address, Log
from harness.measured_part import MeasuredPart, Question, fold_part, pair_part
from policies.groups import Grouped
from policies.plan import Plan
from policies.retrain_rule import RetrainRule
from policies.slice_plan import SlicePlan
from replay.digest import canonical_digest

# A part's decisions and scores are held at once: some 300 bytes a position.
POSITIONS_MAX = 2**21


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
    merged: list[MeasuredPart] = []
    new: list[KeptPart] = []
    with tempfile.TemporaryDirectory(prefix="harness-parts-") as folder:
        done = engine.map(partial(_measured, log.address, question, folder), pieces)

        def columns() -> Iterator[pa.RecordBatch]:
            for index, (found, kept) in _in_order(done, len(pieces)):
                merged[:] = [merged[0].merge(found) if merged else found]
                if kept is not None and kept != pieces[index].kept:
                    new.append(kept)
                table = None if kept is None else read(log, kept)
                if table is not None:
                    yield from table.to_batches(max_chunksize=ROWS)
                    continue
                path = _path(folder, pieces[index].part)
                if not path.exists():  # what was kept went away while it was read
                    _write(folder, question, log, pieces[index].part)
                yield from batches_of(path)
                path.unlink()

        digest = canonical_digest(columns())
    if new and pieces[0].key is not None:
        replaced = {each.part for each in new}
        old = [piece.kept for piece in pieces if piece.kept is not None and piece.part in replaced]
        tell(log, pieces[0].key, new, instead=old)
    return merged[0], digest


def _measured(address: Address, question: Question, folder: str, piece: Piece) -> Done:
    """Return what a part says. Its columns are where they are kept, or in their file, done twice or once."""
    with address.open() as log:
        pairs, kept = load(log, piece.kept, question), piece.kept
        if pairs is None:
            pairs = pair_part(log, question, *piece.part)
            # The last part grows with the next look, unless no more can come.
            lasting = piece.part[1] < question.stop or pairs.settled
            kept = keep(log, piece.key, question, piece.part, pairs) if piece.key and lasting else None
        found = fold_part(log, question, pairs)
        if kept is None:
            _put(folder, piece.part, pairs.table)
    return Done(found.without_columns(), kept)


def _write(folder: str, question: Question, log: Log, part: Range) -> None:
    _put(folder, part, pair_part(log, question, *part).table)


def _put(folder: str, part: Range, table: pa.Table) -> None:
    path = _path(folder, part)
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


def _path(folder: str, part: Range) -> Path:
    return Path(folder) / f"{part[0]}-{part[1]}.arrow"
