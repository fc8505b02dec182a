"""Checkpoints (c2sp.org/tlog-checkpoint): how many batches a log had, and the root over them, signed."""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from harness.integrity.errors import ProofInvalid
from harness.integrity.note import Note, PublicKey, parse_note

ROOT_BYTES: Final = 32
_TEXT: Final = re.compile(
    r"(\S+)\n(0|[1-9][0-9]{0,18})\n([A-Za-z0-9+/]{43}=)\nposition (0|[1-9][0-9]{0,18})\n"
)


class Checkpoint(NamedTuple):
    """The log at one moment: its first `size` batches have `root`, the last of them ends at `position`."""

    origin: str
    size: int
    root: bytes
    position: int

    def text(self) -> str:
        """Return the text that is signed.

        >>> print(Checkpoint("a.example/log", 2, bytes(32), 7).text(), end="")
        a.example/log
        2
        AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=
        position 7
        """
        root = base64.b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\nposition {self.position}\n"


def origin_of(log_id: UUID, epoch: int) -> str:
    """Return the name that a log's checkpoints go by; a new epoch is another history under another name."""
    return f"harness.log/{log_id}/e{epoch}"


def epoch_of(origin: str, log_id: UUID) -> int | None:
    """Return the epoch that a log's checkpoints of that name are of, None if they are another log's.

    >>> epoch_of(origin_of(UUID(int=1), 3), UUID(int=1)), epoch_of("elsewhere/e3", UUID(int=1))
    (3, None)
    """
    _, _, number = origin.rpartition("/e")
    known = number.isascii() and number.isdecimal() and origin == origin_of(log_id, int(number))
    return int(number) if known else None


def parse_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint that a note's text is.

    Raises:
        ProofInvalid: it is none.
    """
    found = _TEXT.fullmatch(text)
    if found is None:
        raise ProofInvalid("The checkpoint", "it is not origin, size, root and position, a line each")
    origin, size, root, position = found.groups()
    return Checkpoint(origin, int(size), base64.b64decode(root), int(position))


def open_checkpoint(data: bytes, keys: Sequence[PublicKey]) -> tuple[Checkpoint, Note]:
    """Return the checkpoint in a signed note, and the note, if one of the log's keys has signed it.

    Raises:
        ProofInvalid: it is none, or it is signed by another key or for another log.
    """
    note = parse_note(data)
    checkpoint = parse_checkpoint(note.text)
    if not any(key.signed(note) and key.name == checkpoint.origin for key in keys):
        names = " or ".join(key.render() for key in keys)
        raise ProofInvalid(f"The checkpoint of {checkpoint.origin}", f"it is not signed by {names}")
    return checkpoint, note


def render_hashes(hashes: list[bytes]) -> str:
    """Return the hashes of a proof as lines of base64."""
    return "".join(f"{base64.b64encode(one).decode()}\n" for one in hashes)


def parse_hashes(lines: list[str]) -> list[bytes]:
    """Return the hashes that lines of base64 stand for.

    Raises:
        ProofInvalid: one is not 32 bytes in base64.
    """
    try:
        hashes = [base64.b64decode(line, validate=True) for line in lines]
    except binascii.Error as error:
        raise ProofInvalid("The proof", f"a line of it is no base64 ({error})") from error
    if any(len(one) != ROOT_BYTES for one in hashes):
        raise ProofInvalid("The proof", "a hash has not 32 bytes")
    return hashes
