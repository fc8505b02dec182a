"""Ask a witness to cosign a checkpoint: it gets a proof that the log continues what it has seen."""

from http import HTTPStatus
from typing import Final

from harness.integrity.checkpoint import Checkpoint, render_hashes
from harness.integrity.errors import OutsideUnavailable, WitnessRefused
from harness.integrity.memory import Memory
from harness.integrity.note import Note, PublicKey, Signature, parse_note
from harness.integrity.outside import post

_FORKED: Final = "it has cosigned another history of this log"


class Witness:
    """A witness at a URL, known by its public key."""

    def __init__(self, url: str, key: PublicKey) -> None:
        self._url = url.rstrip("/") + "/add-checkpoint"
        self.key = key

    def cosign(self, checkpoint: Checkpoint, note: Note, memory: Memory) -> Signature:
        """Return its signature of `checkpoint`, the newest of the log that `memory` is of.

        Raises:
            WitnessRefused: it has seen another history.
            OutsideUnavailable: it does not answer as a witness.
        """
        status, data = self._ask(0, note, memory, checkpoint)
        if status == HTTPStatus.CONFLICT and data.strip().isdigit() and int(data) > 0:
            held = int(data)
            if held > checkpoint.size:
                raise WitnessRefused(
                    self.key.name, f"it has cosigned {held} batches, this log has {checkpoint.size}"
                )
            status, data = self._ask(held, note, memory, checkpoint)
        if status in {HTTPStatus.CONFLICT, HTTPStatus.UNPROCESSABLE_ENTITY}:
            raise WitnessRefused(self.key.name, _FORKED)
        if status in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
            raise WitnessRefused(self.key.name, data.decode(errors="replace").strip()[:200])
        if status != HTTPStatus.OK:
            raise OutsideUnavailable(f"The witness {self.key.name}", f"it answered {status}")
        given = parse_note(f"{note.text}\n".encode() + data)
        signature = self.key.signed(given)
        if signature is None:
            raise WitnessRefused(self.key.name, "its answer is signed by another key")
        return signature

    def _ask(self, old: int, note: Note, memory: Memory, checkpoint: Checkpoint) -> tuple[int, bytes]:
        proof = render_hashes(memory.tree.consistency(old, checkpoint.size))
        body = f"old {old}\n{proof}\n{note.render()}"
        return post(f"The witness {self.key.name}", self._url, body.encode(), "text/plain")
