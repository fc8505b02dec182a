"""The outbox: frames, resends and losses as a state machine without thread, link or sleep.

Request threads append bytes to `decisions` and `outcomes` and raise tallies; nothing else of theirs
comes here. One sender asks `next_frame`, and answers with `acked`, `failed`, `leave_out` or `refused`. One
frame is under way at a time, so the log sees a writer's sequence without a gap, and a resend is the same.
"""

import random
import threading
from typing import Final
from uuid import UUID

import msgspec

from recorders.ahead import AHEAD, agreed, without
from recorders.clock import Clock
from recorders.counters import DROPS, REJECTIONS, Counters, Tally
from recorders.errors import EventAhead
from recorders.frame import Frame, Kind, Receipt, frame_of, payload_of
from recorders.limits import Limits
from recorders.losses import Loss, Losses
from recorders.queues import Queues
from recorders.segment_file import SegmentFile

_TURNED_AWAY: Final = {"": "full", "off": "off"}  # why the door is closed -> the counter


class Outbox:
    """What one writer still owes the log. After a fork the child makes its own.

    Of the attributes, request threads use `decisions`, `outcomes`, `slots`, the tallies, `keep`,
    `turn_away` and `sweep`; the rest belongs to the sender. The lock is held between sends only, never on the
    request path and never while a link blocks.
    """

    def __init__(
        self, decision_point: str, schema_digest: str, limits: Limits, clock: Clock, chance: random.Random
    ) -> None:
        self.writer = UUID(int=chance.getrandbits(128), version=4)
        self._queues = Queues(limits)
        self.decisions, self.outcomes = self._queues.decisions, self._queues.outcomes
        self.slots = limits.queue_slots  # 0 when the door is closed: one comparison on the request path
        self.stopped = ""  # why the door is closed
        self.accepted: dict[Kind, Tally] = {"decision": Tally(), "outcome": Tally()}
        self.count_decision = self.accepted["decision"].add
        self.count_outcome = self.accepted["outcome"].add
        self.dropped = {reason: Tally() for reason in DROPS}
        self.rejected = {reason: Tally() for reason in REJECTIONS}
        self.sampled_out = Tally()
        self.journal: SegmentFile | None = None  # with crash_proof: where events are kept beside the queue
        self.settled: dict[Kind, int] = {"decision": 0, "outcome": 0, "loss": 0}  # acked or given up
        self._decision_point = decision_point
        self._schema_digest = schema_digest
        self._limits = limits
        self._clock = clock
        self._chance = chance
        self._lock = threading.RLock()
        self._sender = self.writer  # losses of a writer that was refused go out under another
        self._sequence = 0
        self._held: Frame | None = None
        self._loss: Loss | None = None  # what the held frame reports, if it is a report
        self._attempts = 0
        self._retry_at = 0.0
        self._hurried = False
        self._mute = False
        self._sent = self._acked = self._resent = 0
        tallies = self.dropped | {f"rejected.{reason}": tally for reason, tally in self.rejected.items()}
        self._losses = Losses(self.writer, tallies, clock.now_us())
        self._reported_at = clock.monotonic() - limits.loss_every_s

    # What request threads call.

    def keep(self, kind: Kind, data: bytes) -> bool:
        """Queue an event that is large, or is kept in shared memory too. One without room is turned away."""
        kept = self._queues.keep(kind, data, self.journal)
        if not kept:
            self.turn_away()
        return kept

    def turn_away(self) -> None:
        """Count an event that was not accepted, for the reason that holds now."""
        self.dropped[_TURNED_AWAY.get(self.stopped, "stopped")].add()

    def sweep(self) -> None:
        """Give up what slipped in while the door was closed for good."""
        if self.stopped in ("refused", "exit"):
            self._give_up(self.stopped)

    # What the sender calls.

    def next_frame(self) -> Frame | None:
        """Return the frame to send now: the one under way again, or a new one; None while there is none."""
        with self._lock:
            now = self._clock.monotonic()
            self._losses.look(self._clock.now_us())
            if self.journal is not None and self._losses.pending:
                self.journal.lost(self._losses.unreported(), now)
            if self._mute or now < self._retry_at:
                return None
            if self._held is not None:
                if self._attempts:
                    self._resent += self._held.events if self._held.kind != "loss" else 0
                return self._held
            self._held = self._cut_loss(now) or self._cut_events(now)
            self._hurried = self._hurried and not self.drained
            return self._held

    def acked(self, frame: Frame, receipt: Receipt) -> None:
        """Take note that the log holds `frame`."""
        assert receipt.position >= 1, receipt
        with self._lock:
            if self._held is not frame:
                return  # it was given up meanwhile; its loss is counted, and the log has it: never less
            self._held = None
            self._attempts = 0
            self.settled[frame.kind] += frame.events
            if frame.kind != "loss":
                self._acked += frame.events
            if self.journal is not None:
                self.journal.acked(frame.sequence, self.settled)

    def failed(self) -> None:
        """Take note that no answer came: the same frame goes again after a wait that doubles, with jitter."""
        with self._lock:
            limits = self._limits
            wait = min(limits.backoff_max_s, limits.backoff_s * 2.0 ** min(self._attempts, 30))
            self._retry_at = self._clock.monotonic() + wait * (0.5 + self._chance.random() / 2)
            self._attempts += 1

    def leave_out(self, frame: Frame, error: EventAhead) -> int:
        """Count what of `frame` is ahead, and return how many events; the others go at once.

        They go under the same sequence: one that the log refused is free.

        Raises:
            AppendError: our clock and the log's are apart, or no event is ahead: the frame stays as it is.
        """
        rest = without(frame, agreed(error, self._clock) + AHEAD)
        left = frame.events - (rest.events if rest else 0)
        if not left:
            raise error
        with self._lock:
            if self._held is not frame:
                return 0  # it was given up meanwhile, and counted
            self._held, self._attempts = rest, 0
            self.settled[frame.kind] += left
            for _ in range(left):
                self.dropped["ahead"].add()
            if rest is None:
                self._sequence -= 1
                if self.journal is not None:
                    self.journal.acked(frame.sequence, self.settled)
            return left

    def refused(self) -> None:
        """Stop for good: count what was promised as lost, and report that under another writer."""
        with self._lock:
            if self.stopped == "refused":
                self._mute = True  # the report was refused as well: nothing is left to say it with
                self._held = None
                return
            self.stopped = "refused"
            self.slots = 0
            self._give_up("refused")
            self._sender = UUID(int=self._chance.getrandbits(128), version=4)
            self._sequence = 0
            self._attempts = 0
            self.release_journal(remove=True)  # what the log refuses it would refuse again

    def release_journal(self, *, remove: bool) -> None:
        """Keep no more in shared memory; what is there stays for `drain` unless it is removed."""
        with self._lock:
            if self.journal is not None:
                self.journal.close(remove=remove)
                self.journal = None

    def close(self) -> None:
        """Accept no more; what is queued still leaves."""
        with self._lock:
            self.stopped = (
                self.stopped.replace("off", "") or "closed"
            )  # the reason before the fact: threads read both
            self.slots = 0
            self.hurry()

    def switch(self, *, off: bool) -> None:
        """Close the door, or open it again. What is queued leaves; a door that closed for good stays so."""
        with self._lock:
            if self.stopped == "" and off:
                self.stopped = "off"
                self.slots = 0
            elif self.stopped == "off" and not off:
                self.slots = self._limits.queue_slots
                self.stopped = ""

    def abandon(self) -> None:
        """Give up what has not left by the end of the process, and count it."""
        with self._lock:
            self.release_journal(remove=self.drained)
            if self.stopped != "refused":
                self.stopped = "exit"
                self.slots = 0
                self._give_up("exit")
            self._mute = True

    def hurry(self) -> None:
        """Let nothing wait for company, losses neither, and try once more at once."""
        with self._lock:
            self._losses.look(self._clock.now_us())
            self._hurried = True
            self._retry_at = 0.0

    def disown(self, inherited: "Outbox") -> None:
        """Count what a fork without hooks left in the queues: the parent's, or the child's first events.

        Which of them is not known, so all are counted: a loss is reported too high rather than too low.
        """
        for event in (*inherited.decisions, *inherited.outcomes):
            if event:
                self.dropped["fork"].add()

    @property
    def gave_up(self) -> bool:
        """Whether events that had been accepted were given up."""
        return any(self.dropped[reason].value for reason in ("refused", "ahead", "exit", "fork"))

    @property
    def drained(self) -> bool:
        """Whether nothing is queued, under way or unreported. Waits for a frame that is being cut."""
        with self._lock:  # events that are out of their queue and not in a frame yet are owed as well
            return not (self.decisions or self.outcomes or self._held or self._losses.pending)

    def counters(self) -> Counters:
        """Return what was counted so far."""
        return Counters(
            accepted=sum(tally.value for tally in self.accepted.values()),
            sent=self._sent,
            acked=self._acked,
            resent=self._resent,
            rejected=_counted(self.rejected),
            dropped=_counted(self.dropped),
            sampled_out=self.sampled_out.value,
        )

    # Frames.

    def _cut_loss(self, now: float) -> Frame | None:
        if not self._losses.pending or not (
            self._hurried or now >= self._reported_at + self._limits.loss_every_s
        ):
            return None
        self._loss = loss = self._losses.take()
        self._reported_at = now if not self._losses.pending else self._reported_at
        return self._frame("loss", [msgspec.msgpack.encode(loss)])

    def _cut_events(self, now: float) -> Frame | None:
        if self.stopped in ("refused", "exit"):
            return None
        kind = self._queues.due(now, hurried=self._hurried)
        if kind is None:
            return None
        events = self._queues.take(kind)
        self._sent += len(events)
        return self._frame(kind, events)

    def _frame(self, kind: Kind, events: list[bytes]) -> Frame:
        self._sequence += 1
        frame = frame_of(
            self._sender,
            self._sequence,
            kind,
            self._decision_point,
            self._schema_digest,
            len(events),
            payload_of(events),
        )
        if self.journal is not None:
            self.journal.cut(frame, self.settled[kind])
        return frame

    def _give_up(self, reason: str) -> None:
        with self._lock:
            held, self._held = self._held, None
            lost = self._queues.empty()
            if held is not None and held.kind != "loss":
                lost[held.kind] += held.events
            elif held is not None and self._loss is not None:
                self._losses.give_back(self._loss)
            for kind, count in lost.items():
                self.settled[kind] += count
                for _ in range(count):
                    self.dropped[reason].add()


def _counted(tallies: dict[str, Tally]) -> dict[str, int]:
    counts = {reason: tally.value for reason, tally in tallies.items()}
    return {reason: count for reason, count in counts.items() if count}
