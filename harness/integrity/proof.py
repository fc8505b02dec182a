r"""Proofs: the bytes that show one event to be in a log under a checkpoint, and nothing else of it. Pure.

    "harness.proof/2\n"
    signature    4 bytes that name the log's key, and the 64 of its signature of the checkpoint
    numbers      the checkpoint's batches and its last position; the event's batch, its place and the count of
                 events there, each from 0; its position; the length of its identifier. Each as LEB128
    identifier   UTF-8
    row          32 bytes: the digest of the event's values (harness/log/event_leaves.py)
    chain        32 bytes: the chain's digest after the batch
    paths        up to the root over the batch's events, then up to the checkpoint's: count in 1 byte, 32 each

The checkpoint's text is left out: origin is the key's name, the root is what the paths lead to. The first
version has it, with every signature below it, and proofs with cosignatures are still written in it:

    "harness.proof/1\n"
    checkpoint   length in 2 bytes, then the signed note
    batch        its number from 0 in 8 bytes
    event        its number in the batch and their count, 4 bytes each
    position     8 bytes
    identifier   length in 2 bytes, then UTF-8
    row, chain, paths as above

Numbers of fixed width are big-endian, and nothing follows. docs/verify_proof.py checks the same with the
standard library.
"""

import struct
from typing import Final, NamedTuple

from harness.integrity.checkpoint import Checkpoint, open_checkpoint
from harness.integrity.errors import ProofInvalid
from harness.integrity.note import Note, PublicKey, Signature
from harness.log.event_leaves import batch_leaf, event_leaf
from harness.log.merkle import root_from_inclusion

FULL: Final = b"harness.proof/1\n"
COMPACT: Final = b"harness.proof/2\n"
PROOF_BYTES_MAX: Final = 2**20
_PLACE: Final = struct.Struct(">QIIQ")
_HASH: Final = 32


class Sealed(NamedTuple):
    """A checkpoint without its text: what named and signed it, how many batches it has, its last position."""

    key_id: bytes
    signature: bytes
    size: int
    position: int


class Proof(NamedTuple):
    """That the event at `position`, known by `identifier`, is in the log that `checkpoint` was signed for.

    `checkpoint` is a whole note, or what cannot be worked out of it.
    """

    checkpoint: bytes | Sealed
    batch: int
    event: int
    events: int
    position: int
    identifier: str
    row: bytes
    chain: bytes
    event_path: tuple[bytes, ...]
    batch_path: tuple[bytes, ...]

    def render(self) -> bytes:
        """Return the proof's bytes."""
        name = self.identifier.encode()
        if isinstance(self.checkpoint, Sealed):
            numbers = (*self.checkpoint[2:], self.batch, self.event, self.events, self.position, len(name))
            head = COMPACT + self.checkpoint.key_id + self.checkpoint.signature + b"".join(map(_leb, numbers))
        else:
            head = FULL + struct.pack(">H", len(self.checkpoint)) + self.checkpoint
            head += _PLACE.pack(self.batch, self.event, self.events, self.position)
            head += struct.pack(">H", len(name))
        paths = (bytes([len(path)]) + b"".join(path) for path in (self.event_path, self.batch_path))
        return b"".join((head, name, self.row, self.chain, *paths))


def parse_proof(data: bytes) -> Proof:
    """Return the proof that `data` is; nothing of it is checked yet.

    Raises:
        ProofInvalid: it is none.
    """
    compact = data.startswith(COMPACT)
    if not (compact or data.startswith(FULL)) or len(data) > PROOF_BYTES_MAX:
        raise ProofInvalid("The proof", "it does not begin as one")
    rest = _Rest(data[len(FULL) :])
    checkpoint: bytes | Sealed
    if compact:
        key_id, signature = rest.take(4), rest.take(64)
        size, last, batch, event, events, position, length = (rest.leb() for _ in range(7))
        checkpoint = Sealed(key_id, signature, size, last)
    else:
        checkpoint = rest.take(rest.number(2))
        batch, event, events, position = _PLACE.unpack(rest.take(_PLACE.size))
        length = rest.number(2)
    try:
        identifier = rest.take(length).decode()
    except UnicodeDecodeError as error:
        raise ProofInvalid("The proof", "its identifier is no UTF-8") from error
    row, chain = rest.take(_HASH), rest.take(_HASH)
    paths = [tuple(rest.take(_HASH) for _ in range(rest.number(1))) for _ in range(2)]
    if rest.data:
        raise ProofInvalid("The proof", f"{len(rest.data)} bytes follow it")
    if not (batch < 2**63 and event < 2**32 and events < 2**32 and position < 2**63):
        raise ProofInvalid("The proof", "a number in it is too large")
    return Proof(checkpoint, batch, event, events, position, identifier, row, chain, paths[0], paths[1])


def check_proof(proof: Proof, key: PublicKey) -> Checkpoint:
    """Return the checkpoint under which the event is in the log of `key`.

    Raises:
        ProofInvalid: it is not; the reason names the step.
    """
    given = proof.checkpoint
    if isinstance(given, Sealed):
        root = _root(proof, given.size)
        text = Checkpoint(key.name, given.size, root, given.position).text()
        note = Note(text, (Signature(key.name, given.key_id, given.signature),))
        return open_checkpoint(note.render().encode(), (key,))[0]
    checkpoint, _note = open_checkpoint(given, (key,))
    if _root(proof, checkpoint.size) != checkpoint.root:
        raise ProofInvalid("The proof", "it does not lead to the root that was signed")
    return checkpoint


def _root(proof: Proof, size: int) -> bytes:
    """Return the root that a proof leads to in a tree of `size` batches."""
    leaf = event_leaf(proof.position, proof.identifier, proof.row)
    event_root = root_from_inclusion(leaf, proof.event, proof.events, proof.event_path)
    if event_root is None:
        raise ProofInvalid("The proof", "its batch has no such event")
    batch = batch_leaf(proof.chain, proof.events, event_root)
    root = root_from_inclusion(batch, proof.batch, size, proof.batch_path)
    if root is None:
        raise ProofInvalid("The proof", "the checkpoint's log has no such batch")
    return root


def _leb(value: int) -> bytes:
    """Return a number in as few bytes as it needs, seven bits each, the lowest first."""
    data = bytearray()
    while value > 127:  # noqa: PLR2004 - seven bits
        data.append(value & 127 | 128)
        value >>= 7
    return bytes(data) + bytes([value])


class _Rest:
    def __init__(self, data: bytes) -> None:
        self.data = data

    def take(self, size: int) -> bytes:
        if len(self.data) < size:
            raise ProofInvalid("The proof", "it ends early")
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def leb(self) -> int:
        value, shift, byte = 0, 0, 128
        while byte & 128 and shift < 63:  # noqa: PLR2004 - 64 bits
            byte = self.number(1)
            value, shift = value | (byte & 127) << shift, shift + 7
        if byte & 128 or (byte == 0 and shift > 7):  # noqa: PLR2004 - more than one byte
            raise ProofInvalid("The proof", "a number is not in its shortest form")
        return value
