"""Canonical blocks: the rows that a model sees in one call, fixed by ordinal and by nothing else."""

from collections.abc import Iterable, Iterator
from itertools import islice

import pyarrow as pa

from replay.columns import FEATURE, require
from replay.errors import ColumnsError
from replay.model import Joins, Model, ModelInfo, Queues

# The block size is part of a score's identity: BLAS gives other last bits for other numbers of rows.
BLOCK_ROWS = 1024
# So many blocks make one call of a model that was measured to answer them with the bits of each alone.
JOINED = 16
# So many are handed to a model that queues them: who asks and who answers are woken less often.
QUEUED = 4


def columns_for(info: ModelInfo) -> tuple[str, ...]:
    """Return the columns of a decision that this model needs; a challenger never sees what was decided."""
    own = ("score", "decision") if info.adapter == "recorded" else ()
    return ("decision_id", *own, *(FEATURE + name for name in info.inputs))


def blocks(batches: Iterable[pa.RecordBatch], names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Yield `decision_position` and `names` of the rows, BLOCK_ROWS at a time, the last block shorter.

    Block k holds the rows from ordinal k * BLOCK_ROWS of `batches` on, however they are cut. A column that a
    batch lacks (an older feature set) is null there.

    Raises:
        ColumnsError: the batches lack positions or ids, or one column has two types that do not meet.
    """
    return map(_together, _cut(_selected(batches, names), BLOCK_ROWS))


def score_blocks(model: Model, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield one batch of scores a canonical block, rows in the order of `batches`.

    Law (tests/laws/test_score_laws.py): the scores are equal, bit for bit, for any cut of the same rows.
    """
    return _each(model, blocks(batches, columns_for(model.info)))


def score_joined(model: Joins, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yield what `score_blocks` yields, JOINED blocks asked at once while the model stands by its bits.

    What is left at the end is asked block by block: a call has one size, the one that was measured. So are
    rows of feature sets that differ: together a column may have another type than in one of its blocks.
    """
    for held in _cut(_selected(batches, columns_for(model.info)), JOINED * BLOCK_ROWS):
        alike = all(part.schema.equals(held[0].schema) for part in held)
        whole = sum(part.num_rows for part in held) == JOINED * BLOCK_ROWS
        found = model.score_joined(_together(held)) if whole and alike else None
        if found is None:
            yield from _each(model, map(_together, _cut(held, BLOCK_ROWS)))
        else:
            yield from (found[at : at + BLOCK_ROWS] for at in range(0, found.num_rows, BLOCK_ROWS))


def _each(model: Model, parts: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    queues = isinstance(model, Queues)
    while some := list(islice(parts, QUEUED if queues else 1)):
        found = model.score_each(some) if isinstance(model, Queues) else map(model.score, some)
        for block, scores in zip(some, found, strict=True):
            assert scores.num_rows == block.num_rows, "a model answers row by row"
            yield scores


def _selected(batches: Iterable[pa.RecordBatch], names: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """Yield the batches with the columns of a block, untyped nulls where a batch lacks one."""
    for batch in batches:
        require(batch, ("position", "decision_id"), "decisions")
        columns = {"decision_position": batch.column("position")}
        for name in names:
            has = name in batch.schema.names
            columns[name] = batch.column(name) if has else pa.nulls(batch.num_rows)
        yield pa.RecordBatch.from_pydict(columns)


def _cut(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[list[pa.RecordBatch]]:
    """Yield the rows `size` at a time, the last time fewer, in the pieces in which they come."""
    held: list[pa.RecordBatch] = []
    rows = 0
    for batch in batches:
        at = 0
        while at < batch.num_rows:
            take = min(size - rows, batch.num_rows - at)
            held.append(batch.slice(at, take))
            at, rows = at + take, rows + take
            if rows == size:
                yield held
                held, rows = [], 0
    if held:
        yield held


def _together(held: list[pa.RecordBatch]) -> pa.RecordBatch:
    if len(held) == 1:
        return held[0]
    try:
        table = pa.concat_tables(
            [pa.Table.from_batches([part]) for part in held], promote_options="permissive"
        )
    except pa.ArrowTypeError as error:
        raise ColumnsError(
            f"Feature sets of this range disagree: {error}.", "Expected one type for each input."
        ) from error
    return table.combine_chunks().to_batches()[0]
