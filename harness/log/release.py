"""Retention: the database lets go of the payloads of partitions that are old, sealed and verified.

Headers, digests, the chain and control events stay where they are, for ever: a late resend is still known, a
time still finds its position. Only what segments hold is taken.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg

from harness.log.files import check_segment
from harness.log.log import Log
from harness.log.seal import sealing
from harness.log.segments import RELEASED
from harness.segment_errors import ReleaseRefused


class Partition(msgspec.Struct, frozen=True):
    """A partition that is full. `bytes` are those of payloads that segments hold too."""

    start: int
    stop: int
    recorded_at: datetime
    released: bool
    bytes: int


def release(log: Log, keep: timedelta, progress: Callable[[int], None] = lambda _: None) -> list[Partition]:
    """Return the partitions that were released: full, sealed, and recorded more than `keep` before the end.

    The age is by the log's own clock. Before a partition is released, every byte of the segments that hold it
    is read from the store and compared. Who reads it at that moment reads on in the segments. `progress` is
    called with how many positions are released.

    Raises:
        ReleaseRefused: a statement has been reading it for two seconds; those before it are released.
        SegmentError, StoreError: a segment is not as it was sealed. SealBusy: another process is sealing.
    """
    done = []
    with sealing(log):
        sealed = log.sealed
        for partition in partitions(log):
            ripe = partition.recorded_at < log.head().recorded_at - keep
            if partition.released or not ripe or partition.stop > sealed.stop():
                continue
            for segment in sealed.segments():
                if segment.first < partition.stop and segment.stop > partition.start:
                    check_segment(sealed, segment)
            _release(log, partition)
            done.append(partition)
            progress(sum(one.stop - one.start for one in done))
        for partition in partitions(log):
            if partition.released:
                _say(log, partition)
    return done


def partitions(log: Log) -> list[Partition]:
    """Return the partitions that nothing is appended to any more, in order of position."""
    found = []
    for start, positions, head, _time in log.rows("partitions"):
        if head + 1 < start + positions:
            continue
        end, recorded_at, released, size = log.rows("partition", start=start, stop=start + positions)[0]
        if end is not None:  # one batch may be longer than a partition
            found.append(Partition(start, end, recorded_at, released, size))
    return found


def _release(log: Log, partition: Partition) -> None:
    try:
        log.rows("release", start=partition.start, sealer=log.sealed.writer)
    except psycopg.errors.LockNotAvailable as error:
        raise ReleaseRefused(
            partition.start, "a statement reads or writes the log", "Nothing was changed. Try again."
        ) from error
    except psycopg.Error as error:
        if error.sqlstate != "HA007":
            raise
        reason: dict[str, Any] = msgspec.json.decode(error.diag.message_detail or "{}")
        raise ReleaseRefused(
            partition.start, reason.get("reason", "the database refuses"), 'See "harness log segments".'
        ) from error


def _say(log: Log, partition: Partition) -> None:
    """Record the release, once: also that of somebody who was stopped before saying so."""
    body = {"start": partition.start, "stop": partition.stop}
    log.control(RELEASED, str(partition.start), body, key=f"{RELEASED}:{log.sealed.log_id}:{partition.start}")
