r"""Proofs: the bytes that show one event to be in a log under a checkpoint, and nothing else of it. Pure.

    "harness.proof/1\n"
    checkpoint   length in 2 bytes, then the signed note
    batch        its number from 0 in 8 bytes
    event        its number in the batch and their count, 4 bytes each
    position     8 bytes
    identifier   length in 2 bytes, then UTF-8
    row          32 bytes: the digest of the event's values (harness/log/event_leaves.py)
    chain        32 bytes: the chain's digest after the batch
    paths        up to the root over the batch's events, then up to the checkpoint's: count in 1 byte, 32 each

Numbers are big-endian, and nothing follows. docs/verify_proof.py checks the same with the standard library.
"""

import struct
from typing import Final, NamedTuple

from harness.integrity.checkpoint import Checkpoint, open_checkpoint
from harness.integrity.errors import ProofInvalid
from harness.integrity.note import PublicKey
from harness.log.event_leaves import batch_leaf, event_leaf
from harness.log.merkle import root_from_inclusion

MAGIC: Final = b"harness.proof/1\n"
PROOF_BYTES_MAX: Final = 2**20
_PLACE: Final = struct.Struct(">QIIQ")
_HASH: Final = 32


class Proof(NamedTuple):
    """That the event at `position`, known by `identifier`, is in the log that `checkpoint` was signed for."""

    checkpoint: bytes
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
        return b"".join(
            (
                MAGIC,
                struct.pack(">H", len(self.checkpoint)) + self.checkpoint,
                _PLACE.pack(self.batch, self.event, self.events, self.position),
                struct.pack(">H", len(name)) + name,
                self.row + self.chain,
                *(bytes([len(path)]) + b"".join(path) for path in (self.event_path, self.batch_path)),
            )
        )


def parse_proof(data: bytes) -> Proof:
    """Return the proof that `data` is; nothing of it is checked yet.

    Raises:
        ProofInvalid: it is none.
    """
    if not data.startswith(MAGIC) or len(data) > PROOF_BYTES_MAX:
        raise ProofInvalid("The proof", "it does not begin as one")
    rest = _Rest(data[len(MAGIC) :])
    try:
        checkpoint = rest.take(rest.number(2))
        batch, event, events, position = _PLACE.unpack(rest.take(_PLACE.size))
        identifier = rest.take(rest.number(2)).decode()
    except UnicodeDecodeError as error:
        raise ProofInvalid("The proof", "its identifier is no UTF-8") from error
    row, chain = rest.take(_HASH), rest.take(_HASH)
    paths = [tuple(rest.take(_HASH) for _ in range(rest.number(1))) for _ in range(2)]
    if rest.data:
        raise ProofInvalid("The proof", f"{len(rest.data)} bytes follow it")
    return Proof(checkpoint, batch, event, events, position, identifier, row, chain, paths[0], paths[1])


def check_proof(proof: Proof, key: PublicKey) -> Checkpoint:
    """Return the checkpoint under which the event is in the log of `key`.

    Raises:
        ProofInvalid: it is not; the reason names the step.
    """
    checkpoint, _note = open_checkpoint(proof.checkpoint, (key,))
    leaf = event_leaf(proof.position, proof.identifier, proof.row)
    event_root = root_from_inclusion(leaf, proof.event, proof.events, proof.event_path)
    if event_root is None:
        raise ProofInvalid("The proof", "its batch has no such event")
    batch = batch_leaf(proof.chain, proof.events, event_root)
    if root_from_inclusion(batch, proof.batch, checkpoint.size, proof.batch_path) != checkpoint.root:
        raise ProofInvalid("The proof", "it does not lead to the root that was signed")
    return checkpoint


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
