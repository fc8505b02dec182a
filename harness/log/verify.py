"""Recompute the chain from what is stored, and name the first batch that is not as it was appended."""

import hashlib
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from harness.errors import UnknownPosition, UsageError
from harness.log.chain import Header, genesis, link
from harness.log.connection import Connection
from harness.log.events import Verification
from harness.log.payload import decoded
from harness.log.queries import query
from recorders.errors import CorruptBatch

ROWS_MAX = 2_000
BYTES_MAX = 32 * 2**20


def verify(
    connection: Connection,
    start: int = 1,
    stop: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Verification:
    """Return what recomputing every digest over [start, stop) found; `stop` None also compares the head.

    Each batch is read too: what its writer miscounted or garbled is as it was appended, and still no use.
    `progress` is called with the number of positions done. A range that begins later than 1 trusts the stored
    digest of the batch before it.

    Raises:
        UnknownPosition: the range begins beyond the end of the log.
        UsageError: it ends before it begins.
    """
    _epoch, head, chain, _time, log_id = connection.row(query("head"))
    _check_range(start, stop, head)
    end = head + 1 if stop is None else min(stop, head + 1)
    previous, expected = _before(connection, start, log_id)
    found = Verification(start, end, 0, 0)
    at = expected
    while at < end:
        rows = connection.rows(query("links"), start=at, stop=end, rows=ROWS_MAX, bytes=BYTES_MAX)
        if not rows:
            return replace(found, altered=expected, reason="the batch is missing")
        for row in rows:
            reason = fault(row, expected, previous)
            if reason:
                return replace(found, altered=min(expected, row[0]), reason=reason)
            found = _counted(found, row)
            previous, expected = row[11], row[0] + row[1]
        at = expected
        if progress is not None:
            progress(min(at, end) - start)
    if end == head + 1 and (expected != head + 1 or previous != chain):
        return replace(found, altered=expected, reason="the head names another history")
    return found


def _check_range(start: int, stop: int | None, head: int) -> None:
    # All of an empty log is none of it, and holds.
    if start > max(head, 1):
        raise UnknownPosition(start, head, first=1)
    if start < 1 or (stop is not None and stop < start):
        raise UsageError(
            f"The range [{start}, {'the end' if stop is None else stop}) is none.",
            "Expected a first position from 1, and one after the last that is not before it.",
            "Ranges are half-open: --from 3 --to 5 is positions 3 and 4.",
        )


def _counted(found: Verification, row: tuple[Any, ...]) -> Verification:
    """Return `found` with one more batch that is as it was appended, read if it holds columns."""
    position, events, kind, digest, payload = row[0], row[1], row[2], row[10], row[12]
    found = replace(found, batches=found.batches + 1, events=found.events + events)
    if found.unreadable is not None or kind == "control":
        return found
    try:
        decoded(position, events, digest, payload)
    except CorruptBatch as error:
        return replace(found, unreadable=position, fault=error.what)
    return found


def _before(connection: Connection, start: int, log_id: Any) -> tuple[bytes, int]:
    """Return the chain's digest before the batch that holds `start`, and where that batch begins."""
    _id, _epoch, clock, _covered, _created = connection.row(query("identity"))
    holder = connection.rows(query("batch_at"), position=start)
    first = holder[0][0] if holder else 1
    before = connection.rows(query("batch_at"), position=first - 1) if first > 1 else []
    return (before[0][2], first) if before else (genesis(log_id, clock), 1)


def fault(row: tuple[Any, ...], expected: int, previous: bytes) -> str:
    """Return why a row of `links` is not the batch at `expected` after `previous`, "" when it is."""
    (
        position,
        events,
        kind,
        point,
        schema,
        writer,
        sequence,
        low,
        high,
        recorded_at,
        digest,
        chain,
        payload,
        _b,
    ) = row
    if position != expected:
        return f"the batch is missing: the next one begins at {position}"
    if hashlib.sha256(payload).digest() != digest:
        return "the payload is not what its digest names"
    header = Header(position, events, kind, point, schema, writer, sequence, low, high, recorded_at)
    if link(previous, header, digest) != chain:
        return "the header or a digest is not what the chain names"
    return ""
