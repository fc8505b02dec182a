"""Signed notes (c2sp.org/signed-note): a text, and Ed25519 signatures below it, each under a name."""

import base64
import binascii
import hashlib
import struct
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from harness.integrity.errors import KeyUnusable, ProofInvalid

SIGNATURE: Final = 1
COSIGNATURE: Final = 4
NOTE_BYTES_MAX: Final = 64 * 2**10
SIGNATURES_MAX: Final = 64
_DASH: Final = "\N{EM DASH} "
_KEY_BYTES: Final = 33


class Signature(NamedTuple):
    """One line below a note: whose, the four bytes that name the key, and what was signed."""

    name: str
    key_id: bytes
    value: bytes


class Note(NamedTuple):
    """A text that ends with a line break, and its signatures."""

    text: str
    signatures: tuple[Signature, ...]

    def render(self) -> str:
        """Return the note as it travels."""
        lines = (
            f"{_DASH}{one.name} {base64.b64encode(one.key_id + one.value).decode()}\n"
            for one in self.signatures
        )
        return f"{self.text}\n{''.join(lines)}"


class PublicKey(NamedTuple):
    """A key that notes are checked with; `algorithm` is SIGNATURE, or COSIGNATURE for a witness."""

    name: str
    algorithm: int
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that name the key in a signature line."""
        data = self.name.encode() + b"\n" + bytes([self.algorithm]) + self.public
        return hashlib.sha256(data).digest()[:4]

    def render(self) -> str:
        """Return the key as people hand it on: `name+id+key`."""
        key = base64.b64encode(bytes([self.algorithm]) + self.public).decode()
        return f"{self.name}+{self.key_id.hex()}+{key}"

    def signed(self, note: Note) -> Signature | None:
        """Return this key's signature below `note` if it is genuine, None when it has none.

        Raises:
            ProofInvalid: a signature in this key's name that it did not make.
        """
        found = [one for one in note.signatures if (one.name, one.key_id) == (self.name, self.key_id)]
        if not found:
            return None
        message, value = note.text.encode(), found[0].value
        if self.algorithm == COSIGNATURE:
            message, value = _cosigned(note.text, cosigned_at(found[0])), value[8:]
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(value, message)
        except InvalidSignature as error:
            raise ProofInvalid("The note", f"{self.name} did not sign it") from error
        return found[0]


class Signer:
    """A private key under a name."""

    def __init__(self, name: str, private: Ed25519PrivateKey, algorithm: int = SIGNATURE) -> None:
        self._private = private
        self.key = PublicKey(name, algorithm, private.public_key().public_bytes_raw())

    def sign(self, text: str) -> Signature:
        """Return the signature of a note's text."""
        return Signature(self.key.name, self.key.key_id, self._private.sign(text.encode()))

    def cosign(self, text: str, at: int) -> Signature:
        """Return a witness's signature: that at `at` (seconds since 1970) this was the log it had seen."""
        value = struct.pack(">Q", at) + self._private.sign(_cosigned(text, at))
        return Signature(self.key.name, self.key.key_id, value)


def cosigned_at(signature: Signature) -> int:
    """Return when a witness signed, in seconds since 1970."""
    return int.from_bytes(signature.value[:8], "big")


def notes_of(data: bytes) -> list[bytes]:
    r"""Return the notes in a file that anchors add to, an empty line behind each; of another, all of it.

    >>> notes_of(b"one\n\nsigned\n\ntwo\n\nsigned\n\n")
    [b'one\n\nsigned\n', b'two\n\nsigned\n']
    >>> notes_of(b"one\n\nsigned\n"), notes_of(b"one\n\nsigned\n\ntwo\n\nsig")
    ([b'one\n\nsigned\n'], [b'one\n\nsigned\n\ntwo\n\nsig'])
    """
    *halves, last = data.split(b"\n\n")
    if last or not halves or len(halves) % 2:
        return [data]
    return [b"%b\n\n%b\n" % pair for pair in zip(halves[::2], halves[1::2], strict=True)]


def parse_note(data: bytes) -> Note:
    """Return the note that `data` holds; nothing of it is checked against any key yet.

    Raises:
        ProofInvalid: it is no signed note.
    """
    try:
        whole = data.decode()
        text, mark, below = whole.rpartition("\n\n")
        lines = below.splitlines()
        fits = mark and below.endswith("\n") and len(data) <= NOTE_BYTES_MAX
        if not fits or not 1 <= len(lines) <= SIGNATURES_MAX:
            raise ProofInvalid("The note", "it has no text and signature lines")
        return Note(text + "\n", tuple(map(_signature, lines)))
    except (UnicodeDecodeError, binascii.Error) as error:
        raise ProofInvalid("The note", f"it is no signed note ({error})") from error


def _signature(line: str) -> Signature:
    name, mark, encoded = line.removeprefix(_DASH).partition(" ")
    value = base64.b64decode(encoded, validate=True)
    if not line.startswith(_DASH) or not mark or len(value) <= 4:  # noqa: PLR2004 - the key's id
        raise ProofInvalid("The note", "a signature line is none")
    if base64.b64encode(value).decode() != encoded:
        raise ProofInvalid("The note", "a signature is not in canonical base64")
    return Signature(name, value[:4], value[4:])


def parse_key(text: str) -> PublicKey:
    """Return the public key that `name+id+key` stands for.

    Raises:
        KeyUnusable: it is none, or its id is not that of the key.
    """
    expected = "Expected a name without spaces, the id and the public key, name+id+key."
    remedy = 'Copy the whole line that "harness log key show" or "harness witness show" prints.'
    name, _, rest = text.strip().partition("+")
    identifier, _, encoded = rest.partition("+")
    try:
        data = base64.b64decode(encoded, validate=True)
    except binascii.Error as error:
        raise KeyUnusable("The public key cannot be read", str(error), remedy, expected) from error
    if len(data) != _KEY_BYTES or data[0] not in {SIGNATURE, COSIGNATURE}:
        raise KeyUnusable(
            "The public key cannot be read", "it is no name+id+key of Ed25519", remedy, expected
        )
    key = PublicKey(name, data[0], data[1:])
    if not name or any(character.isspace() for character in name) or key.key_id.hex() != identifier:
        reason = "its id is not that of name and key"
        raise KeyUnusable("The public key cannot be used", reason, remedy, expected)
    return key


def _cosigned(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()
