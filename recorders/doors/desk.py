"""Desk: what all doors take becomes one commit at a time; an answer leaves only after it.

Commit-when-idle, as in the sidecar's hub: all that came during one commit is the next one.
"""

import asyncio
import logging
import math
import sqlite3
from collections import Counter, deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, NamedTuple
from uuid import uuid4

import msgspec

from recorders.clock import Clock, SystemClock
from recorders.doors.errors import DoorClosed
from recorders.doors.frames import Packing, frame_of
from recorders.doors.intake import Intake
from recorders.doors.journal import Journal
from recorders.doors.pairing import Bounds, Half, Pair, PairingTable
from recorders.doors.router import Routed, Router
from recorders.errors import AppendError, InvalidEvent, LinkUnavailable
from recorders.frame import Frame
from recorders.losses import Loss

PENDING_MAX: Final = 16_384
COMMIT_MAX: Final = 2_048
LOSS_EVERY_S: Final = 5.0
TICK_S: Final = 1.0
# The desk looks once in a tick. Of more than this between two looks, nothing was time for a half to come in.
AWAKE_S: Final = 2.0
SAMPLES: Final = 20
COUNTED: Final = {"decision": "decisions", "outcome": "outcomes", "loss": "losses"}
# How long the desk waits for others to share a commit: for each that shared the last one, and at most.
GATHER_EACH_S: Final = 0.0001
GATHER_MAX_S: Final = 0.003
NotKept = DoorClosed | AppendError
Kept = Callable[[NotKept | None], None]
_logger = logging.getLogger("recorders.doors")


class Work(msgspec.Struct, frozen=True):
    """What one HTTP request brought: events that are whole, halves that may have to wait."""

    routed: Sequence[Routed] = ()
    halves: Sequence[Half] = ()


class _Commit(NamedTuple):
    """One commit: its frames, what it takes out of the table, what it must write down first."""

    frames: list[Frame]
    pairs: list[tuple[Pair, Half | None]]
    waiting: list[Half]
    losses: list[tuple[str, Loss]]
    rejected: list[InvalidEvent]


