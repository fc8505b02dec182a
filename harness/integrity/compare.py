"""Compare: the log against what is known of it outside of its database."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.integrity.checkpoint import open_checkpoint
from harness.integrity.checkpoints import CHECKPOINTED, check, known_keys
from harness.integrity.memory import Memory, open_memory
from harness.integrity.note import PublicKey
from harness.log.log import Log


class Compared(NamedTuple):
    """How much of the log agrees with what is known outside: batches remembered, and checkpoints."""

    batches: int
    position: int
    added: int
    checkpoints: int


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
        ProofInvalid: a checkpoint that is not signed as it should be.
    """
    memory = open_memory(log, folder)
    added = memory.advance(log, progress)
    keys = known_keys(log, memory)
    own = [str(event.body.get("note")).encode() for event in log.controls(CHECKPOINTED, memory.origin)]
    for data, believed in (*((one, keys) for one in own), *((one, [key] if key else keys) for one in notes)):
        checkpoint, _note = open_checkpoint(data, believed)
        check(checkpoint, memory)
    return Compared(len(memory), memory.stop - 1, added, len(own) + len(notes))


def remembers(log: Log, folder: Path) -> bool:
    """Return whether this host has verified some of the log before."""
    found: Memory = open_memory(log, folder)
    return len(found) > 0
