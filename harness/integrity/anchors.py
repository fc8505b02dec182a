"""Anchors: put a checkpoint where the log's administrators cannot take it back, and say so in the log."""

import base64
import os
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from harness.errors import UsageError
from harness.integrity.checkpoint import parse_checkpoint
from harness.integrity.errors import OutsideUnavailable
from harness.integrity.note import Note
from harness.integrity.outside import post, shown
from harness.integrity.timestamp import stamp
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.written import refused

ANCHORED: Final = "log.anchored"
TIMESTAMP: Final = "rfc3161+"
_WEB: Final = ("http://", "https://")


def anchor(log: Log, note: Note, target: str, roots: bytes | None = None) -> ControlEvent:
    """Return the event which says that `note`, the checkpoint, is at `target`; a second time the first event.

    A file that lost the note meanwhile gets it again.

    `target` is the path of a file that notes are added to, the URL of a webhook, or `rfc3161+` and the URL of
    a time-stamping service, whose token the event holds; `roots` (PEM) are what the token must lead to.

    Raises:
        OutsideUnavailable: it is not there.
        FileUnwritable, NoRoom: its file cannot be written.
        ProofInvalid: the time-stamp is none of this checkpoint.
    """
    checkpoint = parse_checkpoint(note.text)
    place = shown(target)
    kind, put = _kind(target)
    for event in log.controls(ANCHORED, checkpoint.origin):
        if (event.body.get("size"), event.body.get("target")) == (checkpoint.size, place):
            if kind == "file" and not _holds(target, note):
                put(note, target, roots)
            return event
    body = {"size": checkpoint.size, "root": checkpoint.root.hex(), "target": place}
    return log.control(ANCHORED, checkpoint.origin, body | {"kind": kind} | put(note, target, roots))


def placed(target: str, folder: Path) -> str:
    """Return a target whose file, if it is one, is below `folder` unless it says where it is itself.

    >>> placed("notes", Path("/srv/log")), placed("/mnt/notes", Path("/srv/log"))
    ('/srv/log/notes', '/mnt/notes')
    >>> placed("https://hook.example/x", Path("/srv/log"))
    'https://hook.example/x'
    """
    return target if "://" in target else str(folder / target.removeprefix("file:"))


Put = Callable[[Note, str, bytes | None], dict[str, Any]]


def _kind(target: str) -> tuple[str, Put]:
    if target.startswith(tuple(TIMESTAMP + web for web in _WEB)):
        return "rfc3161", _stamped
    if target.startswith(_WEB):
        return "webhook", _posted
    if "://" in target:
        raise UsageError(
            f"The anchor {shown(target)} has an unknown scheme.",
            "Expected a file's path, http(s)://... or rfc3161+http(s)://...",
            "Correct it.",
        )
    return "file", _written


def _written(note: Note, target: str, _roots: bytes | None) -> dict[str, Any]:
    """Add the note to a file, followed by an empty line, durably."""
    path = Path(target.removeprefix("file:"))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            _append(descriptor, f"{note.render()}\n".encode())
        finally:
            os.close(descriptor)
    except OSError as error:
        raise refused(target, error) from error
    return {}


def _append(descriptor: int, data: bytes) -> None:
    """Add `data` durably, or nothing of it: half a note would be taken for a part of the next."""
    before, rest = os.fstat(descriptor).st_size, data
    try:
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    except OSError:
        with suppress(OSError):  # of a file that may only be added to
            os.ftruncate(descriptor, before)
        raise


def _holds(target: str, note: Note) -> bool:
    """Return whether a file still has the note; one that may only be added to is believed."""
    try:
        return note.render().encode() in Path(target.removeprefix("file:")).read_bytes()
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _posted(note: Note, target: str, _roots: bytes | None) -> dict[str, Any]:
    what = f"The webhook {shown(target)}"
    status, _ = post(what, target, note.render().encode(), "text/plain; charset=utf-8")
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise OutsideUnavailable(what, f"it answered {status}")
    return {"status": status}


def _stamped(note: Note, target: str, roots: bytes | None) -> dict[str, Any]:
    stamped = stamp(note.render().encode(), target.removeprefix(TIMESTAMP), roots)
    token = base64.b64encode(stamped.token).decode()
    return {"token": token, "time": stamped.time, "verified": roots is not None}
