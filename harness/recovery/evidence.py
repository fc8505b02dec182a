"""Evidence: what is known of a log outside of its database, which a restore cannot take back."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.integrity.checkpoint import Checkpoint
from harness.integrity.compare import opened
from harness.integrity.epochs import Epochs
from harness.integrity.log_keys import known_keys
from harness.integrity.memory import Memory, Record, memory_of
from harness.integrity.note import PublicKey
from harness.integrity.receipts import Receipt
from harness.integrity.remembered import Remembered
from harness.log.log import Log


class Evidence(NamedTuple):
    """What is known of the history of `epoch`, the newest that anything here knows of.

    `keys` are the log's, for checkpoints; `records` and `references` this host's memory.
    """

    epoch: int
    keys: list[PublicKey]
    records: Sequence[Record]
    references: list[Remembered]
    receipts: list[Receipt]
    checkpoints: list[Checkpoint]

    @property
    def last(self) -> int:
        """The last position that anything here knows of, 0 when nothing knows any."""
        remembered = self.records[-1].stop - 1 if self.records else 0
        told = (one.position + (one.events or 1) - 1 for one in self.receipts)
        return max([remembered, *told, *(one.position for one in self.checkpoints)])

    def link_at(self, index: int, position: int) -> bytes | None:
        """Return the chain that is remembered after batch `index`, which ends at `position`; None if none is.

        An empty one says that this batch ended elsewhere.
        """
        if index >= len(self.records):
            return None
        record = self.records[index]
        return record.chain if record.stop - 1 == position else b""


def gather(
    log: Log, folder: Path, receipts: Iterable[Receipt], notes: Sequence[bytes], key: PublicKey | None
) -> Evidence:
    """Return what this host, writers and keepers of checkpoints know of the log's newest epoch.

    Raises:
        ProofInvalid: a note that the log's key did not sign.
        MemoryDamaged: this host's memory.
    """
    epochs = Epochs.of(log)
    memory = _newest(log, folder, epochs.current)
    keys = memory.keys() or known_keys(log, memory)
    given = [opened(data, [key] if key else keys, epochs) for data in notes]
    told = list(receipts)
    epoch = max([memory.epoch, *(one.epoch for one in told), *(epoch for epoch, _ in given)])
    mine = memory.epoch == epoch
    return Evidence(
        epoch,
        keys,
        memory.records if mine else [],
        memory.references() if mine else [],
        [one for one in told if one.epoch == epoch],
        [checkpoint for number, checkpoint in given if number == epoch],
    )


def _newest(log: Log, folder: Path, current: int) -> Memory:
    """Return this host's memory of the log's newest epoch: a restored log may be of an earlier one."""
    known = [int(path.parent.name[1:]) for path in (folder / str(log.head().log_id)).glob("e[0-9]*/batches")]
    return memory_of(log, folder, max([current, *known]))
