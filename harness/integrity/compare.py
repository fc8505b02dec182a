"""Compare: the log against what is known of it outside of its database."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.integrity.checkpoint import Checkpoint, open_checkpoint
from harness.integrity.checkpoints import check, said
from harness.integrity.epochs import Epochs
from harness.integrity.log_keys import believed_keys
from harness.integrity.memory import Memory, earlier, open_memory
from harness.integrity.note import PublicKey
from harness.log.log import Log


class Compared(NamedTuple):
    """How much of the log agrees with what is known outside: batches remembered, and checkpoints.

    `foreign` are the positions of events that claim to be a checkpoint or a key of this log and are none.
    `lost_batches` and `lost_checkpoints` are of an earlier epoch, beyond where a recovery went on.
    """

    batches: int
    position: int
    added: int
    checkpoints: int
    foreign: list[int]
    lost_batches: int
    lost_checkpoints: int


def compare(
    log: Log,
    folder: Path,
    notes: Sequence[bytes] = (),
    key: PublicKey | None = None,
    progress: Callable[[int], None] | None = None,
) -> Compared:
    """Return how the log agrees with this host's memory, with its own checkpoints and with those in `notes`.

    What came since this host looked last is verified and remembered. `key` is believed for `notes`, else the
    keys of the log that this host knows. Either signs in every epoch.

    Raises:
        HistoryForked: it does not agree; the error has the position.
        ProofInvalid: a checkpoint of `notes` that is not signed as it should be.
    """
    memory, epochs = open_memory(log, folder), Epochs.of(log)
    added = memory.advance(log, progress)
    believed = believed_keys(log, memory)
    given = [opened(data, [key] if key else believed.keys, epochs) for data in notes]
    foreign, found = list(believed.foreign), list(given)
    for epoch, origin in epochs.origins():
        own = said(log, memory, origin)
        foreign += own.foreign
        found += [(epoch, checkpoint) for checkpoint, _note in own.signed]
    held = [one for epoch, one in found if epochs.holds(epoch, one.position) or epoch > epochs.current]
    for checkpoint in held:
        check(checkpoint, memory)
    lost = sum(len(older) - len(_kept(older, epochs)) for older in earlier(log, folder, epochs))
    return Compared(
        len(memory), memory.stop - 1, added, len(held), sorted(foreign), lost, len(found) - len(held)
    )


def opened(data: bytes, keys: Sequence[PublicKey], epochs: Epochs) -> tuple[int, Checkpoint]:
    """Return the checkpoint in a note and the epoch that it is of; a log's key signs under each epoch's name.

    Raises:
        ProofInvalid: it is none, or not signed with the log's key.
    """
    origin = data.split(b"\n", 1)[0].decode(errors="replace")
    epoch = epochs.epoch_of(origin)
    names = [origin if epoch and epochs.epoch_of(key.name) else key.name for key in keys]
    checkpoint, _note = open_checkpoint(
        data, [key._replace(name=name) for key, name in zip(keys, names, strict=True)]
    )
    return epoch or epochs.current, checkpoint


def _kept(older: Memory, epochs: Epochs) -> list[object]:
    return [record for record in older.records if epochs.holds(older.epoch, record.stop - 1)]


def remembers(log: Log, folder: Path) -> bool:
    """Return whether this host has verified some of the log before."""
    found: Memory = open_memory(log, folder)
    return len(found) > 0
