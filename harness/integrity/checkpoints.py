"""Take checkpoints: verify what came since the last one, sign the root over all of it, say so in the log."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from harness.errors import FolderUnusable
from harness.integrity.checkpoint import Checkpoint, open_checkpoint
from harness.integrity.errors import HistoryForked, KeyUnusable, ProofInvalid
from harness.integrity.keys import load_key, make_key
from harness.integrity.memory import Memory, open_memory
from harness.integrity.note import Note, PublicKey, Signature, Signer, parse_key, parse_note
from harness.log.events import ControlEvent
from harness.log.log import Log

REGISTERED: Final = "log.key_registered"
CHECKPOINTED: Final = "log.checkpointed"
KEY_VARIABLE: Final = "HARNESS_LOG_KEY"


class Cosigner(Protocol):
    """A witness: cosigns a checkpoint that continues the last one that it saw."""

    def cosign(self, checkpoint: Checkpoint, note: Note, memory: Memory) -> Signature:
        """Return its signature; raise WitnessRefused or OutsideUnavailable."""


class Taken(NamedTuple):
    """A checkpoint, its note, and whether this call made it or nothing had come since the last one."""

    checkpoint: Checkpoint
    note: Note
    made: bool


def integrity_folder(folder: Path | None) -> Path:
    """Return where a host keeps its key and its memory of logs: below .harness in `folder`."""
    from harness.database import HOME

    return (folder or Path.cwd()).absolute() / HOME / "integrity"


def key_path(log: Log, folder: Path) -> Path:
    """Return where the log's private key is: HARNESS_LOG_KEY, or below the integrity folder."""
    named = os.environ.get(KEY_VARIABLE)
    return Path(named) if named else folder / str(log.head().log_id) / "key.pem"


def known_keys(log: Log, memory: Memory) -> list[PublicKey]:
    """Return the log's public keys that this host believes, the current one last; none before the first.

    What the log says of its own key is pinned at first sight. Another key follows only when the one before it
    signed for it: later the log cannot say otherwise.
    """
    path = memory.folder / "log.vkey"
    keys = (
        [parse_key(line) for line in path.read_text("utf-8", errors="replace").splitlines()]
        if path.exists()
        else []
    )
    pinned = len(keys)
    for event in log.controls(REGISTERED, memory.origin):
        text, note = str(event.body.get("key")), event.body.get("note")
        if not keys or (text not in map(PublicKey.render, keys) and _handed_over(note, keys[-1], text)):
            keys.append(parse_key(text))
    if len(keys) > pinned:
        pin(memory, keys)
    return keys


def pin(memory: Memory, keys: Sequence[PublicKey]) -> None:
    """Keep a log's public keys on this host, the current one last: they are believed, the log is not."""
    _put(memory.folder / "log.vkey", "".join(f"{key.render()}\n" for key in keys))


def the_key(log: Log, memory: Memory) -> PublicKey:
    """Return the log's public key.

    Raises:
        KeyUnusable: none is registered yet.
    """
    keys = known_keys(log, memory)
    if not keys:
        remedy = 'Run "harness log checkpoint" on the host that is to keep the private key.'
        raise KeyUnusable("The log has no public key", "none is registered", remedy)
    return keys[-1]


def the_signer(log: Log, folder: Path, memory: Memory) -> Signer:
    """Return what signs for the log on this host; the first time its key is made and registered.

    Raises:
        KeyUnusable: this host has no private key, or another than the one that is registered.
    """
    path, known = key_path(log, folder), known_keys(log, memory)
    fresh = not known and not path.exists()
    signer = Signer(memory.origin, make_key(path) if fresh else load_key(path))
    if not known:
        log.control(REGISTERED, memory.origin, {"key": signer.key.render()}, key=f"log-key:{memory.origin}")
        pin(memory, [signer.key])
    elif known[-1] != signer.key:
        remedy = f"Copy the key there, or name it in {KEY_VARIABLE}."
        raise KeyUnusable(f"The key {path} is not the log's", f"{known[-1].render()} is registered", remedy)
    return signer


def rotate(log: Log, folder: Path) -> PublicKey:
    """Return the log's new public key, made now and signed for by the old one, which is kept beside it."""
    memory = open_memory(log, folder)
    old, path = the_signer(log, folder, memory), key_path(log, folder)
    path.rename(path.with_name(f"{path.name}.{old.key.key_id.hex()}"))
    new = Signer(memory.origin, make_key(path))
    text = _handover(new.key)
    body = {"key": new.key.render(), "note": Note(text, (old.sign(text), new.sign(text))).render()}
    log.control(REGISTERED, memory.origin, body)
    return known_keys(log, memory)[-1]


def _handover(key: PublicKey) -> str:
    return f"harness.key/1\n{key.render()}\n"


def _handed_over(note: object, old: PublicKey, text: str) -> bool:
    """Return whether a note is the old key's word that the new one, `text`, follows it."""
    try:
        given, new = parse_note(str(note).encode()), parse_key(text)
        return given.text == _handover(new) and None not in (old.signed(given), new.signed(given))
    except (ProofInvalid, KeyUnusable):
        return False


def latest(log: Log, memory: Memory) -> Taken | None:
    """Return the newest checkpoint in the log that is signed with its key, None when there is none.

    Raises:
        HistoryForked: it is not of the history that this host has verified.
    """
    keys = known_keys(log, memory)
    for event in reversed(log.controls(CHECKPOINTED, memory.origin)):
        found = _signed(event.body.get("note"), keys)
        if found is not None:
            check(found[0], memory)
            return Taken(*found, made=False)
    return None


def _signed(note: object, keys: Sequence[PublicKey]) -> tuple[Checkpoint, Note] | None:
    """Return the checkpoint in a note, None if it is not signed: who may append events can say anything."""
    try:
        return open_checkpoint(str(note).encode(), keys)
    except ProofInvalid:
        return None


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
    return Taken(checkpoint, note, made=True)


def _own(event: ControlEvent) -> bool:
    """Return whether an event only tells of checkpoints: what nobody needs another one for."""
    return event.type in {CHECKPOINTED, "log.anchored"} or event.type.startswith("schedule.")


def keep(memory: Memory, note: Note) -> None:
    """Keep the newest checkpoint beside the memory, whole or not at all."""
    _put(memory.folder / "checkpoint", note.render())


def _put(path: Path, text: str) -> None:
    new = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise FolderUnusable(path.parent, str(error.strerror)) from error
