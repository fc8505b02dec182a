"""Every batch as it was appended, wherever its payload is now."""

from collections.abc import Iterator
from itertools import groupby
from typing import Protocol

import msgspec

from harness.log.connection import Connection
from harness.log.stored import StoredBatch, stored_batches


class Ledgers(Protocol):
    """Where payloads are that the database released."""

    def stored(self, start: int, stop: int) -> Iterator[list[StoredBatch]]:
        """Yield the batches that begin in [start, stop) as they were appended, payloads checked."""


def history(connection: Connection, sealed: Ledgers, start: int, stop: int) -> Iterator[list[StoredBatch]]:
    """Yield the batches that begin in [start, stop), in order, some at a time, none without its payload.

    Headers come from the database, which keeps them for ever; payloads that it released come from segments.
    One that is in neither is missing from what is yielded, and its position tells.

    Raises:
        SegmentError, StoreError: the files of a segment.
    """
    for rows in stored_batches(connection, start, stop):
        for whole, run in groupby(rows, lambda row: bool(row.payload)):
            if whole:
                yield list(run)
                continue
            known = {row.header.position: row for row in run}
            for kept in sealed.stored(min(known), max(known) + 1):
                found = [(known[one.header.position], one) for one in kept if one.header.position in known]
                yield [msgspec.structs.replace(row, payload=one.payload) for row, one in found]
