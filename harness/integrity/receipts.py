"""Receipts: what writers were told when the log took their batches, against the log as it is now."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

import msgspec

from harness.integrity.checkpoints import latest
from harness.integrity.epochs import Epochs
from harness.integrity.errors import HistoryForked, ProofInvalid
from harness.integrity.memory import open_memory
from harness.log.log import Log

_PROMISED: Final = "the history that its writer was told"


class Receipt(msgspec.Struct, frozen=True):
    """The log's word to a writer: its batch begins at `position`; `chain` is the digest after it (hex).

    `events` is how many it has, None when the writer no longer keeps the batch: it cannot be shipped again.
    """

    epoch: int
    position: int
    chain: str
    writer: str = ""
    sequence: int = 0
    events: int | None = None


class Checked(NamedTuple):
    """How many receipts hold, and how many of those a checkpoint covers.

    Of those that lie beyond where a recovery went on: how many batches were shipped again and lie elsewhere
    now, and how many the log has no more.
    """

    held: int
    covered: int
    moved: int
    lost: int


def read_receipts(path: Path) -> list[Receipt]:
    """Return the receipts in a file of JSON lines, as `harness sidecar receipts` writes it.

    Raises:
        ProofInvalid: a line is no receipt.
    """
    try:
        return [
            msgspec.json.decode(line, type=Receipt) for line in path.read_bytes().splitlines() if line.strip()
        ]
    except msgspec.DecodeError as error:
        raise ProofInvalid(f"The file {path}", f"a line of it is no receipt ({error})") from error


def check_receipts(log: Log, folder: Path, receipts: Iterable[Receipt]) -> Checked:
    """Return how the receipts agree with the log.

    Raises:
        HistoryForked: the log has no such batch, or another one, where a writer was told that its batch is.
    """
    memory = open_memory(log, folder)
    memory.advance(log)
    last = latest(log, memory)
    covered_to = last.checkpoint.position if last is not None else 0
    epochs = Epochs.of(log)
    held = covered = moved = lost = 0
    for receipt in receipts:
        if receipt.epoch < epochs.current and not epochs.holds(receipt.epoch, receipt.position):
            again = receipt.writer and log.rows(
                "position_of", writer=UUID(receipt.writer), sequence=receipt.sequence
            )
            moved, lost = moved + bool(again), lost + (not again)
            continue
        name = f"batch {receipt.sequence} of writer {receipt.writer}" if receipt.writer else "a batch"
        if receipt.epoch > epochs.current or not 1 <= receipt.position < memory.stop:
            raise HistoryForked(f"The log lost {name}", receipt.position, _PROMISED)
        index = memory.index_of(receipt.position)
        if (memory.start_of(index), memory.chain(index).hex()) != (receipt.position, receipt.chain):
            raise HistoryForked(f"The log has another history after {name}", receipt.position, _PROMISED)
        held += 1
        covered += receipt.position <= covered_to
    return Checked(held, covered, moved, lost)
