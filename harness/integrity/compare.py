"""Compare: the log against what is known of it outside of its database."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.integrity.checkpoint import open_checkpoint
from harness.integrity.checkpoints import check, said
from harness.integrity.log_keys import believed_keys
from harness.integrity.memory import Memory, open_memory
from harness.integrity.note import PublicKey
from harness.log.log import Log


class Compared(NamedTuple):
    """How much of the log agrees with what is known outside: batches remembered, and checkpoints.

    `foreign` are the positions of events that claim to be a checkpoint or a key of this log and are none.
    """

    batches: int
    position: int
    added: int
    checkpoints: int
    foreign: list[int]


def compare(
    log: Log,
    folder: Path,
    notes: Sequence[bytes] = (),
    key: PublicKey | None = None,
    progress: Callable[[int], None] | None = None,
) -> Compared:
    """Return how the log agrees with this host's memory, with its own checkpoints and with those in `notes`.

    What came since this host looked last is verified and remembered. `key` is believed for `notes`, else the
    keys of the log that this host knows.

    Raises:
        HistoryForked: it does not agree; the error has the position.
        ProofInvalid: a checkpoint of `notes` that is not signed as it should be.
    """
    memory = open_memory(log, folder)
    added = memory.advance(log, progress)
    believed, own = believed_keys(log, memory), said(log, memory)
    for checkpoint, _note in own.signed:
        check(checkpoint, memory)
    for data in notes:
        checkpoint, _note = open_checkpoint(data, [key] if key else believed.keys)
        check(checkpoint, memory)
    foreign = sorted(believed.foreign + own.foreign)
    return Compared(len(memory), memory.stop - 1, added, len(own.signed) + len(notes), foreign)


def remembers(log: Log, folder: Path) -> bool:
    """Return whether this host has verified some of the log before."""
    found: Memory = open_memory(log, folder)
    return len(found) > 0
