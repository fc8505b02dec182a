"""The scores that a run has in the log, read back some at a time: however many there are, few are held."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.log.log import Log
from harness.replay_batches import RUN
from recorders.columns import SCORE_SCHEMA
from replay.columns import count_values
from replay.digest import canonical_digest

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


def summary(log: Log, run: Run) -> dict[str, Any]:
    """Return what a run has scored: rows, failures by reason, and the digest of its scores in their order.

    Memory: one batch, whatever the run. The reasons that are most frequent are listed, the rest is `other`.
    """
    rows = 0
    reasons = Counter[str]()

    def counted() -> Iterator[pa.RecordBatch]:
        nonlocal rows
        for batch in own_scores(log, run):
            rows += batch.num_rows
            for reason, count in count_values(batch.column("error")).items():
                reasons[reason if reason in reasons or len(reasons) < _TEXTS_MAX else OTHER] += count
            yield batch.select(SCORE_SCHEMA.names)

    nothing = pa.RecordBatch.from_pylist([], schema=SCORE_SCHEMA)
    found = canonical_digest(chain([nothing], counted()))
    failed = sum(reasons.values())
    ranked = sorted(reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    listed = dict(ranked[:REASONS_MAX])
    rest = failed - sum(listed.values())
    if rest:
        listed[OTHER] = listed.get(OTHER, 0) + rest
    return {"rows": rows, "scored": rows - failed, "failed": failed, "errors": listed, "digest": found}
