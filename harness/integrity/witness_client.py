"""Ask a witness to cosign a checkpoint: it gets a proof that the log continues what it has seen."""

from http import HTTPStatus
from typing import Final

from harness.integrity.checkpoint import Checkpoint, render_hashes
from harness.integrity.errors import OutsideUnavailable, ProofInvalid, WitnessRefused
from harness.integrity.memory import Memory
from harness.integrity.note import Note, PublicKey, Signature, parse_note
from harness.integrity.outside import post

SIZE_DIGITS_MAX: Final = 18  # 64 bits
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
        if status == HTTPStatus.CONFLICT and (held := _size(data)):
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
            raise OutsideUnavailable(f"The witness {self.key.name}", f"it answered {status}", in_log=False)
        try:
            given = parse_note(f"{note.text}\n".encode() + data)
        except ProofInvalid as error:
            what = f"its answer is no signature ({error.reason})"
            raise OutsideUnavailable(f"The witness {self.key.name}", what, in_log=False) from error
        signature = self.key.signed(given)
        if signature is None:
            raise WitnessRefused(self.key.name, "its answer is signed by another key")
        return signature

    def _ask(self, old: int, note: Note, memory: Memory, checkpoint: Checkpoint) -> tuple[int, bytes]:
        proof = render_hashes(memory.tree.consistency(old, checkpoint.size))
        body = f"old {old}\n{proof}\n{note.render()}"
        what = f"The witness {self.key.name}"
        try:
            return post(what, self._url, body.encode(), "text/plain")
        except OutsideUnavailable as error:
            raise OutsideUnavailable(what, error.reason, in_log=False) from error


def _size(answer: bytes) -> int:
    """Return the size that a witness says it holds, 0 where it says none."""
    digits = answer.strip()
    return int(digits) if digits.isdigit() and len(digits) <= SIZE_DIGITS_MAX else 0
