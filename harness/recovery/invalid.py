"""INVALID: references that the log lost with a part of its history, as it says since it was recovered."""

from collections.abc import Iterable
from typing import Final

import msgspec

from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.recovery.errors import ReferenceLost

INVALIDATED: Final = "reference.invalidated"


class Invalid(msgspec.Struct, frozen=True):
    """What `type` said of `subject` at `position` of `epoch` holds no longer; the event at `at` says so."""

    type: str
    subject: str
    position: int
    epoch: int
    state: str
    at: int


def invalid(log: Log, subject: str | None, types: Iterable[str]) -> list[Invalid]:
    """Return what was lost of a subject (of all, when it is None), of these types, in order."""
    wanted = {*types}
    found = map(_of, log.controls(INVALIDATED, subject))
    return [one for one in found if one is not None and one.type in wanted]


def refuse_lost(log: Log, subject: str | None, types: Iterable[str], *, position: int | None = None) -> None:
    """Raise ReferenceLost if the log lost what somebody asks for, at `position` if one is named.

    Raises:
        ReferenceLost: the newest that was lost.
    """
    for one in reversed(invalid(log, subject, types)):
        if position is None or position == one.position:
            raise ReferenceLost(one.type, one.subject, one.position, one.epoch, one.at)


def _of(event: ControlEvent) -> Invalid | None:
    body = {"state": "", **event.body, "subject": event.subject, "at": event.position}
    try:
        return msgspec.convert({name: body.get(name) for name in Invalid.__struct_fields__}, Invalid)
    except msgspec.ValidationError:  # it only calls itself so: whoever may append control events can
        return None
