"""Recover a restored log: fence it, give back what segments kept, raise the epoch, say what is INVALID.

Whatever is killed, the log stays fenced until a run ends: done again, it goes on where it was. Only the last
transaction, which raises the epoch and lets writers in, says anything.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import psycopg

from harness.config import shown_url
from harness.integrity.checkpoint import origin_of
from harness.integrity.epochs import REWOUND, epoch_text
from harness.integrity.note import Note, Signer
from harness.log.connection import translated
from harness.log.controls import control_batch
from harness.log.files import check_segment
from harness.log.log import Log
from harness.log.queries import statements
from harness.log.seal import register, sealing
from harness.log.segments import Segment
from harness.log.stored import StoredBatch
from harness.recovery.errors import HistoriesDiverged, WritersConnected
from harness.recovery.invalid import INVALIDATED
from harness.recovery.kept import KeptSegment, KeptSegments
from harness.recovery.plan import Plan
from harness.segment_errors import SegmentError
from recorders.append import STATEMENT, Batch

_SQL: Final = statements(Path(__file__).with_name("recovery.sql"))
CHUNK_BATCHES: Final = 200
ATTEMPTS: Final = 20
RIGHTS: Final = "Expected a login that is harness_owner: only the owner of a log may recover it."


class Recovered(NamedTuple):
    """What was done: the new epoch, where the log says so, how many segments were registered again."""

    epoch: int
    position: int
    registered: int


def recover(
    log: Log,
    plan: Plan,
    kept: KeptSegments,
    signer: Signer | None,
    progress: Callable[[int], None] | None = None,
) -> Recovered:
    """Do what a plan says, and return what was done. `signer` signs for the new epoch, under its name.

    `progress` is called with the last position that came back.

    Raises:
        WritersConnected, SealBusy: somebody else is at work; nothing was changed.
        HistoriesDiverged: something was appended since the plan was made; nothing was changed.
        DatabaseRefused: the login does not own the log.
    """
    with sealing(log):
        with (
            translated(shown_url(log.url), RIGHTS),
            psycopg.connect(log.url, autocommit=True, application_name="harness recover") as connection,
        ):
            connection.execute("set role harness_owner")
            connection.execute("set time zone 'UTC'")
            link = _fence(connection, plan.head)
            _give_back(connection, kept.after(plan.head + 1, link), progress)
            position = _raise(connection, plan, log, signer)
        registered = sum(_adopt(log, one) for one in kept.segments)
    return Recovered(plan.next_epoch, position, registered)


def _give_back(
    connection: psycopg.Connection[Any],
    batches: Iterator[StoredBatch],
    progress: Callable[[int], None] | None,
) -> None:
    while rows := list(islice(batches, CHUNK_BATCHES)):
        with connection.transaction():
            for row in rows:
                connection.execute(_SQL["restore"], _values(row))
        if progress is not None:
            progress(rows[-1].stop - 1)


def _fence(connection: psycopg.Connection[Any], head: int) -> bytes:
    """Let nobody append any more, and return the chain's digest at the end of the log."""
    for attempt in range(1, ATTEMPTS + 1):
        sessions = connection.execute(_SQL["writers"]).fetchall()
        if not sessions:
            break
        if attempt == ATTEMPTS:
            raise WritersConnected([f"{user} at {place} (process {pid})" for pid, user, place in sessions])
        time.sleep(0.1)  # a sidecar that waits for the recovery asks now and then whether it is done
    with connection.transaction():
        position, link, _epoch, _fenced = _one(connection, "lock")
        if position != head:
            raise HistoriesDiverged(head + 1, "the plan that was just made of it")
        connection.execute(_SQL["fence"])
    return bytes(link)