class Desk:
    """Pairs, packs and submits. For one event loop.

    A frame whose submission failed is never sent again: its senders are told to come again, and the next
    frames have a new writer. What comes twice that way has the same decision ids, and counts once.
    """

    def __init__(
        self,
        intake: Intake,
        router: Router,
        journal: Journal,
        bounds: Bounds = Bounds(),  # noqa: B008  # a constant
        *,
        clock: Clock = SystemClock(),  # noqa: B008  # a constant
    ) -> None:
        self.router = router
        self.table = PairingTable(bounds)
        self.counts: Counter[str] = Counter()
        self.samples: deque[str] = deque(maxlen=SAMPLES)
        self._intake = intake
        self._journal = journal
        self._clock = clock
        self._disk = ThreadPoolExecutor(1, "journal")
        self._pending: deque[tuple[Work, Kept]] = deque()
        self._wake = asyncio.Event()
        self._writer, self._sequence = uuid4(), 0
        self._forget: list[str] = []
        self._losses: dict[tuple[str, str], tuple[int, float, float]] = {}
        self._report_from = 0.0
        self._closed = self._alone = False
        self._commit_from = 0.0  # by the clock of the event loop, unless as many as these are there before
        self._awaited = 1
        self._awake_s, self._looked_at = 0.0, clock.monotonic()
        self.table.restore(journal.take_over(), self._awake_s)

    def now(self) -> float:
        """Return the time in seconds since 1970."""
        return self._clock.now_us() / 1e6

    def submit(self, work: Work, kept: Kept) -> None:
        """Take work in. `kept` is called with None once all of it survives the death of the process.

        It is called with what stood in the way if nothing of the work was kept: the sender may send it again.

        Raises:
            DoorClosed: nothing of it was taken, and `kept` is not called.
        """
        if self._closed or len(self._pending) >= PENDING_MAX:
            raise DoorClosed("the door is closing" if self._closed else f"{PENDING_MAX} requests wait")
        self._pending.append((work, kept))
        if len(self._pending) in (1, self._awaited):  # in between it knows already, and waits for more
            self._wake.set()

    def reject(self, error: InvalidEvent) -> None:
        """Count an event that cannot be taken. The log learns of it as a loss."""
        self.counts[f"rejected.{error.reason}"] += 1
        self.samples.append(str(error)[:500])
        now = self.now()
        kind = (error.decision_point, error.reason)
        count, first, last = self._losses.get(kind, (0, now, now))
        self._losses[kind] = (count + 1, min(first, now), max(last, now))

    async def run(self) -> None:
        """Commit until cancelled."""
        ticks = asyncio.create_task(self._tick())
        try:
            while True:
                await self._woken()
                await self._gather()
                await self.commit()
                if self._pending:  # more than one commit takes, or it came meanwhile
                    self._wake.set()
        finally:
            ticks.cancel()

    async def _gather(self) -> None:
        """Wait for those who shared the last commit: they were answered, and most are about to send again.

        A commit costs the same for one as for thirty. A sender that is alone never waits (docs/adr/0063), and
        nobody waits any more once as many have come as can be on their way (docs/adr/0094).
        """
        loop = asyncio.get_running_loop()
        if len(self._pending) < self._awaited and loop.time() < self._commit_from:
            self._wake.clear()
            enough = loop.call_at(self._commit_from, self._wake.set)
            await self._woken()
            enough.cancel()

    async def _woken(self) -> None:
        await self._wake.wait()
        self._wake.clear()

    async def _tick(self) -> None:
        """Wake the desk for what is due though nothing comes."""
        while True:
            await asyncio.sleep(TICK_S)
            self._wake.set()

    async def close(self, *, alone: bool = False) -> None:
        """Take no more, and commit what was taken.

        What waits for its other half is on disk; with `alone` it goes out as it is.
        """
        self._closed = True
        self._report_from = 0.0
        self._alone = alone
        await self.commit()
        while self._pending:
            await self.commit()
        self._disk.shutdown()
        self._journal.close()

    async def commit(self) -> None:
        """Commit what is pending and what is due."""
        group = [self._pending.popleft() for _ in range(min(len(self._pending), COMMIT_MAX))]
        packing = Packing(self._writer, sequence=self._sequence)
        made = self._make([work for work, _ in group], packing)
        error: NotKept | None = None
        try:
            await self._keep(made)
        except (LinkUnavailable, sqlite3.Error) as failure:
            error = DoorClosed(str(failure))
        except AppendError as failure:
            _logger.error("The intake refuses: %s", failure)  # noqa: TRY400  # the message is the remedy
            error = failure
        if error is None:
            self._settle(made, packing.sequence)
        else:
            self._take_back(made, [work for work, _ in group])
        loop = asyncio.get_running_loop()
        self._commit_from = loop.time() + min(GATHER_EACH_S * (len(group) - 1), GATHER_MAX_S)
        self._awaited = min(len(group) + len(self._pending), COMMIT_MAX)
        loop.call_soon(self._tell, deque(kept for _, kept in group), error)

    # Inside.

    def _tell(self, group: deque[Kept], error: NotKept | None) -> None:
        """Tell all of a commit. What is wrong with one connection keeps no answer from the others."""
        try:
            while group:
                group.popleft()(error)
        finally:
            if group:
                asyncio.get_running_loop().call_soon(self._tell, group, error)

    def _awake(self) -> float:
        """Return for how long the desk was there to take something in. Stopped, it was not (SIGSTOP)."""
        now = self._clock.monotonic()
        self._awake_s += min(now - self._looked_at, AWAKE_S)
        self._looked_at = now
        return self._awake_s

    def _make(self, works: Sequence[Work], packing: Packing) -> _Commit:
        now = self._awake()
        routed = [one for work in works for one in work.routed]
        completed, waiting = self.table.offer_all((half for work in works for half in work.halves), now)
        made = _Commit([], [*completed], [], [], [])
        for pair in self.table.due(math.inf if self._alone else now):
            made.pairs.append((pair, None))
            waiting.pop(pair.key, None)
        made.waiting.extend(waiting.values())
        for pair, _ in made.pairs:
            try:
                routed += self.router.pair(pair)
            except InvalidEvent as error:
                made.rejected.append(error)
        made.frames.extend(packing.add(routed))
        made.frames.extend(packing.rest())
        if self._losses and now >= self._report_from:
            self._report(made, packing)
            self._report_from = now + LOSS_EVERY_S
        return made

    def _report(self, made: _Commit, packing: Packing) -> None:
        """Add a frame for each kind of loss; whatever happens next, none is counted twice."""
        for (point, reason), (count, first, last) in self._losses.items():
            loss = Loss(packing.writer, f"rejected.{reason}", count, round(first * 1e6), round(last * 1e6))
            packing.sequence += 1
            data = [msgspec.msgpack.encode(loss)]
            made.frames.append(frame_of(packing.writer, packing.sequence, "loss", point, "", data))
            made.losses.append((point, loss))
        self._losses.clear()

    async def _keep(self, made: _Commit) -> None:
        forget = self._forget
        if made.waiting or len(forget) >= COMMIT_MAX:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._disk, self._journal.write, made.waiting, forget)
            self._forget = []
        if made.frames:
            await self._intake.submit(made.frames)

    def _settle(self, made: _Commit, sequence: int) -> None:
        self._sequence = sequence
        self.counts["commits"] += 1
        for error in made.rejected:
            self.reject(error)
        for frame in made.frames:
            self.counts[COUNTED[frame.kind]] += frame.events
        # Forgetting may wait for the next write: a half that is found again makes the same decision ids.
        self._forget.extend(pair.key for pair, _ in made.pairs)

    def _take_back(self, made: _Commit, works: Sequence[Work]) -> None:
        """Make it as if the commit had not been tried."""
        self._writer, self._sequence = uuid4(), 0
        self.counts["refused_commits"] += 1
        for pair, arrived in reversed(made.pairs):
            self.table.put_back(pair, arrived=arrived)
        for work in works:
            for half in work.halves:
                self.table.withdraw(half)
        self._forget.extend(half.key for half in made.waiting)
        for point, loss in made.losses:
            reason = loss.reason.removeprefix("rejected.")
            first, last = loss.first_us / 1e6, loss.last_us / 1e6
            count, since, until = self._losses.get((point, reason), (0, first, last))
            self._losses[(point, reason)] = (count + loss.count, min(first, since), max(last, until))
