"""Epochs: which part of each history of a log is still in it, after it was restored and recovered."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from harness.integrity.checkpoint import epoch_of, origin_of
from harness.integrity.errors import HistoryForked, ProofInvalid
from harness.integrity.note import PublicKey, parse_note
from harness.log.log import Log

REWOUND: Final = "log.rewound"


class Epochs(NamedTuple):
    """The epochs of a log. `begun` says after which position each later one begins."""

    log: Log
    current: int
    begun: list[tuple[int, int]]

    @classmethod
    def of(cls, log: Log) -> "Epochs":
        """Return the epochs of a log as it stands."""
        return cls(log, log.head().epoch, [(epoch, after) for epoch, after in log.rows("epochs")])

    def last_of(self, epoch: int) -> int | None:
        """Return the last position that the log still has of an epoch's history; None for the current one."""
        return min((after for number, after in self.begun if number > epoch), default=None)

    def holds(self, epoch: int, position: int) -> bool:
        """Return whether what an epoch had at a position is in the log's history now."""
        last = self.last_of(epoch)
        return epoch <= self.current and (last is None or position <= last)

    def origins(self) -> list[tuple[int, str]]:
        """Return each epoch with the name of its checkpoints."""
        log_id = self.log.head().log_id
        return [(epoch, origin_of(log_id, epoch)) for epoch in range(1, self.current + 1)]

    def epoch_of(self, origin: str) -> int | None:
        """Return the epoch that a name of checkpoints stands for, None if it is another log's."""
        return epoch_of(origin, self.log.head().log_id)

    def check(self, since: int, keys: Sequence[PublicKey]) -> None:
        """Raise HistoryForked unless one of the log's keys signed for every epoch after `since`.

        Who may write to the database could else raise the epoch, and let hosts forget what they had verified.

        Raises:
            HistoryForked: an epoch that nobody signed for.
        """
        origins = dict(self.origins())
        for epoch, after in self.begun:
            if epoch <= since:
                continue
            text = epoch_text(origins[epoch], after)
            notes = [str(event.body.get("note")).encode() for event in self.log.controls(REWOUND)]
            if not any(_signs(note, text, keys, origins[epoch]) for note in notes):
                what = f"The log says that its epoch {epoch} began after position {after}"
                raise HistoryForked(what, after + 1, "a recovery that the log's key signed for")


def epoch_text(origin: str, after: int) -> str:
    """Return what the log's key signs when an epoch begins."""
    return f"harness.epoch/1\n{origin}\nafter {after}\n"


def _signs(note: bytes, text: str, keys: Sequence[PublicKey], origin: str) -> bool:
    try:
        given = parse_note(note)
        return given.text == text and any(key._replace(name=origin).signed(given) for key in keys)
    except ProofInvalid:
        return False
