"""Hub: frames from all connections become one commit at a time; an answer leaves only after it."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Final, Protocol
from uuid import UUID

from recorders.sidecar.marks import Answer
from recorders.sidecar.report import instant
from recorders.sidecar.sealed_frames import FrameSealer, announced_by
from recorders.sidecar.spool import Spool
from recorders.sidecar.wire import Arrived, Known

# What may wait for the disk; beyond it the connections are not read.
PENDING_BYTES_MAX: Final = 32 * 2**20
COMMIT_FRAMES_MAX: Final = 4_096
_logger = logging.getLogger("recorders.sidecar")


class Sender(Protocol):
    """A connection as the hub sees it."""

    def answer(self, answered: Sequence[tuple[Arrived, Answer]]) -> None:
        """Tell the service what became of its frames."""
        ...

    def pause(self) -> None:
        """Read no more for now."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...


class Hub:
    """Takes frames in the event loop, commits them on `committer` (one thread), and answers.

    Commit-when-idle: as soon as one commit has ended, all that came meanwhile is the next one.
    """

    def __init__(
        self, spool: Spool, committer: Executor, sealer: FrameSealer, *, kept: Callable[[], None]
    ) -> None:
        self.spool = spool
        self._sealer = sealer
        self.draining = False
        self._committer = committer
        self._kept = kept
        self._frames: list[tuple[Sender | None, Arrived]] = []
        self._schemas: list[tuple[bytes, bytes]] = []
        self._pending_bytes = 0
        self._paused: set[Sender] = set()
        self._wake = asyncio.Event()
        self._committing = False
        self._rewound: set[tuple[bytes, int]] = set()
        self._untold: list[Arrived] = []
        self._want: tuple[float, str] | None = None

    def take(self, sender: Sender | None, frame: Arrived) -> None:
        """Queue a frame for the next commit."""
        self._frames.append((sender, frame))
        self._pending_bytes += len(frame.payload)
        if self._pending_bytes > PENDING_BYTES_MAX and sender is not None and sender not in self._paused:
            self._paused.add(sender)
            sender.pause()
        self._wake.set()

    def announce(self, digest: bytes, canonical: bytes) -> None:
        """Queue a feature set; it is kept before the frames that come after it."""
        if not self.knows(digest):
            self._schemas.append((digest, canonical))
            self._wake.set()

    def knows(self, digest: bytes) -> bool:
        """Whether a feature set was announced, now or long ago."""
        return self.spool.feature_set(digest) is not None or any(
            digest == known for known, _ in self._schemas
        )

    def compare(self, known: Sequence[Known]) -> list[Known]:
        """Return how far the spool holds each writer.

        What a service knows acknowledged and is not here is reported.
        """
        marks = self.spool.marks([one.writer for one in known])
        for one, mark in zip(known, marks, strict=True):
            lost = (one.writer, one.sequence)
            if mark.sequence < one.sequence and lost not in self._rewound:
                self._rewound.add(lost)
                missing = [mark.sequence + 1, one.sequence]
                frames = one.sequence - mark.sequence
                writer = UUID(bytes=one.writer)
                report = self.spool.report("spool_rewound", writer, None, frames=frames, sequences=missing)
                self.take(None, report)
        return marks

    def lost(self, writer: bytes) -> None:
        """Report a writer that went without a goodbye and did not come back.

        What it had not sent died with it: nobody can know how much. It lies after its last frame here.
        """
        (mark,) = self.spool.marks([writer])
        if mark.sequence:
            seen = instant(min(self.spool.seen_at(writer), time.time()))  # it may have been set back since
            subject = UUID(bytes=writer)
            report = self.spool.report("writer_lost", subject, None, first=seen, after=mark.sequence)
            self.take(None, report)

    @property
    def rewound(self) -> int:
        """How many writers knew more acknowledged than the spool holds."""
        return len(self._rewound)

    def want_of_keys(self) -> dict[str, object]:
        """Return how many frames went back for want of keys, and of the last one when and why."""
        ago_s, why = (0.0, "") if self._want is None else (time.monotonic() - self._want[0], self._want[1])
        return {"held": self.spool.counts.held, "ago_s": round(ago_s, 1), "why": why}

    @property
    def busy(self) -> bool:
        """Whether frames wait for the disk."""
        return bool(self._frames or self._untold) or self._committing

    def tick(self) -> None:
        """Try again what the disk refused and nobody else sends again, when it has room."""
        if not self.spool.refusal and (self._untold or self._schemas):
            for report in self._untold:
                self.take(None, report)
            self._untold.clear()
            self._wake.set()

    async def run(self) -> None:
        """Commit until cancelled. A commit that has begun ends, and is answered."""
        loop = asyncio.get_running_loop()
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._frames or self._schemas:
                taken, schemas = self._frames[:COMMIT_FRAMES_MAX], self._schemas[:]  # more may come meanwhile
                del self._frames[:COMMIT_FRAMES_MAX]
                frames = [frame for _, frame in taken]
                self._committing = True
                work = loop.run_in_executor(self._committer, self._commit, frames, schemas)
                answers = await asyncio.shield(work)
                if not self.spool.refusal:
                    self._schemas = self._schemas[len(schemas) :]
                self._settle(taken, answers)
                self._committing = False
                if self.spool.refusal and not frames:
                    break  # only feature sets wait; the next frame, or the next tick, tries them again

    def _commit(self, frames: list[Arrived], schemas: list[tuple[bytes, bytes]]) -> list[Answer]:
        """Seal what is sensitive and commit, on the committer's thread; return an answer for each frame."""
        made = self._sealer.seal(frames, announced_by(self.spool.feature_set, schemas))
        answers = iter(self.spool.commit([one for one in made if isinstance(one, Arrived)], schemas))
        return [
            next(answers) if isinstance(one, Arrived) else self._held(frame, one)
            for frame, one in zip(frames, made, strict=True)
        ]

    def _held(self, frame: Arrived, why: str) -> Answer:
        (mark,) = self.spool.marks([frame.writer])
        self.spool.counts.held += 1
        self._want = (time.monotonic(), why)
        return Answer(kept=False, duplicate=False, reason="full", have=mark.sequence, text=why)

    async def flush(self) -> None:
        """Return when nothing waits for the disk."""
        while self.busy:
            self._wake.set()
            await asyncio.sleep(0.01)

    def _settle(self, taken: Sequence[tuple[Sender | None, Arrived]], answers: Sequence[Answer]) -> None:
        by_sender: dict[Sender, list[tuple[Arrived, Answer]]] = {}
        for (sender, frame), answer in zip(taken, answers, strict=True):
            self._pending_bytes -= len(frame.payload)
            if sender is not None:
                by_sender.setdefault(sender, []).append((frame, answer))
            elif not answer.kept:
                self._untold.append(frame)
                _logger.error("A report of the sidecar's own waits for room: %s", frame.payload.decode())
        for sender, answered in by_sender.items():
            sender.answer(answered)
        if self._pending_bytes <= PENDING_BYTES_MAX // 2:
            for sender in self._paused:
                sender.resume()
            self._paused.clear()
        self._kept()
