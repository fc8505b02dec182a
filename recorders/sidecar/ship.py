"""Shipper: sends what is composed, in order, and asks the log before it believes anything."""

import logging
import sqlite3
from collections.abc import Callable
from typing import Final, Literal
from uuid import UUID

from recorders.clock import Clock, LastingClock
from recorders.errors import (
    AppendError,
    CorruptBatch,
    EventAhead,
    LinkUnavailable,
    Rewound,
    SequenceGap,
    WriterForked,
    WrongLog,
)
from recorders.sidecar import segment
from recorders.sidecar.clock_steps import ClockSteps
from recorders.sidecar.damaged import put_aside
from recorders.sidecar.errors import SpoolDamaged, SpoolTaken
from recorders.sidecar.forked import claims_another, same_bytes
from recorders.sidecar.log_door import Door, log_behind
from recorders.sidecar.never_taken import NeverTaken
from recorders.sidecar.outbox import Outbox
from recorders.sidecar.pace import Pace
from recorders.sidecar.records import Ready
from recorders.sidecar.restored import awaits_recovery, go_back
from recorders.sidecar.rounds import Rounds
from recorders.sidecar.salvage import keep_aside
from recorders.sidecar.spool import Spool
from recorders.sidecar.stamp import Stamp

ShipState = Literal["shipping", "waiting", "stopped"]
# After a pause of this length, or when the clock is set by as much, the log is asked before anything is sent:
# the world may have changed, and this be the copy of a machine.
LONG_STOP_S: Final = 60.0
# What an operator can mend while the sidecar runs (a right, a migration) is tried again after this.
REFUSED_RETRY_S: Final = 30.0
_logger = logging.getLogger("recorders.sidecar")


class Counts:
    """What the shipper did since it was made."""

    def __init__(self) -> None:
        self.batches = self.events = self.duplicates = self.retries = self.rewound = self.rewritten = 0
        self.missing = self.set_aside = self.asked = 0


