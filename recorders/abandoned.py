"""Abandoned: what services that were killed left in shared memory (recorders/segment_file.py), as frames.

Frames that were under way come out bit for bit, so that whoever holds them knows a resend; the rest as the
frames that would have followed.
"""

import fcntl
import os
import stat
import time
import zlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from recorders.frame import Frame, Kind, frame_of, payload_of
from recorders.losses import Loss
from recorders.segment_file import BORN, FOLDER, HEAD, MAGIC, SUFFIX, Cut, Opening

FRAME_EVENTS: Final = 4_096
FRAME_BYTES: Final = 4 * 2**20
BORN_S: Final = 60.0  # a file is complete within moments: what is this old was cut off by a kill
_EVENTS: Final[dict[bytes, Kind]] = {b"D": "decision", b"O": "outcome"}


class Abandoned(msgspec.Struct, frozen=True):
    """What a writer that is gone still owes: its frames, in order, and the files that hold them.

    `damaged_bytes` is what could not be read; nobody can know how many events that was.
    """

    opening: Opening
    frames: tuple[Frame, ...]
    files: tuple[Path, ...]
    damaged_bytes: int = 0

    @property
    def writer(self) -> UUID:
        """Whose frames these are."""
        return self.opening.writer

    def remove(self) -> None:
        """Remove the files: the log, or a spool, has the frames."""
        for path in self.files:
            path.unlink(missing_ok=True)


def drain(folder: Path = FOLDER, *, passed: Collection[UUID] = ()) -> Iterator[Abandoned]:
    """Yield what each writer in `folder` owes whose process has ended. Draining again gives the same.

    Files of a running process are left alone, and so are those of writers in `passed`. A half-written
    record at the end was never accepted.
    """
    for born in folder.glob(f"*{BORN}"):
        _bury(born)
    writers = {path.name.partition("-")[0] for path in folder.glob(f"*{SUFFIX}")}
    for writer in sorted(writers - {known.hex for known in passed}):
        paths = _files(folder, writer)
        # What it began between the look at the folder and its end is seen by the second look.
        if paths and all(_is_gone(path) for path in paths) and _files(folder, writer) == paths:
            try:
                owed = _owed([_File(path) for path in paths], tuple(paths))
            except (msgspec.MsgspecError, KeyError, IndexError):
                continue  # the files of another program: no opening, or records that are not ours
            yield owed


def closed_to_us(folder: Path) -> list[Path]:
    """Return the files in `folder` that this user may not read: nobody here will know what they hold."""
    return [path for path in sorted(folder.glob(f"*{SUFFIX}")) if not os.access(path, os.R_OK)]


def _files(folder: Path, writer: str) -> list[Path]:
    return sorted(folder.glob(f"{writer}-*{SUFFIX}"))


def _is_gone(path: Path) -> bool:
    """Whether no process writes the file. A file that its writer removed meanwhile says nothing."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # others may write to the folder
    except OSError:
        return False
    try:
        fcntl.lockf(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        opened = os.fstat(handle)
        return stat.S_ISREG(opened.st_mode) and opened.st_ino == path.lstat().st_ino
    except OSError:
        return False
    finally:
        os.close(handle)


def _bury(born: Path) -> None:
    """Remove a file that its process did not live to complete: it holds no event."""
    try:
        if time.time() - born.stat().st_mtime > BORN_S and _is_gone(born):
            born.unlink()
    except OSError:
        return  # another has done it, or must


class _File:
    """What can be read of a file: its opening, the records after it, and how much is damaged."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        self.opening: Opening | None = None
        self.bodies: list[bytes] = []
        at = len(MAGIC)
        while data.startswith(MAGIC) and at + HEAD <= len(data):
            stop = at + HEAD + int.from_bytes(data[at : at + 4], "little")
            body = data[at + HEAD : stop]
            if not body or zlib.crc32(body) != int.from_bytes(data[at + 4 : at + 8], "little"):
                break
            self.bodies.append(body)
            at = stop
        # A record's length is written last: where there is one, the record was complete.
        cut_off = not any(data[at : at + 4])
        self.damaged_bytes = 0 if cut_off else max(0, len(data.rstrip(b"\0")) - at)
        if self.bodies:
            self.opening = msgspec.msgpack.decode(self.bodies.pop(0)[1:], type=Opening)


