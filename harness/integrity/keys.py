"""Key files: an Ed25519 private key that its owner alone can read, outside of the log."""

import os
import stat
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from harness.errors import FolderUnusable
from harness.integrity.errors import KeyUnusable

_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_KEY_BYTES_MAX: Final = 4096


def make_key(path: Path) -> Ed25519PrivateKey:
    """Return a new private key, kept at `path` with mode 0600. An existing file is never replaced.

    Raises:
        KeyUnusable: something is there already.
        FolderUnusable: the folder cannot be written.
    """
    private = Ed25519PrivateKey.generate()
    data = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError as error:
        remedy = "Use it, or move it away: what it signed is checked with its public half for ever."
        raise KeyUnusable(f"The key file {path} exists", "a key is never overwritten", remedy) from error
    except OSError as error:
        raise FolderUnusable(path.parent, str(error.strerror)) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return private


def load_key(path: Path) -> Ed25519PrivateKey:
    """Return the private key at `path`.

    Raises:
        KeyUnusable: there is none, others may read it, or it is no Ed25519 key.
    """
    what = f"The key file {path} cannot be used"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError as error:
        remedy = 'Make one with "harness log key make", or copy it from the host that takes checkpoints.'
        raise KeyUnusable(what, str(error.strerror), remedy) from error
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        data = file.read(_KEY_BYTES_MAX)
    if mode & _OTHERS:
        reason = f"its mode is {stat.S_IMODE(mode):04o}: others may read it"
        raise KeyUnusable(what, reason, f"Run: chmod 600 {path}. If it may have been read, make another key.")
    try:
        private = load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as error:
        raise KeyUnusable(what, "it is no PEM of a private key", "Copy it anew.") from error
    if not isinstance(private, Ed25519PrivateKey):
        raise KeyUnusable(what, "it is no Ed25519 key", 'Make one with "harness log key make".')
    return private
