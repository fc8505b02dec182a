"""A signed proof of one event without any database, and the second verifier as a module."""

import importlib.util
from pathlib import Path
from types import ModuleType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from harness.integrity.checkpoint import Checkpoint
from harness.integrity.note import Note, Signer
from harness.integrity.proof import Proof, Sealed
from harness.log.event_leaves import batch_leaf, event_leaf
from harness.log.merkle import Tree

SIGNER = Signer("log.example/e1", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))


def number(value: int) -> bytes:
    return value.to_bytes(32, "big")


def a_proof(
    batch: int = 9, batches: int = 21, event: int = 5, events: int = 11, *, full: bool = False
) -> Proof:
    """Return the proof that event `event` of batch `batch` is in a log of so many; all else is made up.

    `full` is the format of the first version.
    """
    leaves = [event_leaf(100 + place, f"d{place}", number(place)) for place in range(events)]
    roots = [number(index) for index in range(batches)]
    roots[batch] = Tree(leaves).root()
    tree = Tree(batch_leaf(number(index), events, root) for index, root in enumerate(roots))
    text = Checkpoint(SIGNER.key.name, batches, tree.root(), 4_000).text()
    own = SIGNER.sign(text)
    sealed = Sealed(own.key_id, own.value, batches, 4_000)
    return Proof(
        checkpoint=Note(text, (own,)).render().encode() if full else sealed,
        batch=batch,
        event=event,
        events=events,
        position=100 + event,
        identifier=f"d{event}",
        row=number(event),
        chain=number(batch),
        event_path=tuple(Tree(leaves).inclusion(event, events)),
        batch_path=tuple(tree.inclusion(batch, batches)),
    )


def second_verifier() -> ModuleType:
    """Return docs/verify_proof.py, which knows the standard library alone."""
    path = Path(__file__).parents[2] / "docs" / "verify_proof.py"
    spec = importlib.util.spec_from_file_location("verify_proof", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
