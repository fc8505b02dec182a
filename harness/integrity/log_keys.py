"""The log's keys as a host believes them: what signs here, and the public ones that it pinned."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from harness.integrity.errors import KeyUnusable, ProofInvalid
from harness.integrity.keys import load_key, make_key
from harness.integrity.memory import PINNED, Memory, open_memory
from harness.integrity.note import SIGNATURE, Note, PublicKey, Signer, parse_key, parse_note
from harness.log.log import Log
from harness.written import unusable
from recorders.errors import WriterForked

REGISTERED: Final = "log.key_registered"
KEY_VARIABLE: Final = "HARNESS_LOG_KEY"


class Believed(NamedTuple):
    """The log's public keys, the current one last, and where the log names others that nobody vouches for."""

    keys: list[PublicKey]
    foreign: list[int]


def integrity_folder(folder: Path | None) -> Path:
    """Return where a host keeps its key and its memory of logs: below .harness in `folder`."""
    from harness.database import HOME

    return (folder or Path.cwd()).absolute() / HOME / "integrity"


def key_path(log: Log, folder: Path) -> Path:
    """Return where the log's private key is: HARNESS_LOG_KEY, or below the integrity folder."""
    named = os.environ.get(KEY_VARIABLE)
    return Path(named) if named else folder / str(log.head().log_id) / "key.pem"


def known_keys(log: Log, memory: Memory) -> list[PublicKey]:
    """Return the log's public keys that this host believes, the current one last; none before the first."""
    return believed_keys(log, memory).keys


def believed_keys(log: Log, memory: Memory) -> Believed:
    """Return what this host believes of the log's keys, and where the log names others.

    What the log says of its own key is pinned at first sight. Another key follows only when the one before it
    signed for it: later the log cannot say otherwise. Who may append control events can say anything: what is
    no key of this log stops nobody.
    """
    keys, foreign = memory.keys(), list[int]()
    known = len(keys)
    for event in log.controls(REGISTERED, memory.origin):
        key, note = _key_of(str(event.body.get("key")), memory.origin), event.body.get("note")
        if key in keys:
            continue
        if key is None or (keys and not _handed_over(note, keys[-1], key)):
            foreign.append(event.position)
        else:
            keys.append(key)
    if len(keys) > known:
        pin(memory, keys)
    return Believed(keys, foreign)


def pin(memory: Memory, keys: Sequence[PublicKey]) -> None:
    """Keep a log's public keys on this host, the current one last: they are believed, the log is not."""
    put_text(memory.folder / PINNED, "".join(f"{key.render()}\n" for key in keys))


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
    if known and known[-1] != signer.key:
        remedy = f"Copy the key there, or name it in {KEY_VARIABLE}."
        raise KeyUnusable(f"The key {path} is not the log's", f"{known[-1].render()} is registered", remedy)
    text = signer.key.render()
    if all(event.body.get("key") != text for event in log.controls(REGISTERED, memory.origin)):
        register(log, memory, signer)
    if not known:
        pin(memory, [signer.key])
    return signer


def epoch_signer(log: Log, folder: Path, keys: Sequence[PublicKey], origin: str) -> Signer | None:
    """Return what signs for a new epoch of the log under its name, `origin`; None before the log has a key.

    Raises:
        KeyUnusable: the log has a key, and this host has not its private half.
    """
    path = key_path(log, folder)
    if not keys and not path.exists():
        return None
    signer = Signer(origin, load_key(path))
    if keys and keys[-1].public != signer.key.public:
        remedy = f"Copy the key there, or name it in {KEY_VARIABLE}."
        raise KeyUnusable(f"The key {path} is not the log's", f"{keys[-1].render()} is registered", remedy)
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


def register(log: Log, memory: Memory, signer: Signer) -> None:
    """Say in the log which key signs for it."""
    body = {"key": signer.key.render()}
    try:
        log.control(REGISTERED, memory.origin, body, key=f"log-key:{memory.origin}")
    except WriterForked:  # somebody said another key under this name: ours is said all the same
        log.control(REGISTERED, memory.origin, body)


def put_text(path: Path, text: str) -> None:
    """Keep a text at `path`, whole or not at all.

    Raises:
        FolderUnusable, NoRoom: its folder cannot be written.
    """
    new = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_text(text, encoding="utf-8")
        new.replace(path)
    except OSError as error:
        raise unusable(path, error) from error


def _key_of(text: str, origin: str) -> PublicKey | None:
    """Return the key that a registration names, None if it is no key that could sign for this log."""
    try:
        key = parse_key(text)
    except KeyUnusable:
        return None
    return key if (key.name, key.algorithm) == (origin, SIGNATURE) else None


def _handover(key: PublicKey) -> str:
    return f"harness.key/1\n{key.render()}\n"


def _handed_over(note: object, old: PublicKey, new: PublicKey) -> bool:
    """Return whether a note is the old key's word that the new one follows it."""
    try:
        given = parse_note(str(note).encode())
        return given.text == _handover(new) and None not in (old.signed(given), new.signed(given))
    except ProofInvalid:
        return False
