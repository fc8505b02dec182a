"""The segment file: accepted events in shared memory, which outlives a process that is killed.

A writer's events, frame cuts, acknowledgements and losses are records in memory-mapped files of one folder
(`/dev/shm` by default). After SIGKILL, `recorders/abandoned.py` reads them. A machine that loses power loses
them.

File: 8 bytes magic, then records. Record: length of the body (u32 little-endian, written last; 0 ends the
file), CRC-32 of the body (u32), body. Body: one byte of type, then msgpack, or an event as it is queued.
"""

import fcntl
import logging
import mmap
import os
import sys
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Final
from uuid import UUID

import msgspec

from recorders.fields import FeatureSet
from recorders.frame import Frame, Kind
from recorders.losses import Loss

FOLDER: Final = Path("/dev/shm")  # noqa: S108  # memory that outlives the process is the purpose
SUFFIX: Final = ".recorder"
BORN: Final = ".born"  # what a file ends in until it is locked: no file is ever seen unlocked by its writer
SEGMENT_BYTES: Final = 16 * 2**20
MAGIC: Final = b"HREC\x00\x00\x00\x01"
HEAD: Final = 8  # length and CRC
_ROOM: Final = f"room for a file of {SEGMENT_BYTES // 2**20} MiB"
_RESERVE: Final = 65_536  # of each file, for cuts and acknowledgements alone
_PATIENCE_S: Final = 0.05  # the lock is held for microseconds, but a signal may interrupt its holder
_EVENT: Final[dict[Kind, bytes]] = {"decision": b"D", "outcome": b"O"}
_OPENING, _CUT, _ACKED, _LOST = b"S", b"C", b"A", b"L"
_CRC: Final = {mark: zlib.crc32(mark) for mark in (*_EVENT.values(), _OPENING, _CUT, _ACKED, _LOST)}
# A recorder without a sidecar drops for hours: a megabyte an hour is what saying so takes.
_LOST_EVERY_S: Final = 0.25
# To ask for room where there is none takes a millisecond: too long for each event.
_ROOM_EVERY_S: Final = 0.25
_logger = logging.getLogger("recorders")


class Opening(msgspec.Struct, frozen=True, array_like=True):
    """The first record of a file: whose it is, and what came before it."""

    writer: UUID
    number: int
    decision_point: str
    schema_digest: str
    sequence: int  # of the last frame that was cut
    decisions: int  # events of earlier files
    outcomes: int
    address: str = ""  # of the sidecar that the link hands frames to
    feature_set: bytes = b""  # canonical JSON: a sidecar that never met the service needs it


class Cut(msgspec.Struct, frozen=True, array_like=True):
    """A frame was made of `events` events from ordinal `first` on; a report carries its own payload."""

    sequence: int
    kind: Kind
    first: int
    events: int
    payload: bytes


def _of_another_user(address: str) -> bool:
    """Whether a sidecar's socket is another user's. Of one that is not there yet nothing is known."""
    try:
        return not address.startswith("tcp://") and os.stat(address).st_uid != os.geteuid()  # noqa: PTH116  # "" too
    except OSError:
        return False


class _File:
    """One mapped file that is written from front to end."""

    def __init__(self, path: Path, opening: Opening) -> None:
        self.path = path
        self.opening = opening
        born = path.with_suffix(BORN)
        # In a folder of its own a service's group may read: the sidecar may be another user.
        mode = 0o600 if path.parent == FOLDER else 0o640
        self.handle = os.open(born, os.O_RDWR | os.O_CREAT | os.O_EXCL, mode)
        try:
            # A page that cannot be had later kills the service.
            os.posix_fallocate(self.handle, 0, SEGMENT_BYTES)
            self._map = mmap.mmap(self.handle, SEGMENT_BYTES)
        except OSError:
            os.close(self.handle)
            born.unlink()
            raise
        fcntl.lockf(self.handle, fcntl.LOCK_EX)  # let go by the kernel when the process ends, however it ends
        self._map[: len(MAGIC)] = MAGIC
        self._at = len(MAGIC)
        self.write(_OPENING, msgspec.msgpack.encode(opening))
        born.rename(path)

    def room(self, size: int) -> bool:
        """Return whether an event of that size fits."""
        return self._at + HEAD + size + 1 + _RESERVE <= SEGMENT_BYTES

    def write(self, mark: bytes, body: bytes) -> None:
        """Add a record. Its length comes last: what is cut off by a kill was never accepted."""
        at, size = self._at, 1 + len(body)
        stop = at + HEAD + size
        assert stop + HEAD <= SEGMENT_BYTES, "the reserve is used up"
        check = zlib.crc32(body, _CRC[mark])
        self._map[at + 4 : stop] = b"".join((check.to_bytes(4, "little"), mark, body))
        self._map[at : at + 4] = size.to_bytes(4, "little")
        self._at = stop

    def close(self) -> None:
        """Give the memory back, and with it the file's lock. The file stays."""
        self._map.close()
        os.close(self.handle)


