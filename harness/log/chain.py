"""The chain: one digest over the whole history, computed here as harness.append computes it."""

import hashlib
import struct
import uuid
from datetime import UTC, datetime, timedelta

import msgspec

# PostgreSQL counts microseconds from here.
ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Header(msgspec.Struct, frozen=True):
    """What is known of a batch without its payload. `schema_digest` is 32 bytes; times are UTC."""

    position: int
    events: int
    kind: str
    decision_point: str
    schema_digest: bytes
    writer: uuid.UUID
    sequence: int
    occurred_min: datetime | None
    occurred_max: datetime | None
    recorded_at: datetime


def header_bytes(header: Header) -> bytes:
    """Return the canonical bytes of a header: fixed widths or lengths, so that no two headers share them.

    Its twin in SQL is harness.header (tests/postgres/test_chain.py compares them).
    """
    return b"".join(
        (
            struct.pack(">qi", header.position, header.events),
            _sized(header.kind.encode()),
            _sized(header.decision_point.encode()),
            _sized(header.schema_digest),
            header.writer.bytes,
            struct.pack(">q", header.sequence),
            _optional_time(header.occurred_min),
            _optional_time(header.occurred_max),
            _time(header.recorded_at),
        )
    )


def genesis(log_id: uuid.UUID, clock: str) -> bytes:
    """Return the digest before the first batch: the log's identity and its clock."""
    return hashlib.sha256(b"harness.log/1" + log_id.bytes + clock.encode()).digest()


def link(previous: bytes, header: Header, digest: bytes) -> bytes:
    """Return the chain's digest after a batch whose payload has `digest`.

    >>> start = genesis(uuid.UUID(int=0), "server")
    >>> now = datetime(2013, 1, 1, tzinfo=UTC)
    >>> header = Header(1, 1, "control", "", bytes(32), uuid.UUID(int=1), 1, None, None, now)
    >>> other = msgspec.structs.replace(header, events=2)
    >>> link(start, header, bytes(32)) == link(start, other, bytes(32))
    False
    """
    return hashlib.sha256(previous + header_bytes(header) + digest).digest()


def _sized(data: bytes) -> bytes:
    return struct.pack(">i", len(data)) + data


def _time(instant: datetime) -> bytes:
    return struct.pack(">q", (instant - ORIGIN) // MICROSECOND)


def _optional_time(instant: datetime | None) -> bytes:
    return b"\x00" if instant is None else b"\x01" + _time(instant)