class Shipper:
    """One spool's way into one log. For one thread: it calls `step` again and again.

    `state` is what it does, `reason` why it waits or stopped. It stops for good where going on could harm:
    another history under its writer, another log, a folder that somebody else has.
    """

    def __init__(
        self,
        spool: Spool,
        outbox: Outbox,
        stamp: Stamp,
        open_door: Callable[[str | None], Door],
        pace: Pace,
        *,
        clock: Clock = LastingClock(),  # noqa: B008  # a constant
    ) -> None:
        self.state: ShipState = "shipping"
        self.reason = ""
        self.counts = Counts()
        self.draining = False
        self._spool = spool
        self._outbox = outbox
        self._stamp = stamp
        self._open_door = open_door
        self._pace = pace
        self.never_taken = NeverTaken(spool, outbox, clock)
        self._rounds = Rounds(
            spool,
            outbox,
            self.never_taken.horizon,
            target_events=pace.target_events,
            linger_s=pace.linger_s,
        )
        self._clock = clock
        self._monotonic = clock.monotonic
        self._steps = ClockSteps(clock)
        self._door: Door | None = None
        self._asked = False
        self._attempts = 0
        self._retry_at = 0.0
        self._heard_at = clock.monotonic()
        self._unreadable: set[int] = set()
        # Where it went back, whose batches are missing, and behind which; until the log has the next one.
        self._back_from: tuple[int, UUID, int] | None = None

    @property
    def spool_id(self) -> UUID:
        """What the spool is called in what it reports: the first of its shipping writers."""
        return self._spool.owner

    @property
    def unusable(self) -> int:
        """How many frames were put aside because no batch could be made of them."""
        return self._rounds.unusable

    @property
    def drained(self) -> bool:
        """Whether the log has all that the spool ever acknowledged, and has said so lately."""
        asked = self._asked or not self._outbox.receipts
        return asked and self._outbox.waiting == 0 and self._spool.end <= self._outbox.composed

    def step(self) -> float:
        """Do one piece of work. Return the seconds until there is more; 0 when there is more now.

        Raises:
            SpoolTaken, SpoolDamaged: the folder is not to be used any further in this process.
        """
        now = self._monotonic()
        if now - self._heard_at > LONG_STOP_S or abs(self._steps.look()) > LONG_STOP_S:
            self._asked = False
        try:
            if not self._stamp.holds():
                self._stop("another sidecar opened this spool")
                raise SpoolTaken(self._spool.folder)
            wait = self._rounds.step(now, draining=self.draining)
            if self._spool.refusal:
                self._spool.release(self._outbox.composed)
        except (sqlite3.Error, OSError) as error:
            return self._disk_refuses(error)
        if self.state == "stopped" and self._retry_at == 0.0:
            return wait
        if now < self._retry_at:
            return min(wait, self._retry_at - now)
        # An idle spool asks as well: only it can know that a restored log lacks what it once had.
        if self._outbox.waiting or (self._outbox.receipts and not self._asked):
            return self._ship(now)
        self._outbox.release(retain_s=self._pace.retain_s, pressed=bool(self._spool.refusal))
        return wait

    def close(self) -> None:
        """Give the connection back."""
        if self._door is not None:
            self._door.close()
            self._door = None

    def _disk_refuses(self, error: sqlite3.Error | OSError) -> float:
        """Make room on a full disk: give up what is only kept for a second failure, then the ballast.

        Raises:
            SpoolDamaged: a spool file fails, on a disk that is not full. Opening anew writes to another one.
        """
        if segment.no_room(error):
            self._outbox.release(retain_s=self._pace.retain_s, pressed=True)
            self._spool.drop_ballast()
        elif isinstance(error, sqlite3.Error):
            raise SpoolDamaged(str(error)) from error
        self._wait(f"the spool's folder cannot be written ({error})")
        return max(0.0, self._retry_at - self._monotonic())

    # Ship.

    def _ship(self, now: float) -> float:
        try:
            if self._door is None:
                self._door = self._connect()
            if not self._asked:
                self._ask(self._door)
            ready = self._next()
            if ready is not None:
                self._send(self._door, ready)
        except LinkUnavailable as error:
            self._asked = False
            self.counts.retries += 1
            self._wait(error.what)
            return max(0.0, self._retry_at - now)
        except (sqlite3.Error, OSError) as error:  # what the log said could not be written down
            return self._disk_refuses(error)
        except AppendError as error:
            self._asked = False
            if isinstance(error, Rewound):
                self.close()  # who recovers the log must know that nobody writes
            for_good = isinstance(error, WrongLog | WriterForked)
            self._stop(str(error), retry_s=0.0 if for_good else REFUSED_RETRY_S)
            return self._pace.linger_s
        self._attempts, self._retry_at, self._heard_at = 0, 0.0, now
        if self.state != "shipping":
            _logger.info("Shipping goes on")
        self.state, self.reason = "shipping", ""
        return 0.0

    def _connect(self) -> Door:
        """Return the door to the log that this spool belongs to; the first one that it meets is the one."""
        if not self._outbox.state.log_id:
            self._outbox.bind(log_behind(self._open_door))
        return self._open_door(self._outbox.state.log_id)

    def _ask(self, door: Door) -> None:
        """Send the last acknowledged batch again: the log must know it, in the same place of its history."""
        if self._outbox.receipts:
            word = self._outbox.receipts[-1]
            try:
                ready = self._outbox.read(word.ordinal)
            except (sqlite3.Error, LookupError):
                ready = None
            if ready is not None and (ready.batch.writer.bytes, ready.batch.sequence) == word[1:3]:
                self.counts.asked += 1
                self._answered(door, ready, (word.position, word.chain), word.epoch)
        self._asked = True

    def _answered(self, door: Door, ready: Ready, place: tuple[int, str], epoch: int) -> None:
        try:
            receipt = door.append(ready.batch)
        except (Rewound, SequenceGap) as error:
            self._back_from = None
            self._go_back(ready, error)
            return
        except WriterForked as error:
            if same_bytes(error):
                return  # the log has it; what it is called was damaged here since
            raise
        if receipt.duplicate and receipt.epoch == epoch and (receipt.position, receipt.digest) != place:
            raise WrongLog(f"with chain {place[1][:12]} at {place[0]}", f"with {receipt.digest[:12]} there")
        if not receipt.duplicate and ready.ordinal == self._outbox.state.shipped_ordinal:
            self._outbox.shipped(ready, receipt)

    def _next(self) -> Ready | None:
        ordinal = self._outbox.state.shipped_ordinal + 1
        try:
            return self._outbox.next_ready()
        except (sqlite3.Error, LookupError) as error:
            told = put_aside(self._spool.folder, self.spool_id, ordinal, error)
        if ordinal not in self._unreadable:  # who goes back comes by it again
            self.counts.missing += 1
            self._unreadable.add(ordinal)
            self._outbox.compose([told], self._outbox.composed)
        self._outbox.ship_again_after(ordinal)
        return None

    def _send(self, door: Door, ready: Ready) -> None:
        try:
            receipt = door.append(ready.batch)
        except (Rewound, SequenceGap) as error:
            self._go_back(ready, error)
            return
        except (EventAhead, CorruptBatch) as error:
            self.counts.rewritten += self.never_taken.out(ready, error)
            return
        except WriterForked as error:
            self._forked(ready, error)
            return
        self.never_taken.taken(ready)
        missing = self._back_from
        if missing and missing[1] == ready.batch.writer and missing[2] < ready.batch.sequence:
            self._back_from = None
        self._outbox.shipped(ready, receipt)
        self.counts.batches += 1
        self.counts.events += ready.batch.events
        self.counts.duplicates += receipt.duplicate

    def _go_back(self, ready: Ready, error: Rewound | SequenceGap) -> None:
        """Ship again what a restored log has lost, once it is recovered.

        Raises:
            Rewound: the log's epoch is still one that acknowledged what is gone.
        """
        if isinstance(error, Rewound) and awaits_recovery(self._outbox, error):
            raise error
        self.counts.rewound += 1
        here = ready.ordinal, ready.batch.writer, error.have
        again, self._back_from = here == self._back_from, here
        self.counts.rewritten += go_back(
            self._outbox, ready, error, spool=self.spool_id, unreadable=self._unreadable, again=again
        )

    def _forked(self, ready: Ready, error: WriterForked) -> None:
        """Go on past a damaged row; and a copy that meets its original's batches leaves those to it.

        Raises:
            WriterForked: it is another history.
        """
        outbox = self._outbox
        if same_bytes(error):
            outbox.ship_again_after(ready.ordinal)
        elif claims_another(outbox, ready):
            self.counts.rewritten += outbox.rewrite(ready.ordinal, "a batch with a damaged sequence")
        elif outbox.state.inherited_number and error.writer == outbox.inherited.uuid:
            name = f"forked-{error.writer}-{ready.batch.sequence}.bin"
            keep_aside(self._spool.folder, name, ready.batch.payload)
            outbox.ship_again_after(ready.ordinal)
            self.counts.set_aside += 1
            _logger.error("Batch %d is set aside: %s", ready.batch.sequence, error)
        else:
            raise error

    # State.

    def _wait(self, reason: str) -> None:
        self._retry_at = self._monotonic() + self._pace.wait_s(self._attempts)
        self._attempts += 1
        if (self.state, self.reason) != ("waiting", reason):
            _logger.warning("Shipping waits: %s", reason)
        self.state, self.reason = "waiting", reason

    def _stop(self, reason: str, *, retry_s: float = 0.0) -> None:
        if (self.state, self.reason) != ("stopped", reason):
            _logger.error("Shipping stopped: %s", reason)
        self.state, self.reason = "stopped", reason
        self._retry_at = self._monotonic() + retry_s if retry_s else 0.0
