"""The segment file: accepted events in shared memory, which outlives a process that is killed.

A writer's events, frame cuts and acknowledgements are records in memory-mapped files of one folder
(`/dev/shm` by default). After SIGKILL, `drain` reads them and returns the frames that are still owed: those
that were under way bit for bit, so that the log knows a resend, and the rest as the frames that would
have followed. A machine that loses power loses them.

File: 8 bytes magic, then records. Record: length of the body (u32 little-endian, written last; 0 ends the
file), CRC-32 of the body (u32), body. Body: one byte of type, then msgpack, or an event as it is queued.
"""

import fcntl
import mmap
import os
import threading
import zlib
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from uuid import UUID

import msgspec

from recorders.frame import Frame, Kind, frame_of, payload_of

FOLDER: Final = Path("/dev/shm")  # noqa: S108  # memory that outlives the process is the purpose
SUFFIX: Final = ".recorder"
SEGMENT_BYTES: Final = 16 * 2**20
FRAME_EVENTS: Final = 4_096
_MAGIC: Final = b"HREC\x00\x00\x00\x01"
_HEAD: Final = 8  # length and CRC
_RESERVE: Final = 65_536  # of each file, for cuts and acknowledgements alone
_PATIENCE_S: Final = 0.05  # the lock is held for microseconds, but a signal may interrupt its holder
_EVENT: Final[dict[Kind, bytes]] = {"decision": b"D", "outcome": b"O"}


class Opening(msgspec.Struct, frozen=True, array_like=True):
    """The first record of a file: whose it is, and what came before it."""

    writer: UUID
    number: int
    decision_point: str
    schema_digest: str
    sequence: int  # of the last frame that was cut
    decisions: int  # events of earlier files
    outcomes: int


class Cut(msgspec.Struct, frozen=True, array_like=True):
    """A frame was made of `events` events from ordinal `first` on; a report carries its own payload."""

    sequence: int
    kind: Kind
    first: int
    events: int
    payload: bytes


class _File:
    """One mapped file that is written from front to end."""

    def __init__(self, path: Path, opening: Opening) -> None:
        self.path = path
        self.opening = opening
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(handle, 0, SEGMENT_BYTES)  # a page that cannot be had later kills the service
            self._map = mmap.mmap(handle, SEGMENT_BYTES)
        except OSError:
            os.close(handle)
            path.unlink()
            raise
        fcntl.lockf(handle, fcntl.LOCK_EX)  # let go by the kernel when the process ends, however it ends
        self.handle = handle
        self._map[: len(_MAGIC)] = _MAGIC
        self._at = len(_MAGIC)
        self.write(b"S" + msgspec.msgpack.encode(opening))

    def room(self, size: int) -> bool:
        """Return whether an event of that size fits."""
        return self._at + _HEAD + size + 1 + _RESERVE <= SEGMENT_BYTES

    def write(self, body: bytes) -> None:
        """Add a record. Its length comes last: what is cut off by a kill was never accepted."""
        at, stop = self._at, self._at + _HEAD + len(body)
        assert stop + _HEAD <= SEGMENT_BYTES, "the reserve is used up"
        self._map[at + 4 : stop] = zlib.crc32(body).to_bytes(4, "little") + body
        self._map[at : at + 4] = len(body).to_bytes(4, "little")
        self._at = stop

    def close(self) -> None:
        """Give the memory back, and with it the file's lock. The file stays."""
        self._map.close()
        os.close(self.handle)


class SegmentFile:
    """Keeps what one writer accepted until the log has it. Made by `Recorder(..., crash_proof=True)`."""

    def __init__(self, folder: Path, writer: UUID, decision_point: str, schema_digest: str) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._counts: dict[Kind, int] = {"decision": 0, "outcome": 0}
        self._opening = Opening(writer, 0, decision_point, schema_digest, 0, 0, 0)
        self._files = [self._open()]

    def _open(self) -> _File:
        number = self._opening.number + 1
        counts = {"decisions": self._counts["decision"], "outcomes": self._counts["outcome"]}
        opening = msgspec.structs.replace(self._opening, number=number, **counts)
        opened = _File(self._folder / f"{opening.writer.hex}-{number:08}{SUFFIX}", opening)
        self._opening = opening
        return opened

    def keep(self, kind: Kind, items: list[bytes], queue: "deque[bytes]") -> bool:
        """Write an event and queue its items, in one order. Return False when there is no room for it."""
        if not self._lock.acquire(timeout=_PATIENCE_S):
            return False
        try:
            if not self._files[-1].room(len(items[0])):
                self._files.append(self._open())
                if not self._files[-1].room(len(items[0])):
                    return False
            self._files[-1].write(_EVENT[kind] + items[0])
            self._counts[kind] += 1
            queue.extend(items)
        except OSError:
            return False  # no memory for another file
        finally:
            self._lock.release()
        return True

    def cut(self, frame: Frame, first: int) -> None:
        """Write down, before a frame is sent, which events it holds."""
        payload = frame.payload if frame.kind == "loss" else b""
        mark = Cut(frame.sequence, frame.kind, first, frame.events, payload)
        with self._lock:
            self._files[-1].write(b"C" + msgspec.msgpack.encode(mark))
            self._opening = msgspec.structs.replace(self._opening, sequence=frame.sequence)

    def acked(self, sequence: int, settled: dict[Kind, int]) -> None:
        """Write down that the log has a frame, and remove the files of which it has everything."""
        with self._lock:
            self._files[-1].write(b"A" + msgspec.msgpack.encode(sequence))
            while len(self._files) > 1:
                following = self._files[1].opening
                if following.decisions > settled["decision"] or following.outcomes > settled["outcome"]:
                    break
                oldest = self._files.pop(0)
                oldest.path.unlink(missing_ok=True)
                oldest.close()

    def disown(self) -> None:
        """Close a forked child's copies. Without the lock: the parent's thread that held it is not here."""
        for file in self._files:
            file.close()

    def close(self, *, remove: bool) -> None:
        """Let go of the files. Those that hold what the log has not stay for `drain`."""
        with self._lock:
            for file in self._files:
                if remove:
                    file.path.unlink(missing_ok=True)
                file.close()


