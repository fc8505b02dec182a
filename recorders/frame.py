"""Frames: what a recorder hands to a link, and what it gets back."""

from typing import Literal
from uuid import UUID

import msgspec

Kind = Literal["decision", "outcome", "loss"]


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
