"""Planted bugs. Each is one that a system of this kind has really had; the swarm must find every one."""

import msgspec

from recorders.errors import LinkUnavailable
from recorders.frame import Frame, Receipt
from recorders.outbox import Outbox
from tests.simulation.model_log import ModelLog, Stored


class PositionsBeforeCommit(ModelLog):
    """Gives positions when a transaction begins, as a sequence does, and lets others commit meanwhile.

    With the reader that follows the highest position this is the classic hole: what commits late
    appears below what was read, and is never read.
    """

    def __init__(self) -> None:
        super().__init__()
        self._next = 1
        self._given: list[int] = []

    def append(self, frame: Frame, acked: int) -> Receipt:
        if any(frame.writer == other.writer for other in self.open):
            raise LinkUnavailable("the writer's row is locked")
        known = self._judge(frame, acked)
        if known is not None:
            return Receipt(self.epoch, known.position, "", 0, duplicate=True)
        self._store(self._take(frame), frame)
        return Receipt(self.epoch, self.stored[-1].position, "", 0, duplicate=False)

    def begin(self, frame: Frame, acked: int) -> bool:
        if any(frame.writer == other.writer for other in self.open):
            raise LinkUnavailable("the writer's row is locked")
        if self._judge(frame, acked) is not None:
            return False
        self.open.append(frame)
        self._given.append(self._take(frame))
        return True

    def end(self, index: int, *, commit: bool) -> None:  # an aborted position would be a hole of its own
        self._store(self._given.pop(index), self.open.pop(index))

    def _take(self, frame: Frame) -> int:
        position, self._next = self._next, self._next + frame.events
        return position

    def _store(self, position: int, frame: Frame) -> None:
        self.stored.append(Stored(position, frame))
        self.stored.sort(key=lambda batch: batch.position)

    def restore(self, batches: int) -> list[Stored]:
        return []  # this bug needs no backup


class NoDuplicateCheck(ModelLog):
    """Stores whatever arrives: a lost reply becomes two batches."""

    def _judge(self, frame: Frame, acked: int) -> Stored | None:
        return None


class DuplicateBySequenceAlone(ModelLog):
    """Takes the same sequence for the same batch: a cloned writer's batches vanish, acknowledged."""

    def _known(self, frame: Frame) -> Stored:
        return next(
            batch
            for batch in self.stored
            if (batch.frame.writer, batch.frame.sequence) == (frame.writer, frame.sequence)
        )


class AcknowledgesBeforeCommit(ModelLog):
    """Answers when the transaction begins: a commit that fails loses what was acknowledged."""

    def begin(self, frame: Frame, acked: int) -> bool:
        super().begin(frame, acked)
        return False

    def append(self, frame: Frame, acked: int) -> Receipt:
        if frame in self.open:
            return Receipt(self.epoch, self.head + 1, "", 0, duplicate=False)
        return super().append(frame, acked)


class JumpsAreFine(ModelLog):
    """Accepts any sequence above the last: a restored backup goes on as if nothing were gone."""

    def _judge(self, frame: Frame, acked: int) -> Stored | None:
        return self._known(frame) if frame.sequence <= self.have(frame.writer) else None


class DropsUncounted(Outbox):
    """Turns events away without counting them."""

    def turn_away(self) -> None:
        """Say nothing."""


class GivesUpUncounted(Outbox):
    """Empties its queues at the end without a word."""

    def _give_up(self, reason: str) -> None:
        self._held = None
        self.decisions.clear()
        self.outcomes.clear()


class ForgetsAfterFailure(Outbox):
    """Takes no answer for an answer."""

    def failed(self) -> None:
        self._held = None


class NumbersResendsAnew(Outbox):
    """Sends again under the next sequence: the log cannot know it as a resend."""

    def failed(self) -> None:
        super().failed()
        held = self._held
        if held is not None:
            self._sequence += 1
            self._held = Frame(
                held.writer,
                self._sequence,
                held.kind,
                held.decision_point,
                held.schema_digest,
                held.events,
                held.payload,
                held.digest,
            )


class CutsResendsAnew(Outbox):
    """Puts what was not answered back into the queue and cuts it again, with what came since."""

    def failed(self) -> None:
        held = self._held
        super().failed()
        if held is not None and held.kind == "decision":
            self._held = None
            self._sequence -= 1
            events = msgspec.msgpack.decode(held.payload)
            self.decisions.extendleft(msgspec.msgpack.encode(event) for event in reversed(events))


class LosesTheReport(Outbox):
    """Counts a loss as reported when the report is written, also when that report is refused."""

    def _give_up(self, reason: str) -> None:
        self._loss = None
        super()._give_up(reason)


LOGS = [
    PositionsBeforeCommit,
    NoDuplicateCheck,
    DuplicateBySequenceAlone,
    AcknowledgesBeforeCommit,
    JumpsAreFine,
]
OUTBOXES = [
    DropsUncounted,
    GivesUpUncounted,
    ForgetsAfterFailure,
    NumbersResendsAnew,
    CutsResendsAnew,
    LosesTheReport,
]
