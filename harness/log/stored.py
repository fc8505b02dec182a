"""Batches as they are stored: headers, digests and payloads of a range, in order."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from harness.log.chain import Header
from harness.log.connection import Connection
from harness.log.queries import query

# Chunks: each is one statement, so one short snapshot.
ROWS_MAX = 2_000
BYTES_MAX = 32 * 2**20


class StoredBatch(msgspec.Struct, frozen=True):
    """One row of the log. `digest` and `chain` are 32 bytes; `payload` is empty where it was released."""

    header: Header
    digest: bytes
    chain: bytes
    payload: bytes

    @classmethod
    def of(cls, row: Sequence[Any]) -> "StoredBatch":
        """Return the batch of a row of `links` or `latest`."""
        return cls(Header(*row[:10]), *row[10:13])

    @property
    def stop(self) -> int:
        """The position after its last event."""
        return self.header.position + self.header.events


def stored_batches(connection: Connection, start: int, stop: int) -> Iterator[list[StoredBatch]]:
    """Yield the batches that begin in [start, stop), in order, some at a time."""
    at = start
    while at < stop:
        rows = connection.rows(query("links"), start=at, stop=stop, rows=ROWS_MAX, bytes=BYTES_MAX)
        if not rows:
            return
        found = [StoredBatch.of(row) for row in rows]
        yield found
        at = found[-1].stop
