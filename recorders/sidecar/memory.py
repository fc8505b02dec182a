"""Memory: what killed services left in shared memory goes into the spool, and only then away."""

import asyncio
import hashlib
import logging
import os
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

from recorders import abandoned
from recorders.abandoned import Abandoned, drain
from recorders.errors import HarnessError
from recorders.fields import FeatureSet
from recorders.segment_file import FOLDER
from recorders.sidecar import wire
from recorders.sidecar.door import Reception
from recorders.sidecar.hub import Hub
from recorders.sidecar.marks import Answer
from recorders.sidecar.settings import Settings
from recorders.sidecar.wire import Arrived

LOOK_S: Final = 1.0
MEMORY: Final = (
    "Give services and sidecar a folder of memory and a group of their own, whose files have that group: "
    "install -d -m 2770 -g GROUP FOLDER; Recorder(crash_proof=FOLDER), door.memory."
)
_logger = logging.getLogger("recorders.sidecar")


class Memory:
    """Takes abandoned frames through the hub like those of any service: the same marks tell a resend.

    In the default folder, which all services of a machine share, only what this user's services meant for
    this sidecar's doors; in a folder of its own, all that was meant for a sidecar.
    """

    def __init__(self, settings: Settings, hub: Hub, reception: Reception) -> None:
        self._folder = Path(settings.door.memory)
        self._shared = self._folder == FOLDER
        self._doors = {os.path.realpath(settings.door_socket), f"tcp://{settings.door.tcp}"}
        self._hub = hub
        self._reception = reception
        self._passed: set[UUID] = set()
        self._closed: set[Path] = set()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            try:
                await self.sweep()
            except OSError as error:  # a file that went meanwhile, or may not be read: the next look tells
                _logger.warning("%s could not be looked through: %s", self._folder, error)
            await asyncio.sleep(LOOK_S)

    async def sweep(self) -> None:
        """Take what is there. What does not go in now, on a full disk, is there the next time."""
        self._miss_closed()
        found = drain(self._folder, passed=self._passed)
        while not (self._hub.draining or self._hub.spool.refusal):
            owed = await asyncio.to_thread(next, found, None)
            if owed is None:
                return
            frames = _arrived(owed) if self._is_ours(owed) else None
            if frames is None:
                self._passed.add(owed.writer)
            elif await self._keep(owed, frames):
                self._let_go(owed)

    def _is_ours(self, owed: Abandoned) -> bool:
        address = owed.opening.address
        if not address or not self._shared:
            return bool(address)
        door = address if address.startswith("tcp://") else os.path.realpath(address)
        if door not in self._doors:
            return False
        # Anybody may write there: another user's file is another user's word.
        if any(path.stat().st_uid != os.geteuid() for path in owed.files):
            _logger.error("What writer %s left is another user's. %s", owed.writer, MEMORY)
            return False
        return True

    def _miss_closed(self) -> None:
        """Say which files cannot be read, while the services that write them still run."""
        if self._shared:
            return  # they are for the sidecars of their users
        for path in abandoned.closed_to_us(self._folder):
            if path not in self._closed:
                self._closed.add(path)
                self._reception.counts["closed_memory"] += 1
                _logger.error("%s is closed to this user: what it holds is not taken over. %s", path, MEMORY)

    async def _keep(self, owed: Abandoned, frames: list[Arrived]) -> bool:
        """Return whether the disk has all that is owed, and the report of what could not be read."""
        canonical = owed.opening.feature_set
        self._hub.announce(hashlib.sha256(canonical).digest(), canonical)
        frames = self._from_mark(frames)
        answers = await _handed_over(self._hub, frames)
        if any(answer.reason in ("gap", "forked") for answer in answers):
            answers = await _handed_over(self._hub, self._renamed(frames))
        if not all(answer.kept for answer in answers):
            return False
        if owed.damaged_bytes:
            about = {"decision_point": owed.opening.decision_point, "bytes": owed.damaged_bytes}
            report = self._hub.spool.report("memory_damaged", owed.writer, None, **about)
            answers = await _handed_over(self._hub, [report])
        return all(answer.kept for answer in answers)

    def _from_mark(self, frames: list[Arrived]) -> list[Arrived]:
        """Return the frames after the last that the spool has; it remembers the digests of few before it."""
        marks = self._hub.spool.marks([frame.writer for frame in frames[:1]])
        for place, frame in enumerate(frames):
            if (frame.sequence, frame.digest) == (marks[0].sequence, marks[0].digest):
                return frames[place + 1 :]
        return frames

    def _renamed(self, frames: Sequence[Arrived]) -> list[Arrived]:
        """Return the frames that the spool has under no name, under the one writer that follows theirs.

        The spool was put back or moved while the service ran, which then went on under another writer; or
        a damaged file left a hole. The name is the same each time, for this process may be killed as well.
        """
        writer = hashlib.sha256(b"abandoned" + frames[0].writer).digest()[:16]
        (mark,) = self._hub.spool.marks([writer])
        unknown = [frame for frame in frames if not self._hub.spool.holds(frame.digest)]
        return [
            frame._replace(writer=writer, sequence=number)
            for number, frame in enumerate(unknown, start=mark.sequence + 1)
        ]

    def _let_go(self, owed: Abandoned) -> None:
        self._reception.counts["recovered_writers"] += 1
        self._reception.gone.pop(owed.writer.bytes, None)  # nothing of it is missed any more
        events = sum(frame.events for frame in owed.frames)
        _logger.warning("Writer %s was killed. %d events that it left are kept.", owed.writer, events)
        try:
            owed.remove()
        except OSError as error:
            self._passed.add(owed.writer)
            _logger.error("Its files stay: %s. Let the sidecar write to their folder.", error)  # noqa: TRY400  # the message is the remedy


def _arrived(owed: Abandoned) -> list[Arrived] | None:
    """Return the frames as the door would take them, None if no recorder of ours can have made the file."""
    opening = owed.opening
    try:
        declared = FeatureSet.from_json(opening.feature_set)
        sound = (declared.canonical(), declared.digest) == (opening.feature_set, opening.schema_digest)
        messages = [wire.encode_frame(frame) for frame in owed.frames]
        frames = [wire.decode_frame(message[wire.PREFIX.size :]) for message in messages]
    except (HarnessError, struct.error, TypeError, ValueError, RecursionError) as error:
        _logger.warning("What writer %s left is passed over: %s", owed.writer, error)
        return None
    return frames if sound else None


class _Handover:
    """One writer's frames on their way to the disk: a sender as the hub sees it."""

    def __init__(self, frames: int) -> None:
        self._missing = frames
        self.answers: list[Answer] = []
        self.answered = asyncio.Event()

    def answer(self, answered: Sequence[tuple[Arrived, Answer]]) -> None:
        """Take note of what became of the frames."""
        self.answers += [answer for _, answer in answered]
        if len(self.answers) >= self._missing:
            self.answered.set()

    def pause(self) -> None:
        """Hold nothing back: what one service had in memory is bounded already."""

    def resume(self) -> None:
        """Go on."""


async def _handed_over(hub: Hub, frames: Sequence[Arrived]) -> list[Answer]:
    """Return the answers for frames once the disk has them, or will not."""
    if not frames:
        return []
    handover = _Handover(len(frames))
    for frame in frames:
        hub.take(handover, frame)
    await handover.answered.wait()
    return handover.answers
