"""Frames: what a recorder hands to a link, and what it gets back."""

from collections.abc import Sequence
from typing import Final, Literal
from uuid import UUID

import msgspec

from recorders.canonical import digest

Kind = Literal["decision", "outcome", "loss"]
# The schema of control events, which every writer of one names.
CONTROL_SCHEMA_DIGEST: Final = digest(b"control/1")
_ARRAY32: Final = b"\xdd"  # msgpack: an array whose length follows in four bytes


class Frame(msgspec.Struct, frozen=True):
    """Some events of one kind, as they leave the service. A resend is the same frame, bit for bit.

    `sequence` counts the frames of `writer` from 1, over all kinds. `payload` is a msgpack array of
    `events` arrays (recorders/events.py has their order); `digest` is its SHA-256, 64 hex digits.
    `schema_digest` is that of the feature set for decisions, "" for the other kinds.
    """

    writer: UUID
    sequence: int
    kind: Kind
    decision_point: str
    schema_digest: str
    events: int
    payload: bytes
    digest: str


def payload_of(events: Sequence[bytes]) -> bytes:
    """Return encoded events as one msgpack array."""
    return b"".join((_ARRAY32, len(events).to_bytes(4, "big"), *events))


def frame_of(
    writer: UUID,
    sequence: int,
    kind: Kind,
    decision_point: str,
    schema_digest: str,
    events: int,
    payload: bytes,
) -> Frame:
    """Return the frame of a payload, with its digest; only decisions have a schema."""
    schema = schema_digest if kind == "decision" else ""
    return Frame(writer, sequence, kind, decision_point, schema, events, payload, digest(payload))


class Receipt(msgspec.Struct, frozen=True):
    """The log's answer to a frame: where it lies, in which history.

    `position` is that of its first event; `digest` the head of the chain after it (hex);
    `covered` the position that is safe in a second failure domain; `duplicate` says that the log
    held it already.
    """

    epoch: int
    position: int
    digest: str
    covered: int
    duplicate: bool
