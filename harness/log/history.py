"""Every batch as it was appended, wherever its payload is now."""

from collections.abc import Iterator

import msgspec

from harness.log.connection import Connection
from harness.log.sealed import Sealed
from harness.log.stored import StoredBatch, stored_batches


def history(connection: Connection, sealed: Sealed, start: int, stop: int) -> Iterator[list[StoredBatch]]:
    """Yield the batches that begin in [start, stop), in order, some at a time, none without its payload.

    Headers come from the database, which keeps them for ever; payloads that it released come from segments.
    One that is in neither is missing from what is yielded, and its position tells.

    Raises:
        SegmentError, StoreError: the files of a segment.
    """
    for rows in stored_batches(connection, start, stop):
        if all(row.payload for row in rows):
            yield rows
            continue
        sealed.segments()
        known = {row.header.position: row for row in rows}
        for kept in sealed.stored(rows[0].header.position, rows[-1].stop):
            found = [(known[one.header.position], one) for one in kept if one.header.position in known]
            yield [
                row if row.payload else msgspec.structs.replace(row, payload=one.payload)
                for row, one in found
            ]
