"""Aliases: under which writers a recorder's frames go to a sidecar that may hold other bytes, or fewer."""

from collections.abc import Mapping, Sequence
from uuid import UUID, uuid4

import msgspec

from recorders.frame import Frame
from recorders.sidecar.wire import Known


class Alias(msgspec.Struct):
    """Under which writer a recorder's frames go to the sidecar: its own, until that was cloned or forgotten.

    `offset` is what is taken from the recorder's sequences; `acked` and `digest` are of the last frame kept.
    """

    writer: UUID
    offset: int = 0
    acked: int = 0
    digest: str = ""


class Aliases:
    """The aliases of all writers of one link.

    `forked` and `rewound` count the writers that were renewed: the sidecar held other bytes, or fewer.
    """

    def __init__(self) -> None:
        self.forked = self.rewound = 0
        self._of: dict[UUID, Alias] = {}

    def as_sent(self, frame: Frame) -> Frame:
        """Return a frame as it goes to the sidecar."""
        alias = self._of.setdefault(frame.writer, Alias(frame.writer))
        return msgspec.structs.replace(frame, writer=alias.writer, sequence=frame.sequence - alias.offset)

    def kept(self, frame: Frame, sent: Frame) -> None:
        """Take note that the sidecar has a frame on disk."""
        alias = self._of[frame.writer]
        if sent.sequence > alias.acked:
            alias.acked, alias.digest = sent.sequence, sent.digest

    def renew(self, frame: Frame, reason: str) -> bool:
        """Let a refused frame be the first of a new writer. False where that does not help."""
        if reason not in ("forked", "gap"):
            return False
        self.forked += reason == "forked"
        self.rewound += reason == "gap"
        self._of[frame.writer] = Alias(uuid4(), frame.sequence - 1)
        return True

    def known(self) -> list[Known]:
        """Return how far the sidecar has acknowledged each writer."""
        return [
            Known(alias.writer.bytes, alias.acked, bytes.fromhex(alias.digest))
            for alias in self._of.values()
            if alias.acked
        ]

    def compare(self, held: Mapping[bytes, tuple[int, bytes]], frames: Sequence[Frame]) -> None:
        """Renew each writer that the sidecar does not hold as far as it had acknowledged, or otherwise."""
        following = {frame.writer: frame.sequence for frame in reversed(frames)}
        for own, alias in list(self._of.items()):
            sequence, digest = held.get(alias.writer.bytes, (alias.acked, b""))
            rewound = sequence < alias.acked
            forked = sequence == alias.acked and digest and digest.hex() != alias.digest
            if alias.acked and (rewound or forked):
                self.rewound += rewound
                self.forked += bool(forked)
                acked = alias.acked + alias.offset
                self._of[own] = Alias(uuid4(), following.get(own, acked + 1) - 1)
