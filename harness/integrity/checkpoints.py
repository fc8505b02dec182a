"""Take checkpoints: verify what came since the last one, sign the root over all of it, say so in the log."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from harness.integrity.checkpoint import Checkpoint, open_checkpoint
from harness.integrity.errors import HistoryForked, KeyUnusable, ProofInvalid
from harness.integrity.keys import make_key
from harness.integrity.log_keys import (
    key_path,
    known_keys,
    pin,
    put_text,
    register,
    the_key,
    the_signer,
)
from harness.integrity.memory import Memory, open_memory
from harness.integrity.note import Note, PublicKey, Signature, Signer
from harness.log.events import ControlEvent
from harness.log.log import Log

CHECKPOINTED: Final = "log.checkpointed"


class Cosigner(Protocol):
    """A witness: cosigns a checkpoint that continues the last one that it saw."""

    def cosign(self, checkpoint: Checkpoint, note: Note, memory: Memory) -> Signature:
        """Return its signature; raise WitnessRefused or OutsideUnavailable."""


class Taken(NamedTuple):
    """A checkpoint, its note, and whether this call made it or nothing had come since the last one."""

    checkpoint: Checkpoint
    note: Note
    made: bool


class Said(NamedTuple):
    """What the log says of its checkpoints: those that are signed, and where events only claim to be one."""

    signed: list[tuple[Checkpoint, Note]]
    foreign: list[int]


def said(log: Log, memory: Memory, origin: str = "") -> Said:
    """Return the checkpoints in the log, in order. What is not signed is none: anybody can say it."""
    name = origin or memory.origin  # the name of an earlier epoch, or of this one
    keys, found = [key._replace(name=name) for key in known_keys(log, memory)], Said([], [])
    for event in log.controls(CHECKPOINTED, name):
        one = _signed(event.body.get("note"), keys)
        if one is None:
            found.foreign.append(event.position)
        else:
            found.signed.append(one)
    return found


def latest(log: Log, memory: Memory) -> Taken | None:
    """Return the newest checkpoint in the log that is signed with its key, None when there is none.

    Raises:
        HistoryForked: it is not of the history that this host has verified.
    """
    signed = said(log, memory).signed
    if not signed:
        return None
    check(signed[-1][0], memory)
    return Taken(*signed[-1], made=False)


def _signed(note: object, keys: Sequence[PublicKey]) -> tuple[Checkpoint, Note] | None:
    try:
        return open_checkpoint(str(note).encode(), keys)
    except ProofInvalid:
        return None


def make_log_key(log: Log, folder: Path) -> PublicKey:
    """Return the log's public key, made now on this host, which believes it whatever the log says of others.

    Raises:
        KeyUnusable: there is a key here already, or the one that is believed has signed a checkpoint.
    """
    memory = open_memory(log, folder)
    memory.advance(log)
    if latest(log, memory) is not None:
        remedy = 'Run "harness log key rotate" on the host that has the private key.'
        raise KeyUnusable("The log has a key", f"{the_key(log, memory).render()} signed a checkpoint", remedy)
    signer = Signer(memory.origin, make_key(key_path(log, folder)))
    pin(memory, [signer.key])
    register(log, memory, signer)
    return signer.key


def check(checkpoint: Checkpoint, memory: Memory) -> None:
    """Raise HistoryForked unless the remembered log begins with what `checkpoint` names.

    Raises:
        HistoryForked: the log is shorter, or another.
    """
    expected = f"the history of its checkpoint of {checkpoint.size} batches"
    if checkpoint.size > len(memory):
        raise HistoryForked(f"The log has {len(memory)} batches", memory.stop, expected)
    if memory.tree.root(checkpoint.size) != checkpoint.root:
        what = f"The log is another one at or before position {checkpoint.position}"
        raise HistoryForked(what, checkpoint.position, expected)


def take(
    log: Log,
    folder: Path,
    cosigners: Sequence[Cosigner] = (),
    progress: Callable[[int], None] | None = None,
) -> Taken:
    """Return a signed checkpoint of the log as it is now; the last one when nothing to cover came since.

    Raises:
        HistoryForked: the log does not continue what this host has verified: nothing is signed.
        WitnessRefused, OutsideUnavailable: a witness does not cosign; the log does not get the checkpoint.
    """
    memory = open_memory(log, folder)
    memory.advance(log, progress)
    signer = the_signer(log, folder, memory)
    memory.advance(log)
    last = latest(log, memory)
    if last is not None and len(last.note.signatures) > len(cosigners) and signer.key.signed(last.note):
        since = [event for event in log.controls() if event.position > last.checkpoint.position]
        if len(since) == memory.stop - 1 - last.checkpoint.position and all(map(_own, since)):
            return last
    size = len(memory)
    checkpoint = Checkpoint(memory.origin, size, memory.tree.root(size), memory.stop - 1)
    note = Note(checkpoint.text(), (signer.sign(checkpoint.text()),))
    for cosigner in cosigners:
        note = note._replace(signatures=(*note.signatures, cosigner.cosign(checkpoint, note, memory)))
    body = {"size": size, "position": checkpoint.position, "note": note.render()}
    log.control(CHECKPOINTED, memory.origin, body)
    keep(memory, note)
    memory.advance(log)  # its own event too: who restores the log is told that it is lost
    return Taken(checkpoint, note, made=True)


def _own(event: ControlEvent) -> bool:
    """Return whether an event only tells of checkpoints: what nobody needs another one for."""
    return event.type in {CHECKPOINTED, "log.anchored"} or event.type.startswith("schedule.")


def keep(memory: Memory, note: Note) -> None:
    """Keep the newest checkpoint beside the memory, whole or not at all."""
    put_text(memory.folder / "checkpoint", note.render())
