"""Control events: what the harness says about itself, as canonical JSON, one a batch."""

import hashlib
import json
import threading
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from harness.errors import NotALog
from harness.log.connection import Connection
from harness.log.events import ControlEvent
from harness.log.payload import check
from harness.log.queries import query
from recorders.append import Batch
from recorders.canonical import canonical_json
from recorders.frame import CONTROL_SCHEMA_DIGEST

NAMESPACE = uuid.UUID("6c1f8d0e-6a4d-5b0c-9c39-3f0b6f7e2a11")
ACTOR = "harness"
ROWS_MAX = 5_000


def control_batch(
    type_: str, subject: str, body: Mapping[str, Any], key: str | None, actor: str | None
) -> Batch:
    """Return the batch of one control event. With a `key` the same event is the same batch, stored once.

    >>> a, b = (control_batch("x.y", "s", {}, key, None) for key in ("k", "k"))
    >>> a == b
    True
    """
    event = {"type": type_, "subject": subject, "actor": actor or ACTOR, "body": dict(body)}
    payload = canonical_json(event)
    return Batch(
        kind="control",
        decision_point="",
        schema_digest=CONTROL_SCHEMA_DIGEST,
        writer=uuid.uuid4() if key is None else uuid.uuid5(NAMESPACE, key),
        sequence=1,
        events=1,
        occurred_min=None,
        occurred_max=None,
        payload=payload,
        digest=hashlib.sha256(payload).hexdigest(),
    )


def decode(position: int, recorded_at: datetime, payload: bytes) -> ControlEvent:
    """Return the event of a control batch."""
    event = json.loads(payload)
    body = event.get("body")
    # The database asks for a type and a subject alone: what else a writer made of it must harm no reader.
    return ControlEvent(
        position,
        recorded_at,
        event["type"],
        event["subject"],
        event.get("actor") or "",
        body if isinstance(body, dict) else {},
    )


def matches(pattern: str | None, type_: str) -> bool:
    """Return whether an event's type is the one asked for; `look.*` asks for all that begin with `look.`.

    >>> matches("look.*", "look.taken"), matches("look.*", "looks.taken"), matches(None, "x")
    (True, False, True)
    """
    if pattern is None:
        return True
    if pattern.endswith(".*"):
        return type_.startswith(pattern[:-1])
    return type_ == pattern


class Controls:
    """The control events of a log, fetched once: what was read can never change, only more can come."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._read: list[tuple[int, datetime, str, str, bytes]] = []
        self._up_to = 0

    @property
    def up_to(self) -> int:
        """The position up to which they were fetched, 0 where none ever were."""
        return self._up_to

    def select(self, type_: str | None, subject: str | None, up_to: int | None) -> list[ControlEvent]:
        """Return the events with position <= `up_to` in order; None is the end of the log."""
        with self._lock:
            while (up_to is None or self._up_to < up_to) and self._fetch():
                pass
        return [
            decode(position, recorded_at, payload)
            for position, recorded_at, found, about, payload in self._read
            if (up_to is None or position <= up_to) and matches(type_, found) and subject in {None, about}
        ]

    def _fetch(self) -> bool:
        """Read on, and return whether there may be more."""
        found = self._connection.rows(query("controls"), after=self._up_to, rows=ROWS_MAX)
        if not found:
            raise NotALog(self._connection.address, "its tables are empty")
        rows = [row for row in found if row[1] is not None]
        for _head, position, recorded_at, digest, payload in rows:
            check(position, digest, payload)
            event = msgspec.json.decode(payload, type=_Name)
            self._read.append((position, recorded_at, event.type, event.subject, payload))
        more = len(rows) == ROWS_MAX
        self._up_to = rows[-1][1] if more else found[0][0]
        return more


class _Name(msgspec.Struct):
    type: str
    subject: str
