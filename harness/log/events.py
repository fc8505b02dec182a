"""What the log answers with."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec


class Head(msgspec.Struct, frozen=True):
    """The end of the log. When it is empty `position` is 0. `digest` is the chain's, 64 hex digits."""

    epoch: int
    position: int
    digest: str
    recorded_at: datetime
    log_id: UUID


class ControlEvent(msgspec.Struct, frozen=True):
    """Something about the harness itself: registered, looked, decided, approved, acted, lost."""

    position: int
    recorded_at: datetime
    type: str
    subject: str
    actor: str
    body: dict[str, Any]


class Verification(msgspec.Struct, frozen=True):
    """What recomputing the chain over [start, stop) found.

    `altered` is the position of the first batch that is not as it was appended, None when all are; `reason`
    says how, and `file` where, if that is a file of the store. `unreadable` is that of the first batch that
    is as it was appended and that nobody can read: its writer made it so. `fault` says how. `segments` touch
    the range, each byte of theirs as it was sealed.
    """

    start: int
    stop: int
    batches: int
    events: int
    altered: int | None = None
    reason: str = ""
    file: str = ""
    unreadable: int | None = None
    fault: str = ""
    segments: int = 0

    @property
    def holds(self) -> bool:
        """Whether every batch in the range is as it was appended, and can be read."""
        return self.altered is None and self.unreadable is None
