"""Marks: how far each writer is, and what a frame is to that: the next, an old one, another, one too far."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from recorders.sidecar.wire import Arrived

# Digests that are remembered per writer: more than a service may have in flight.
WINDOW: Final = 256
DIGEST_BYTES: Final = 32


class Answer(NamedTuple):
    """What became of a frame: kept (now, or as a duplicate long ago), or refused for a reason of the wire."""

    kept: bool
    duplicate: bool
    reason: str
    have: int
    text: str


class Mark:
    """How far a writer is, and the digests of its last frames.

    >>> mark = Mark(0, 0.0)
    >>> mark.advance(1, b"a", 0.0)
    >>> mark.holds(1, b"a"), mark.holds(1, b"b"), mark.holds(2, b"a")
    (True, False, False)
    """

    __slots__ = ("digests", "seen_at", "sequence")

    def __init__(self, sequence: int, seen_at: float, digests: Iterable[bytes] = ()) -> None:
        self.sequence = sequence
        self.seen_at = seen_at
        self.digests: deque[bytes] = deque(digests, WINDOW)

    @classmethod
    def from_row(cls, sequence: int, seen_at: float, digests: bytes) -> "Mark":
        """Return the mark that a segment carries; its digests are written one after the other."""
        steps = range(0, len(digests), DIGEST_BYTES)
        return cls(sequence, seen_at, [digests[at : at + DIGEST_BYTES] for at in steps])

    @property
    def last(self) -> bytes:
        """The digest of the last frame, empty when it is not known."""
        return self.digests[-1] if self.digests else b""

    def copy(self) -> "Mark":
        """Return an equal mark that can go on by itself."""
        return Mark(self.sequence, self.seen_at, self.digests)

    def advance(self, sequence: int, digest: bytes, seen_at: float) -> None:
        """Take a frame in. A hole before it (what a damaged file held) forgets the digests up to there."""
        if sequence <= self.sequence:
            return
        if sequence != self.sequence + 1:
            self.digests.clear()
        self.sequence, self.seen_at = sequence, seen_at
        self.digests.append(digest)

    def holds(self, sequence: int, digest: bytes) -> bool:
        """Whether it is known that exactly this frame was kept."""
        back = self.sequence - sequence
        return 0 <= back < len(self.digests) and self.digests[-1 - back] == digest


class Judgement(NamedTuple):
    """An answer for each frame, the frames to keep, and the marks as they stand when those are kept."""

    answers: list[Answer]
    keep: list[Arrived]
    marks: dict[bytes, Mark]


def judge(frames: Sequence[Arrived], known: Mapping[bytes, Mark], now: float) -> Judgement:
    """Return what each frame is, in order; nothing is changed.

    A frame that may be an old one is a duplicate only if its digest is remembered: what cannot be shown to be
    kept is never acknowledged.
    """
    answers: list[Answer] = []
    keep: list[Arrived] = []
    marks: dict[bytes, Mark] = {}
    for frame in frames:
        mark = marks.get(frame.writer) or known.get(frame.writer)
        have = mark.sequence if mark else 0
        if frame.sequence == have + 1:
            if frame.writer not in marks:
                marks[frame.writer] = mark.copy() if mark else Mark(0, now)
            marks[frame.writer].advance(frame.sequence, frame.digest, now)
            keep.append(frame)
            answers.append(Answer(kept=True, duplicate=False, reason="", have=frame.sequence, text=""))
        elif frame.sequence > have:
            text = f"sequence {frame.sequence} follows {have}"
            answers.append(Answer(kept=False, duplicate=False, reason="gap", have=have, text=text))
        elif mark is not None and mark.holds(frame.sequence, frame.digest):
            answers.append(Answer(kept=True, duplicate=True, reason="", have=have, text=""))
        else:
            text = f"the spool holds another frame {frame.sequence} of this writer, or cannot tell"
            answers.append(Answer(kept=False, duplicate=False, reason="forked", have=have, text=text))
    return Judgement(answers, keep, marks)
