"""Make proofs: find an event in the log, and the hashes between it and the newest checkpoint."""

import json
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import NotFound, UnknownPosition
from harness.integrity.checkpoint import Checkpoint
from harness.integrity.checkpoints import latest
from harness.integrity.errors import IdAmbiguous, NotCovered, ProofInvalid
from harness.integrity.log_keys import known_keys
from harness.integrity.memory import open_memory
from harness.integrity.note import Signature
from harness.integrity.proof import Proof, Sealed, check_proof
from harness.log.event_leaves import control_identifier, control_leaf, event_leaves, identifiers, row_digests
from harness.log.log import Log
from harness.log.merkle import Tree
from harness.log.payload import decoded
from harness.log.points import check_point
from harness.log.stored import StoredBatch
from recorders.canonical import digest
from recorders.columns import decode_batch, encode_batch
from recorders.errors import CorruptBatch

KINDS: Final = ("decision", "outcome", "score")

_POSITION_DIGITS: Final = 19  # no log is longer


class Proven(NamedTuple):
    """A proof, the kind of its event, and its row: an Arrow stream of one row, or a control's JSON."""

    proof: Proof
    kind: str
    row: bytes


def find(log: Log, what: str, label: str | None = None, decision_point: str | None = None) -> int:
    """Return the position of an event: a number, or that of the first decision with this id.

    With `label` it is the last outcome of that label for the decision: what holds now. With either `label`
    or `decision_point` a number is an id too.

    Raises:
        NotFound: there is none, or no such decision point.
        IdAmbiguous: several decision points have a decision of that id.
    """
    if what.isdecimal() and len(what) <= _POSITION_DIGITS and label is None and decision_point is None:
        return int(what)
    check_point(log, decision_point)
    kind = "decision" if label is None else "outcome"
    span = (1, log.head().position + 1)
    points = [point for (point,) in log.rows("points", kind=kind, start=span[0], stop=span[1])]
    found = {}
    for point in points if decision_point is None else [decision_point]:
        if place := _place(log, span, point, what, label):
            found[point] = place
    if len(found) > 1:
        raise IdAmbiguous(what, found)
    if not found:
        raise NotFound(kind, what if label is None else f"{what} with label {label}", None)
    return next(iter(found.values()))


def _place(log: Log, span: tuple[int, int], point: str, what: str, label: str | None) -> int | None:
    """Return the position of the first decision of that id, or of the last outcome of that label."""
    kind, columns = ("decision", ["decision_id"]) if label is None else ("outcome", ["decision_id", "label"])
    found = None
    for batch in log.read(*span, kind=kind, decision_point=point, columns=columns):
        if not set(columns) <= set(batch.schema.names):
            continue
        chosen = pc.equal(batch.column("decision_id"), what)
        if label is not None:
            chosen = pc.and_(chosen, pc.equal(batch.column("label"), label))
        places = batch.column("position").filter(chosen)
        if len(places):
            found = int(places[-1].as_py())
            if label is None:
                return int(places[0].as_py())
    return found


def prove(log: Log, folder: Path, position: int, *, cosigned: bool = False) -> Proven:
    """Return the proof that the event at `position` is in the log under its newest checkpoint.

    Without `cosigned` it has the log's own signature alone; each witness's makes it about 130 bytes longer.

    Raises:
        NotCovered: no checkpoint covers the position yet.
        UnknownPosition: the log holds no such event.
        HistoryForked: the log is not the one that this host has verified.
    """
    memory = open_memory(log, folder)
    memory.advance(log)
    last = latest(log, memory)
    covered = last.checkpoint.position if last is not None else 0
    end = log.head().position
    if not 1 <= position <= end:
        raise UnknownPosition(position, end, first=1)
    if last is None or position > covered:
        raise NotCovered(f"Position {position}", covered)
    index = memory.index_of(position)
    start = memory.start_of(index)
    (batch,) = next(log.history(start, start + 1))
    leaves, identifier, digest_, data = _parts(batch, position - start)
    key = next(key for key in reversed(known_keys(log, memory)) if key.signed(last.note))
    own = next(one for one in last.note.signatures if one.key_id == key.key_id)
    proof = Proof(
        checkpoint=_without_text(last.checkpoint, own) if not cosigned else last.note.render().encode(),
        batch=index,
        event=position - start,
        events=len(leaves),
        position=position,
        identifier=identifier,
        row=digest_,
        chain=memory.chain(index),
        event_path=tuple(Tree(leaves).inclusion(position - start, len(leaves))),
        batch_path=tuple(memory.tree.inclusion(index, last.checkpoint.size)),
    )
    check_proof(proof, key)
    return Proven(proof, batch.header.kind, data)


def _without_text(checkpoint: Checkpoint, own: Signature) -> Sealed:
    return Sealed(own.key_id, own.value, checkpoint.size, checkpoint.position)


def row_digest(row: bytes) -> bytes:
    """Return the digest of a row as `prove` hands it out; the proof must name the same.

    Raises:
        ProofInvalid: it is no row.
    """
    try:
        return bytes.fromhex(digest(row)) if _is_control(row) else row_digests(_one(row))[0]
    except CorruptBatch as error:
        raise ProofInvalid("The row", 'it is no file that --row of "harness log prove" writes') from error


def row_values(row: bytes) -> dict[str, Any]:
    """Return the values of a row, by column."""
    found: dict[str, Any] = json.loads(row) if _is_control(row) else _one(row).to_pylist()[0]
    return found


def _is_control(row: bytes) -> bool:
    return row[:1] == b"{"


def _parts(batch: StoredBatch, place: int) -> tuple[list[bytes], str, bytes, bytes]:
    """Return the leaves of a batch; identifier, digest and bytes of one of its events."""
    position, payload = batch.header.position, batch.payload
    if batch.header.kind == "control":
        identifier = control_identifier(payload)
        return [control_leaf(payload, position)], identifier, bytes.fromhex(digest(payload)), payload
    columns = decoded(position, batch.header.events, batch.digest, payload)
    one = columns.slice(place, 1)
    return event_leaves(columns, position), identifiers(one)[0], row_digests(one)[0], encode_batch(one)


def _one(row: bytes) -> pa.RecordBatch:
    batch = decode_batch(row)
    if batch.num_rows != 1:
        raise CorruptBatch(f"{batch.num_rows} rows where one is expected")
    return batch
