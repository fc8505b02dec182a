"""Events of a range as Arrow, in order of position: from segments what is sealed, else from the database."""

from collections.abc import Generator, Iterator
from itertools import chain
from typing import Any

import pyarrow as pa

from harness.errors import RangeUnusable, UsageError
from harness.log.connection import Connection
from harness.log.merge import ahead
from harness.log.payload import decoded, placed
from harness.log.predicate import Wanted, matching
from harness.log.queries import query
from harness.log.sealed import Sealed

# Chunks: each is one statement, so one short snapshot. A long one would stop the pruning of the head row.
ROWS_MAX = 2_000
BYTES_MAX = 32 * 2**20
# Half a row group of a segment, which is decoded whole: fewer positions cost less as they were appended.
SHORT = 2**16
Chunk = list[tuple[Any, ...]]


def read(
    connection: Connection, sealed: Sealed, start: int, stop: int, wanted: Wanted
) -> Iterator[pa.RecordBatch]:
    """Yield the wanted events of [start, stop), some at a time, in order.

    Sealed ones come from segments; where `wanted.recent` and the range is short, from the database as long as
    that holds them.

    Batches of different schemas follow each other as they were appended. Where a batch ends says nothing:
    sealed ones come a row group at a time, others as they are stored.

    Raises:
        UsageError, RangeUnusable: the range, the kind or a condition cannot be.
        DigestMismatch, SegmentError: stored bytes are not what their digest names.
        CorruptBatch: a payload is not the events that its header counts; the error names the position.
    """
    if wanted.kind not in {"decision", "outcome", "score"}:
        raise UsageError(
            f'Events of kind "{wanted.kind}" are no columns.',
            "Expected decision, outcome or score.",
            "See log.controls().",
        )
    if start < 1 or stop < start:
        raise RangeUnusable(start, stop)
    at = start
    if wanted.recent and stop - start <= SHORT:
        released = yield from _hot(connection, sealed, start, stop, wanted, begins=wanted.begins)
        if released is None:
            return
        at = released
    while at < stop:
        end = min(stop, sealed.stop())
        if at < end:
            yield from sealed.read(at, end, wanted)
            at = end
            if at == stop:
                return  # the database holds nothing more of it, and is not asked
        begins = wanted.begins and at == start
        released = yield from _hot(connection, sealed, at, stop, wanted, begins=begins)
        # A partition was released while we read it: its events are in segments that were registered before.
        if released is None:
            return
        at = released


def _hot(
    connection: Connection, sealed: Sealed, start: int, stop: int, wanted: Wanted, *, begins: bool
) -> Generator[pa.RecordBatch, None, int | None]:
    """Yield the events that the database holds; return from where on it released some, None at the end."""
    found = chunks(connection, start, stop, wanted.kind, wanted.decision_point, begins=begins)
    for chunk in _fetched(found):
        for position, events, recorded_at, digest, payload in chunk:
            if not payload and (first := max(int(position), start)) < sealed.stop():
                return first
            batch = placed(decoded(position, events, digest, payload), position, recorded_at)
            if position < start or position + events > stop:
                first, last = max(start, position), min(stop, position + events)
                batch = batch.slice(first - position, last - first)
            batch = matching(batch, wanted.conditions)
            if batch.num_rows or not wanted.conditions:
                yield batch if wanted.columns is None else batch.select(wanted.names(batch.schema))
    return None


def _fetched(stream: Iterator[Chunk]) -> Iterator[Chunk]:
    """Yield the same chunks; while one is used the next is fetched. A thread for it is worth a full chunk."""
    for first in stream:
        whole = chain([first], stream)
        full = len(first) == ROWS_MAX or sum(len(row[-1]) for row in first) >= BYTES_MAX
        yield from ahead(whole) if full else whole


def chunks(
    connection: Connection,
    start: int,
    stop: int,
    kind: str,
    decision_point: str | None,
    *,
    begins: bool = False,
) -> Iterator[Chunk]:
    """Yield rows (position, events, recorded_at, digest, payload) of a range's batches, in chunks.

    Where a batch `begins` with the range, none is looked for that reaches into it.
    """
    values: dict[str, Any] = {"kind": kind}
    if decision_point is not None:
        values["decision_point"] = decision_point
    suffix = "kind" if decision_point is None else "point"
    before = () if begins else connection.rows(query(f"start_of_{suffix}"), start=start, **values)
    at = before[0][0] if before else start
    while at < stop:
        found = connection.rows(
            query(f"next_of_{suffix}"), start=at, stop=stop, rows=ROWS_MAX, bytes=BYTES_MAX, **values
        )
        if not found:
            return
        # The batch that begins before the range need not reach into it.
        yield [row for row in found if row[0] + row[1] > start]
        if len(found) < ROWS_MAX and sum(len(row[-1]) for row in found) < BYTES_MAX:
            return  # no budget cut them: there are no more
        at = found[-1][0] + found[-1][1]
