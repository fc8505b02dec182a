"""The log's rules in Python: positions, duplicates by writer and digest, gaps, forks, rewinds, late commits.

tests/postgres holds the SQL function to the same rules; here they run a million times a minute.
"""

from dataclasses import dataclass
from itertools import takewhile
from uuid import UUID

from recorders.errors import LinkUnavailable, Rewound, SequenceGap, WriterForked
from recorders.frame import Frame, Receipt


@dataclass(frozen=True)
class Stored:
    """A committed batch: the position of its first event, and its frame."""

    position: int
    frame: Frame

    @property
    def stop(self) -> int:
        return self.position + self.frame.events


class ModelLog:
    """Appends under one lock, so that positions are given in the order of commits."""

    def __init__(self) -> None:
        self.epoch = 1
        self.stored: list[Stored] = []
        self.open: list[Frame] = []  # begun and not ended; holds the lock

    @property
    def head(self) -> int:
        return self.stored[-1].stop - 1 if self.stored else 0

    def have(self, writer: UUID) -> int:
        return max((s.frame.sequence for s in self.stored if s.frame.writer == writer), default=0)

    def append(self, frame: Frame, acked: int) -> Receipt:
        """Return the receipt of a batch that is committed at once."""
        self._wait_for_lock()
        known = self._judge(frame, acked)
        if known is not None:
            return Receipt(self.epoch, known.position, "", 0, duplicate=True)
        self.stored.append(Stored(self.head + 1, frame))
        return Receipt(self.epoch, self.stored[-1].position, "", 0, duplicate=False)

    def begin(self, frame: Frame, acked: int) -> bool:
        """Return whether a transaction is open that will end later; nobody sees its batch before."""
        self._wait_for_lock()
        if self._judge(frame, acked) is not None:
            return False
        self.open.append(frame)
        return True

    def end(self, index: int, *, commit: bool) -> None:
        """Commit or abort an open transaction."""
        frame = self.open.pop(index)
        if commit:
            self.stored.append(Stored(self.head + 1, frame))

    def visible(self, after: int) -> list[Stored]:
        """Return the committed batches whose position lies behind `after`, in order of position."""
        return [batch for batch in self.stored if batch.position > after]

    def restore(self, batches: int) -> list[Stored]:
        """Go back to the first `batches` batches, as from a backup; return what is gone."""
        self.open.clear()
        gone = self.stored[batches:]
        del self.stored[batches:]
        self.epoch += 1
        return gone

    def _wait_for_lock(self) -> None:
        if self.open:
            raise LinkUnavailable("the head row is locked")

    def _judge(self, frame: Frame, acked: int) -> Stored | None:
        """Return the batch that is stored already, None when it is new; refuse what breaks the sequence."""
        have = self.have(frame.writer)
        if frame.sequence <= have:
            return self._known(frame)
        if frame.sequence > have + 1:
            if have < acked:
                raise Rewound(frame.writer, have, acked)
            raise SequenceGap(frame.writer, have, frame.sequence)
        return None

    def _known(self, frame: Frame) -> Stored:
        for batch in self.stored:
            if (batch.frame.writer, batch.frame.sequence) == (frame.writer, frame.sequence):
                if batch.frame.digest != frame.digest:
                    raise WriterForked(frame.writer, frame.sequence)
                return batch
        raise AssertionError("a sequence below the high-water mark is stored")


class Reader:
    """Follows the log by the highest position it has seen. Right only where positions are commit order."""

    def __init__(self, log: ModelLog) -> None:
        self._log = log
        self._epoch = log.epoch
        self.read: list[Stored] = []

    def poll(self) -> None:
        """Read what is new. A new epoch means that history was cut: begin again where it still agrees."""
        if self._log.epoch != self._epoch:
            self._epoch = self._log.epoch
            pairs = zip(self.read, self._log.visible(0), strict=False)
            self.read = [mine for mine, _ in takewhile(lambda pair: pair[0] == pair[1], pairs)]
        self.read += self._log.visible(self.read[-1].position if self.read else 0)