class SegmentFile:
    """Keeps what one writer accepted until the log has it. Made by `Recorder(..., crash_proof=True)`.

    In a forked process there may be no room: then it keeps nothing until there is.

    Raises:
        OSError: the folder is not there, or has no room; not when it is `forked`.
    """

    def __init__(
        self,
        folder: Path,
        writer: UUID,
        decision_point: str,
        feature_set: FeatureSet,
        address: str,
        *,
        forked: bool = False,
    ) -> None:
        if not forked and not folder.is_dir():
            raise FileNotFoundError(
                f"{folder} is no folder. Expected one in memory for crash_proof. "
                "Make it, so that the service and its sidecar can write there."
            )
        if folder == FOLDER and _of_another_user(address):
            _logger.warning(
                "The sidecar at %s is another user: it takes over nothing of this one's from %s. Expected "
                "the same user, or a folder for both. Pass crash_proof=Path(...): see docs/recorder.md.",
                address,
                folder,
            )
        self._folder = folder
        self._lock = threading.Lock()
        self._postponed: list[Callable[[], object]] = []
        self._counts: dict[Kind, int] = {"decision": 0, "outcome": 0}
        self._opening = Opening(
            writer,
            number=0,
            decision_point=decision_point,
            schema_digest=feature_set.digest,
            sequence=0,
            decisions=0,
            outcomes=0,
            address=address,
            feature_set=feature_set.canonical(),
        )
        self._lost, self._lost_at = b"", -_LOST_EVERY_S
        self._settled: dict[Kind, int] = {"decision": 0, "outcome": 0}
        self._acked = 0
        self._files: list[_File] = []
        self._shortage: OSError | None = None
        self._asked_at = 0.0
        self._told = False
        if not self._another():
            if not forked:
                raise self._lacking()
            self._tell()

    def _open(self) -> _File:
        number = self._opening.number + 1
        counts = {"decisions": self._counts["decision"], "outcomes": self._counts["outcome"]}
        opening = msgspec.structs.replace(self._opening, number=number, **counts)
        opened = _File(self._folder / f"{opening.writer.hex}-{number:08}{SUFFIX}", opening)
        if self._lost:
            opened.write(_LOST, self._lost)  # the file before it may go before this is reported
        self._opening = opening
        return opened

    def _another(self) -> bool:
        """Begin another file; False where there is no room. Then that is not asked for at each event."""
        now = time.monotonic()
        if self._shortage is not None and now < self._asked_at + _ROOM_EVERY_S:
            return False
        if self._shortage is not None and self._is_settled():
            self._let_go(remove=True)  # its own files are what is in the way, and the log has all of them
        try:
            self._files.append(self._open())
        except OSError as error:
            self._shortage, self._asked_at = error, now
            return False
        self._shortage, self._told = None, False
        return True

    def _is_settled(self) -> bool:
        """Whether nothing in the files is owed: no event, and no frame that is under way."""
        settled = all(self._settled[kind] == count for kind, count in self._counts.items())
        return settled and self._acked == self._opening.sequence

    def _lacking(self) -> OSError:
        assert self._shortage is not None, "asked for after it was seen"
        happened = f"crash_proof keeps no event: {self._shortage.strerror}."
        remedy = "Make room, or pass crash_proof=Path(...) of another folder"
        return OSError(self._shortage.errno, f"{happened} Expected {_ROOM}. {remedy}", str(self._folder))

    def _tell(self) -> None:
        self._told = True
        _logger.error(
            "Process %d keeps no event in %s, and so takes none: %s. Expected %s. "
            "Make room: it goes on by itself.",
            os.getpid(),
            self._folder,
            self._shortage,
            _ROOM,
        )

    def keep(self, kind: Kind, items: list[bytes], queue: "deque[bytes]") -> bool:
        """Write an event and queue its items, in one order. Return False when there is no room for it."""
        data = items[0]
        try:
            if len(data) > SEGMENT_BYTES // 2:
                return False  # another file would not take it either
            # Waiting has a price even where nobody is in the way.
            if self._lock.locked() and not self._free_in_time():
                return False
            with self._lock:  # `acquire` would leave it held where a signal's handler raises right behind it
                if (not self._files or not self._files[-1].room(len(data))) and not (
                    self._another() and self._files[-1].room(len(data))
                ):
                    return False
                self._files[-1].write(_EVENT[kind], data)
                self._counts[kind] += 1
                queue.extend(items)
        finally:
            if self._postponed:
                self._catch_up()
        return True

    def _free_in_time(self) -> bool:
        """Wait for the lock, but not for a holder that a signal interrupted: this thread perhaps."""
        end = time.monotonic() + _PATIENCE_S
        while self._lock.locked():
            if time.monotonic() >= end:
                return False
            time.sleep(_PATIENCE_S / 1_000)
        return True

    def interrupted(self) -> bool:
        """Whether the caller came in between on a thread that is in here already, as a signal's handler does.

        It must not wait for what needs the lock: the sender does, and who holds it waits for the caller.
        """
        inside = (SegmentFile.keep.__code__, SegmentFile.close.__code__)
        frame: FrameType | None = sys._getframe()  # noqa: SLF001  # `inspect` is a large import for a service
        while frame is not None:
            if frame.f_code in (*inside, SegmentFile._catch_up.__code__) and frame.f_locals["self"] is self:
                return frame.f_code in inside
            frame = frame.f_back
        return False

    def postpone(self, work: Callable[[], object]) -> bool:
        """Have `work` done once the event is kept that the caller interrupted. Return False if it did not.

        One that interrupted `close` is not called: the end that it asks for has begun.
        """
        if not self.interrupted():
            return False
        self._postponed.append(work)
        return True

    def _catch_up(self) -> None:
        """Do what was postponed, now that the lock is free."""
        while self._postponed:
            self._postponed.pop(0)()

    def cut(self, frame: Frame, first: int) -> None:
        """Write down, before a frame is sent, which events it holds."""
        payload = frame.payload if frame.kind == "loss" else b""
        mark = Cut(frame.sequence, frame.kind, first, frame.events, payload)
        with self._lock:
            self._mark(_CUT, msgspec.msgpack.encode(mark))
            if frame.kind == "loss":
                self._lost, self._lost_at = (
                    b"",
                    -_LOST_EVERY_S,
                )  # the cut has it; the next look tells the rest
            self._opening = msgspec.structs.replace(self._opening, sequence=frame.sequence)

    def lost(self, losses: list[Loss], now_s: float) -> None:
        """Write down what was counted and is in no frame yet: it takes the place of what was said before."""
        if self._shortage is not None and not self._told:
            self._tell()
        said = msgspec.msgpack.encode(losses)
        if said == self._lost or now_s < self._lost_at + _LOST_EVERY_S:
            return
        with self._lock:
            self._mark(_LOST, said)
            self._lost, self._lost_at = said, now_s

    def acked(self, sequence: int, settled: dict[Kind, int]) -> None:
        """Write down that the log has a frame, and remove the files of which it has everything."""
        with self._lock:
            self._mark(_ACKED, msgspec.msgpack.encode(sequence))
            self._settled, self._acked = dict(settled), sequence
            while len(self._files) > 1:
                following = self._files[1].opening
                if following.decisions > settled["decision"] or following.outcomes > settled["outcome"]:
                    break
                oldest = self._files.pop(0)
                oldest.path.unlink(missing_ok=True)
                oldest.close()

    def _mark(self, mark: bytes, body: bytes) -> None:
        """Write what is no event. A recorder that is switched off may report losses for days."""
        if not self._files or not self._files[-1].room(len(body)):
            self._another()  # where there is no room for another file, the reserve takes it
        if self._files:
            self._files[-1].write(mark, body)

    def disown(self) -> None:
        """Close a forked child's copies. Without the lock: the parent's thread that held it is not here."""
        for file in self._files:
            file.close()

    def close(self, *, remove: bool) -> None:
        """Let go of the files. Those that hold what the log has not stay for `drain`."""
        with self._lock:
            self._let_go(remove=remove)

    def _let_go(self, *, remove: bool) -> None:
        for file in self._files:
            if remove:
                file.path.unlink(missing_ok=True)
            file.close()
        self._files.clear()
