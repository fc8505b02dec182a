"""Whether what a model remembers is all in its snapshots, and the same in each process."""

from collections.abc import Callable

import pyarrow as pa

from replay.checks.finding import Finding
from replay.checks.invariance import numbers, repeated, scores_of
from replay.isolation import IsolatedModel, RememberingModel
from replay.score import score_blocks

# So many rows are scored once more, each alone.
_ALONE = 16


def snapshots(
    model: RememberingModel, again: Callable[[], IsolatedModel], rows: pa.Table, first: pa.Table
) -> Finding:
    """Check that a process that is given a snapshot goes on with the bits of one that saw all rows itself."""
    half = rows.num_rows // 2
    scores_of(model, rows.slice(0, half))
    state = model.snapshot()
    with again() as other:
        assert isinstance(other, RememberingModel), "it is the same model"
        other.patience_ends = model.patience_ends
        other.restore(state)
        rest = pa.Table.from_batches(score_blocks(other, rows.slice(half).combine_chunks().to_batches()))
        other.restore(state)
        same = other.snapshot() == state
    size = f"a snapshot of {len(state):,} bytes after {half:,} rows"
    finding = repeated("snapshot", f"{size} is all that it knows", first.slice(half), rest)
    if finding.state == "pass" and not same:
        words = f"{size} holds it all, but is written otherwise by another process"
        return Finding("snapshot", "warn", words, {"bytes": len(state)})
    return finding


def remembers(model: RememberingModel, rows: pa.Table, first: pa.Table) -> Finding:
    """Check that some row has another score when the rows before it are unknown."""
    known, last = numbers(first), range(max(0, rows.num_rows - _ALONE), rows.num_rows)
    alone = [numbers(scores_of(model, rows.slice(at, 1)))[0] for at in last]
    differing = sum(bool(score != known[at]) for at, score in zip(last, alone, strict=True) if score == score)  # noqa: PLR0124  no NaN
    figures = {"rows": len(last), "differing": differing}
    if differing:
        words = f"{differing} of {len(last)} rows have other scores when the rows before them are unknown"
        return Finding("remembers", "pass", words, figures)
    words = f"none of {len(last)} rows depends on the rows before it: it may need no key"
    return Finding("remembers", "warn", words, figures)