def _raise(connection: psycopg.Connection[Any], plan: Plan, log: Log, signer: Signer | None) -> int:
    """Raise the epoch, say so, and say what is INVALID, all or nothing; return where the log says it."""
    with connection.transaction():
        end = _one(connection, "lock")[0]
        assert end == plan.back, (end, plan.back)
        for event in log.controls(REWOUND):
            if event.position > plan.head:  # of a recovery whose part of the history has just come back
                epoch, begins = event.body.get("epoch"), event.position - 1
                if (
                    isinstance(epoch, int)
                    and 1 < epoch < plan.next_epoch
                    and begins == event.body.get("after")
                ):
                    connection.execute(_SQL["begin_epoch"], {"epoch": epoch, "after": begins})
        connection.execute(_SQL["begin_epoch"], {"epoch": plan.next_epoch, "after": end})
        connection.execute(_SQL["raise"], {"epoch": plan.next_epoch, "after": end})
        origin = origin_of(plan.log_id, plan.next_epoch)
        position = _append(connection, control_batch(REWOUND, origin, _account(plan, signer), None, None))
        for one in plan.references:
            body = {"type": one.type, "position": one.position, "state": one.state}
            body |= {"epoch": plan.next_epoch - 1, "lost_after": end, "reason": "history"}
            _append(connection, control_batch(INVALIDATED, one.subject, body, None, None))
    return position


def _account(plan: Plan, signer: Signer | None) -> dict[str, Any]:
    """Return what `log.rewound` says."""
    body: dict[str, Any] = {
        "epoch": plan.next_epoch,
        "previous": plan.epoch,
        "after": plan.back,
        "restored_to": plan.head,
        "given_back": {"first": plan.head + 1, "last": plan.back},
        "lost": {"first": plan.back + 1, "last": plan.last},
        "writers": msgspec.to_builtins(plan.writers),
        "references": len(plan.references),
    }
    if signer is not None:
        text = epoch_text(signer.key.name, plan.back)
        body["note"] = Note(text, (signer.sign(text),)).render()
    return body


def _adopt(log: Log, one: KeptSegment) -> bool:
    """Register a segment again whose registration was lost; return whether it was.

    One that replaced others is registered when a file of theirs is gone. What is not whole is left to the
    next seal, which makes it anew.
    """
    listed = log.sealed.segments()
    manifest = one.manifest
    span = (manifest.first, manifest.stop, manifest.before, manifest.chain)
    inside = [found for found in listed if manifest.first <= found.first and found.stop <= manifest.stop]
    if any(found.manifest.digest == one.file.digest for found in listed):
        return False
    if inside:
        whole = (inside[0].first, inside[-1].stop, inside[0].before, inside[-1].chain) == span
        if not whole or all(_is_whole(log, found) for found in inside):
            return False
    elif manifest.first != log.sealed.stop() or manifest.stop > log.head().position + 1:
        return False
    replaces = tuple(found.number for found in inside)
    segment = Segment.of(manifest, one.file, log.sealed.store.shown, replaces)
    if not _is_whole(log, segment):
        return False
    register(log, manifest, segment)
    return True


def _is_whole(log: Log, segment: Segment) -> bool:
    try:
        check_segment(log.sealed, segment)
    except SegmentError:
        return False
    return True


def _values(row: StoredBatch) -> dict[str, Any]:
    fields: Sequence[str] = row.header.__struct_fields__
    values = {name: getattr(row.header, name) for name in fields}
    return values | {"digest": row.digest, "chain": row.chain, "payload": row.payload}


def _append(connection: psycopg.Connection[Any], batch: Batch) -> int:
    values = msgspec.structs.asdict(batch) | {"log_id": None}
    values |= {"schema_digest": bytes.fromhex(batch.schema_digest), "digest": bytes.fromhex(batch.digest)}
    row = connection.execute(STATEMENT, values).fetchone()
    assert row is not None, "harness.append answers with one row"
    return int(row[1])


def _one(connection: psycopg.Connection[Any], name: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = connection.execute(_SQL[name]).fetchone()
    assert row is not None, "a log has one head"
    return row