class _Ledger:
    """The events of a writer by kind and ordinal, its frames that nobody acknowledged, and its losses."""

    def __init__(self, first: Opening) -> None:
        self.events: dict[Kind, dict[int, bytes]] = {"decision": {}, "outcome": {}}
        self.cuts: dict[int, Cut] = {}
        self.losses: dict[str, Loss] = {}  # by reason: counted, and in no frame
        # Ordinals from here on are in no frame.
        self.done: dict[Kind, int] = {"decision": first.decisions, "outcome": first.outcomes}
        self.sequence = 0

    def read(self, opening: Opening, bodies: list[bytes]) -> None:
        """Take a file's records in. Ordinals begin with what the file says came before it."""
        following: dict[Kind, int] = {"decision": opening.decisions, "outcome": opening.outcomes}
        self.sequence = max(self.sequence, opening.sequence)
        for body in bodies:
            mark = body[:1]
            if mark == b"C":
                self._cut(msgspec.msgpack.decode(body[1:], type=Cut))
            elif mark == b"A":
                self.cuts.pop(msgspec.msgpack.decode(body[1:], type=int), None)
            elif mark == b"L":
                said = msgspec.msgpack.decode(body[1:], type=list[Loss])
                self.losses = {loss.reason: loss for loss in said}
            else:
                kind = _EVENTS[mark]
                self.events[kind][following[kind]] = body[1:]
                following[kind] += 1

    def _cut(self, cut: Cut) -> None:
        self.cuts[cut.sequence] = cut
        self.sequence = max(self.sequence, cut.sequence)
        if cut.kind == "loss" and self.losses:
            for loss in msgspec.msgpack.decode(cut.payload, type=list[Loss]):
                self.losses.pop(loss.reason, None)
        elif cut.kind != "loss":
            self.done[cut.kind] = max(self.done[cut.kind], cut.first + cut.events)

    def held(self, cut: Cut) -> list[bytes]:
        """Return the events of a frame, as far as they can be read."""
        known = self.events.get(cut.kind, {})
        ordinals = range(cut.first, cut.first + cut.events)
        return [known[ordinal] for ordinal in ordinals if ordinal in known]

    def rest(self, kind: Kind) -> list[bytes]:
        """Return the events that are in no frame, in order."""
        return [event for ordinal, event in sorted(self.events[kind].items()) if ordinal >= self.done[kind]]


def _owed(contents: list[_File], paths: tuple[Path, ...]) -> Abandoned:
    readable = [(content.opening, content.bodies) for content in contents if content.opening is not None]
    first = readable[0][0]
    ledger = _Ledger(first)
    for opening, bodies in readable:
        ledger.read(opening, bodies)
    frames = []
    for cut in ledger.cuts.values():
        held = ledger.held(cut)
        payload = cut.payload if cut.kind == "loss" else payload_of(held)
        if cut.kind == "loss" or held:
            events = cut.events if cut.kind == "loss" else len(held)
            frames.append(_frame(first, cut.sequence, cut.kind, events, payload))
    for kind in ledger.events:
        for events_of in _portions(ledger.rest(kind)):
            ledger.sequence += 1
            frames.append(_frame(first, ledger.sequence, kind, len(events_of), payload_of(events_of)))
    for loss in ledger.losses.values():
        ledger.sequence += 1
        payload = payload_of([msgspec.msgpack.encode(loss)])
        frames.append(_frame(first, ledger.sequence, "loss", 1, payload))
    return Abandoned(first, tuple(frames), paths, sum(content.damaged_bytes for content in contents))


def _portions(events: list[bytes]) -> Iterator[list[bytes]]:
    """Yield the events in portions that a frame takes, at least one in each."""
    portion: list[bytes] = []
    size = 0
    for event in events:
        if portion and (len(portion) == FRAME_EVENTS or size + len(event) > FRAME_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(event)
        size += len(event)
    if portion:
        yield portion


def _frame(opening: Opening, sequence: int, kind: Kind, events: int, payload: bytes) -> Frame:
    names = (opening.decision_point, opening.schema_digest)
    return frame_of(opening.writer, sequence, kind, *names, events, payload)