class Abandoned(msgspec.Struct, frozen=True):
    """What a writer that is gone still owes: its frames, in order, and the files that hold them."""

    writer: UUID
    frames: tuple[Frame, ...]
    files: tuple[Path, ...]

    def remove(self) -> None:
        """Remove the files: the log, or a spool, has the frames."""
        for path in self.files:
            path.unlink(missing_ok=True)


def drain(folder: Path = FOLDER) -> Iterator[Abandoned]:
    """Yield what each writer in `folder` owes whose process has ended. Draining again gives the same.

    Files of a running process are left alone, and so are bytes that are no record: a half-written one at
    the end was never accepted.
    """
    writers: dict[str, list[Path]] = {}
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        writers.setdefault(path.name.partition("-")[0], []).append(path)
    for paths in writers.values():
        if _is_gone(paths[-1]):
            contents = [_records(path) for path in paths]
            if all(contents):
                yield _owed(contents, tuple(paths))


def _is_gone(path: Path) -> bool:
    try:
        with path.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _records(path: Path) -> list[bytes]:
    """Return the bodies of a file's records up to the first that is none; empty for another file."""
    data = path.read_bytes()
    found: list[bytes] = []
    at = len(_MAGIC)
    while data.startswith(_MAGIC) and at + _HEAD <= len(data):
        stop = at + _HEAD + int.from_bytes(data[at : at + 4], "little")
        body = data[at + _HEAD : stop]
        if not body or zlib.crc32(body) != int.from_bytes(data[at + 4 : at + 8], "little"):
            break
        found.append(body)
        at = stop
    return found


def _owed(contents: list[list[bytes]], paths: tuple[Path, ...]) -> Abandoned:
    openings = [msgspec.msgpack.decode(bodies[0][1:], type=Opening) for bodies in contents]
    first = openings[0]
    events: dict[Kind, list[bytes]] = {"decision": [], "outcome": []}
    started: dict[Kind, int] = {"decision": first.decisions, "outcome": first.outcomes}
    done = dict(started)  # ordinals that are in frames which were cut
    cuts: dict[int, Cut] = {}
    sequence = openings[-1].sequence
    for body in (body for bodies in contents for body in bodies[1:]):
        if body[:1] == b"C":
            cut = msgspec.msgpack.decode(body[1:], type=Cut)
            cuts[cut.sequence] = cut
            sequence = max(sequence, cut.sequence)
            if cut.kind != "loss":
                done[cut.kind] = max(done[cut.kind], cut.first + cut.events)
        elif body[:1] == b"A":
            cuts.pop(msgspec.msgpack.decode(body[1:], type=int), None)
        else:
            events["decision" if body[:1] == b"D" else "outcome"].append(body[1:])
    frames = []
    for cut in cuts.values():
        start = cut.first - started.get(cut.kind, 0)
        held = [] if cut.kind == "loss" else events[cut.kind][start : start + cut.events]
        frames.append(_frame(first, cut.sequence, cut.kind, held, cut))
    for kind in events:
        rest = events[kind][done[kind] - started[kind] :]
        for start in range(0, len(rest), FRAME_EVENTS):
            sequence += 1
            frames.append(_frame(first, sequence, kind, rest[start : start + FRAME_EVENTS], None))
    return Abandoned(first.writer, tuple(frames), paths)


def _frame(opening: Opening, sequence: int, kind: Kind, held: list[bytes], cut: Cut | None) -> Frame:
    events, payload = len(held), payload_of(held)
    if cut is not None and cut.kind == "loss":
        events, payload = cut.events, cut.payload
    names = (opening.decision_point, opening.schema_digest)
    return frame_of(opening.writer, sequence, kind, *names, events, payload)
