"""Recompute the chain from what is stored, and name the first batch that is not as it was appended."""

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

from msgspec.structs import replace

from harness.log.chain import genesis, link
from harness.log.connection import Connection
from harness.log.events import Verification
from harness.log.files import check_files
from harness.log.history import history
from harness.log.payload import decoded
from harness.log.places import check_range
from harness.log.queries import query
from harness.log.sealed import Sealed
from harness.log.stored import StoredBatch
from harness.segment_errors import ListingBroken, SegmentAltered, SegmentMissing
from recorders.errors import CorruptBatch


def verify(
    connection: Connection,
    sealed: Sealed,
    start: int = 1,
    stop: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Verification:
    """Return what recomputing every digest over [start, stop) found; `stop` None also compares the head.

    Each batch is read too: what its writer miscounted or garbled is as it was appended, and still no use.
    So is every file of the segments that touch the range, whether the database still has their events or not.
    `progress` is called with the number of positions done. A range that begins later than 1 trusts the stored
    digest of the batch before it.

    Raises:
        UnknownPosition: the range begins or ends beyond the end of the log.
        RangeUnusable: it ends before it begins.
        StoreError: the store of the segments does not answer.
    """
    _epoch, head, chain, _time, log_id = connection.row(query("head"))
    # Who asks for what a restore lost is not told that it is as it was appended.
    check_range(start, head + 1 if stop is None else stop, head)
    end = head + 1 if stop is None else stop
    found = Verification(start, end, 0, 0)
    if stop == start:  # nothing of the batch that holds it was asked for
        return found
    previous, expected = _before(connection, start, log_id)
    try:
        for batch in _batches(connection, sealed, expected, end):
            reason = fault(batch, expected, previous)
            if reason:
                return replace(found, altered=min(expected, batch.header.position), reason=reason)
            found = _counted(found, batch)
            previous, expected = batch.chain, batch.stop
            if progress is not None:
                progress(min(expected, end) - start)
        if expected < end:
            return replace(found, altered=expected, reason="the batch is missing")
        found = replace(found, segments=check_files(sealed, start, end))
    except (SegmentMissing, SegmentAltered) as error:
        return replace(found, altered=error.position, reason=error.happened.rstrip("."), file=error.path)
    except ListingBroken as error:
        return replace(found, altered=error.position, reason=error.happened.rstrip("."))
    forked = end == head + 1 and (expected != head + 1 or previous != chain)
    return replace(found, altered=expected, reason="the head names another history") if forked else found


def _batches(connection: Connection, sealed: Sealed, start: int, stop: int) -> Iterator[StoredBatch]:
    for rows in history(connection, sealed, start, stop):
        yield from rows


def _counted(found: Verification, batch: StoredBatch) -> Verification:
    """Return `found` with one more batch that is as it was appended, read if it holds columns."""
    header = batch.header
    found = replace(found, batches=found.batches + 1, events=found.events + header.events)
    if found.unreadable is not None or header.kind == "control":
        return found
    try:
        decoded(header.position, header.events, batch.digest, batch.payload)
    except CorruptBatch as error:
        return replace(found, unreadable=header.position, fault=error.what)
    return found


def _before(connection: Connection, start: int, log_id: Any) -> tuple[bytes, int]:
    """Return the chain's digest before the batch that holds `start`, and where that batch begins."""
    _id, _epoch, clock, _covered, _created = connection.row(query("identity"))
    holder = connection.rows(query("batch_at"), position=start)
    first = holder[0][0] if holder else 1
    before = connection.rows(query("batch_at"), position=first - 1) if first > 1 else []
    return (before[0][2], first) if before else (genesis(log_id, clock), 1)


def fault(batch: StoredBatch, expected: int, previous: bytes) -> str:
    """Return why a stored batch is not the one at `expected` after `previous`, "" when it is."""
    if batch.header.position != expected:
        return f"the batch is missing: the next one begins at {batch.header.position}"
    if hashlib.sha256(batch.payload).digest() != batch.digest:
        return "the payload is not what its digest names"
    if link(previous, batch.header, batch.digest) != batch.chain:
        return "the header or a digest is not what the chain names"
    return ""
