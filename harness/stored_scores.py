"""The scores that a run has in the log, read back some at a time: however many there are, few are held."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.log.log import Log
from harness.replay_batches import RUN
from recorders.columns import SCORE_SCHEMA
from replay.columns import count_values
from replay.digest import CHUNK_ROWS, Cells

REASONS_MAX = 20
# A challenger may write what it likes into its errors: beyond so many texts the rest is one.
_TEXTS_MAX = 10_000
OTHER = "other"
_POSITION = pa.field("position", pa.int64(), nullable=False)
_STORED = pa.schema([_POSITION, *SCORE_SCHEMA])


class Run(Protocol):
    """What of a run says where its scores are."""

    @property
    def id(self) -> str:
        """What its batches are marked with."""

    @property
    def decision_point(self) -> str:
        """Whose decisions it scores."""

    @property
    def started_at(self) -> int:
        """The position before its first score."""

    @property
    def completed_at(self) -> int | None:
        """The position after its last score; None: there may be more."""


def own_scores(
    log: Log,
    run: Run,
    *,
    decided: tuple[int, int] | None = None,
    up_to: int | None = None,
    columns: Sequence[str] = SCORE_SCHEMA.names,
) -> Iterator[pa.RecordBatch]:
    """Yield the position and the named columns of a run's own scores in the order of the log.

    `decided`: only of decisions in this range of positions. `up_to`: only those stored up to there.
    """
    ends = (up_to, run.completed_at)
    last = min((end for end in ends if end is not None), default=log.head().position)
    where = (
        [("decision_position", ">=", decided[0]), ("decision_position", "<", decided[1])] if decided else None
    )
    names = [name for name in SCORE_SCHEMA.names if name in columns]
    schema = pa.schema([_POSITION, *(SCORE_SCHEMA.field(name) for name in names)])
    read = log.read(
        run.started_at,
        last + 1,
        kind="score",
        decision_point=run.decision_point,
        columns=names,
        where=where,
    )
    for batch in read:
        if (batch.schema.metadata or {}).get(RUN) == run.id.encode():
            yield pa.RecordBatch.from_arrays([batch.column(name) for name in schema.names], schema=schema)


def scored_through(log: Log, run: Run) -> int | None:
    """Return the highest position of a decision that the run has scored so far; None: it has none."""
    highest = None
    for batch in own_scores(log, run, columns=["decision_position"]):
        last = pc.max(batch.column("decision_position")).as_py()
        highest = last if highest is None or last > highest else highest
    return highest


def first_of_each(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    """Return one row a decision, the one with the lowest position, in order of decisions."""
    scores = pa.Table.from_batches(batches, schema=_STORED)
    decided_at = scores.column("decision_position").to_numpy()
    if decided_at.size and not bool(np.all(decided_at[1:] > decided_at[:-1])):
        order = np.lexsort((scores.column("position").to_numpy(), decided_at))
        ordered = decided_at[order]
        first = np.ones(ordered.size, dtype=np.bool_)
        first[1:] = ordered[1:] != ordered[:-1]
        scores = scores.take(pa.array(order[first]))
    return scores.select(SCORE_SCHEMA.names)


class Counted(NamedTuple):
    """The first rows of some scores as another counted them: cells of whole chunks, and the failures."""

    rows: int
    cells: str
    reasons: dict[str, int]


class Summary:
    """What a run has scored, counted while its scores pass in their order; few are held.

    They are counted some batches at a time: a batch costs more than its rows.
    """

    def __init__(self) -> None:
        self._cells = Cells(SCORE_SCHEMA)
        self._reasons = Counter[str]()
        self._held: list[pa.RecordBatch] = []
        self._rows = 0

    def add(self, scores: pa.RecordBatch) -> None:
        """Take a batch of scores more."""
        self._held.append(scores.select(SCORE_SCHEMA.names))
        self._rows += scores.num_rows
        if self._rows >= CHUNK_ROWS:
            self._count()

    def _count(self) -> None:
        held = pa.Table.from_batches(self._held, schema=SCORE_SCHEMA).combine_chunks()
        self._held, self._rows = [], 0
        self.fail(held.column("error"))
        for batch in held.to_batches():
            self._cells.add(batch)

    @property
    def reasons(self) -> Mapping[str, int]:
        """How many rows failed of which."""
        return self._reasons

    def fail(self, errors: pa.Array | pa.ChunkedArray) -> None:
        """Count the failures of a batch, null where there is none."""
        if errors.null_count < len(errors):
            self._fail(count_values(errors))

    def _fail(self, reasons: Mapping[str, int]) -> None:
        for reason, count in reasons.items():
            known = reason in self._reasons or len(self._reasons) < _TEXTS_MAX
            self._reasons[reason if known else OTHER] += count

    def counted(self) -> Counted:
        """Return what was counted of whole chunks; nothing where rows beyond them were."""
        if self._cells.rows % CHUNK_ROWS:
            return Counted(0, "", {})
        return Counted(self._cells.rows, self._cells.since(0), dict(self._reasons))

    def take(self, counted: Counted) -> int:
        """Take rows that another counted; return how many: none where a chunk has begun already."""
        self._count()
        if self._cells.rows % CHUNK_ROWS:
            return 0
        self._cells.take_all(counted.cells)
        self._fail(counted.reasons)
        return counted.rows

    def said(self) -> dict[str, Any]:
        """Return rows, failures by reason, and the digest of the scores; nothing can be added after it.

        The reasons that are most frequent are listed, the rest is `other`.
        """
        self._count()
        return {**_listed(self._cells.rows, self._reasons), "digest": self._cells.digest()}


def _listed(rows: int, reasons: Mapping[str, int]) -> dict[str, Any]:
    failed = sum(reasons.values())
    ranked = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    listed = dict(ranked[:REASONS_MAX])
    rest = failed - sum(listed.values())
    if rest:
        listed[OTHER] = listed.get(OTHER, 0) + rest
    return {"rows": rows, "scored": rows - failed, "failed": failed, "errors": listed}


def counts(log: Log, run: Run) -> dict[str, Any]:
    """Return rows and failures by reason of what a run has scored so far; no score is read."""
    found, rows = Summary(), 0
    for batch in own_scores(log, run, columns=["error"]):
        rows += batch.num_rows
        found.fail(batch.column("error"))
    return _listed(rows, found.reasons)


def summary(log: Log, run: Run) -> dict[str, Any]:
    """Return what a run has scored, as the log has it."""
    found = Summary()
    for batch in own_scores(log, run):
        found.add(batch)
    return found.said()
