"""Receipts: what writers were told when the log took their batches, against the log as it is now."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from harness.integrity.checkpoints import latest
from harness.integrity.errors import HistoryForked, ProofInvalid
from harness.integrity.memory import open_memory
from harness.log.log import Log

_PROMISED: Final = "the history that its writer was told"


class Receipt(msgspec.Struct, frozen=True):
    """The log's word to a writer: its batch begins at `position`; `chain` is the digest after it (hex)."""

    epoch: int
    position: int
    chain: str
    writer: str = ""
    sequence: int = 0


class Checked(NamedTuple):
    """How many receipts hold, how many of those a checkpoint covers, and how many are of another epoch."""

    held: int
    covered: int
    other_epochs: int


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
    epoch = log.head().epoch
    held = covered = others = 0
    for receipt in receipts:
        if receipt.epoch != epoch:
            others += 1
            continue
        name = f"batch {receipt.sequence} of writer {receipt.writer}" if receipt.writer else "a batch"
        if not 1 <= receipt.position < memory.stop:
            raise HistoryForked(f"The log lost {name}", receipt.position, _PROMISED)
        index = memory.index_of(receipt.position)
        if (memory.start_of(index), memory.chain(index).hex()) != (receipt.position, receipt.chain):
            raise HistoryForked(f"The log has another history after {name}", receipt.position, _PROMISED)
        held += 1
        covered += receipt.position <= covered_to
    return Checked(held, covered, others)
