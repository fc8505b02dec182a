"""Proofs of rows: one root over a training set's rows, in the log, and a short path from each row to it."""

import struct

import msgspec
import pyarrow as pa

from harness.log.event_leaves import event_leaf, row_digests
from harness.log.log import Log
from harness.log.merkle import Tree, root_from_inclusion
from harness.training.errors import RowNotFound, RowProofInvalid
from harness.training.registry import get_training_set, recut
from harness.training.roots import Leaves, register_root, set_root

FORMAT = "training-set-proof/1"


class RowProof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That a row is in a set: the leaf's parts and the hashes beside its path, as hexadecimal.

    `row` is the digest of the row's values in the set's columns (harness/log/event_leaves.py says how).
    `root` is what the control event at `rooted_at` names for the set; that event has a proof of its own.
    """

    format: str
    set: str
    digest: str
    log: str
    rooted_at: int
    root: str
    rows: int
    index: int
    position: int
    decision_id: str
    row: str
    path: tuple[str, ...]


def prove_row(log: Log, name: str, decision_id: str, *, backfill: pa.Table | None = None) -> RowProof:
    """Return the proof that a decision is a row of a registered set, which is cut from the log again for it.

    Raises:
        RowNotFound: it is none.
        TrainingSetDiffers: the log's history is not that of the registration.
    """
    registered = get_training_set(log, name).body
    rows = recut(log, name, registered, backfill)
    ids = rows.own["decision_id"].to_pylist()
    if decision_id not in ids:
        raise RowNotFound(name, decision_id)
    index, leaves, digests = ids.index(decision_id), Leaves(), []
    at = 0
    for batch in leaves.through(rows.batches()):
        if at <= index < at + batch.num_rows:
            digests = row_digests(batch.slice(index - at, 1))
        at += batch.num_rows
    tree = Tree(leaves.leaves)
    root = set_root(rows.size, tree.root())
    rooted = register_root(log, name, registered["digest"], root, rows.size)
    return RowProof(
        format=FORMAT,
        set=name,
        digest=registered["digest"],
        log=registered["log"],
        rooted_at=rooted,
        root=root.hex(),
        rows=rows.size,
        index=index,
        position=int(rows.own["position"][index].as_py()),
        decision_id=decision_id,
        row=digests[0].hex(),
        path=tuple(beside.hex() for beside in tree.inclusion(index, rows.size)),
    )


def check_row_proof(data: bytes) -> RowProof:
    """Return the proof that `data` is, when its row leads to its root. No log is needed.

    Raises:
        RowProofInvalid: it is none, or it does not.
    """
    try:
        proof = msgspec.json.decode(data, type=RowProof)
        row, path = bytes.fromhex(proof.row), [bytes.fromhex(beside) for beside in proof.path]
        leaf = event_leaf(proof.position, proof.decision_id, row)
        found = root_from_inclusion(leaf, proof.index, proof.rows, path)
    except (msgspec.DecodeError, ValueError, OverflowError, struct.error) as error:
        raise RowProofInvalid(f"it cannot be read ({error})") from error
    if proof.format != FORMAT or found is None or set_root(proof.rows, found).hex() != proof.root:
        raise RowProofInvalid("its row does not lead to its root")
    return proof
