"""A witness's book: the last checkpoint that it saw of each log; only what continues it is cosigned.

The rules and the answers are those of c2sp.org/tlog-witness.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

from harness.errors import FolderUnusable, UsageError
from harness.integrity.checkpoint import Checkpoint, open_checkpoint, parse_hashes
from harness.integrity.errors import ProofInvalid, WitnessMissing
from harness.integrity.keys import load_key, make_key
from harness.integrity.note import COSIGNATURE, Note, PublicKey, Signer, parse_key
from harness.log.merkle import EMPTY_ROOT, is_consistent
from recorders.sidecar.segment import statements

_BOOK: Final = "witness.db"
_KEY: Final = "witness.pem"
REQUEST_BYTES_MAX: Final = 64 * 2**10
_SQL: Final = statements(Path(__file__).with_suffix(".sql"))


class Refusal(Exception):  # noqa: N818 - what a witness says
    """Why a witness does not cosign: the status of its answer and the text; `size` is what it holds."""

    def __init__(self, status: int, text: str, size: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.size = size


class Seen(NamedTuple):
    """The last checkpoint that a witness cosigned for a log, size 0 before the first."""

    origin: str
    key: str
    size: int
    root: bytes
    cosigned_at: int


class WitnessBook:
    """A witness's key and what it has seen, in a folder. Threads and processes may use it at once.

    It never starts without its book: a witness that forgot what it saw would cosign a fork.
    """

    def __init__(self, folder: Path, clock: Callable[[], float]) -> None:
        self._path = folder / _BOOK
        self._clock = clock
        for needed in (_BOOK, _KEY):
            if not (folder / needed).is_file():
                raise WitnessMissing(folder, needed)
        with self._open() as book:
            (name,) = book.execute(_SQL["name"]).fetchone()
        self.signer = Signer(name, load_key(folder / _KEY), COSIGNATURE)

    @classmethod
    def create(cls, folder: Path, name: str, clock: Callable[[], float]) -> "WitnessBook":
        """Return a new witness with a key of its own."""
        if (folder / _BOOK).exists() and not (folder / _KEY).exists():
            raise WitnessMissing(folder, _KEY)
        # Refused before there is a key under it, which nothing would ever replace.
        if not name or "+" in name or any(letter.isspace() for letter in name):
            raise UsageError(
                f"No witness can be called {name!r}.",
                "Expected a name without spaces and without +.",
                "Write it as an address that is yours, such as witness.example/w1.",
            )
        make_key(folder / _KEY)
        with closing(sqlite3.connect(folder / _BOOK)) as book, book:
            book.executescript(_SQL["tables"])
            book.execute(_SQL["call"], [name])
        return cls(folder, clock)

    def trust(self, key: PublicKey) -> None:
        """Witness the log of `key` from now on. A log's key can change later, what was seen of it cannot."""
        with self._open() as book:
            book.execute(_SQL["trust"], [key.name, key.render(), EMPTY_ROOT])

    def seen(self) -> list[Seen]:
        """Return what this witness has seen, by origin."""
        with self._open() as book:
            return [Seen(*row) for row in book.execute(_SQL["all"])]

    def add(self, body: bytes) -> str:
        """Return the signature lines for a request: `old SIZE`, the proof's hashes, an empty line, the note.

        Raises:
            Refusal: it is not cosigned, and nothing has changed.
        """
        old, proof, data = _request(body)
        with self._open() as book:
            seen, checkpoint, note = self._known(book, data)
            if old > checkpoint.size:
                raise Refusal(400, f"the old size {old} is beyond the new one, {checkpoint.size}")
            if old != seen.size:
                raise Refusal(409, f"{seen.size}\n", seen.size)
            if checkpoint.size == seen.size and checkpoint.root != seen.root:
                raise Refusal(409, f"{seen.size}\n", seen.size)
            if not is_consistent(seen.size, seen.root, checkpoint.size, checkpoint.root, proof):
                raise Refusal(422, "the proof does not show that this log continues the one that was seen")
            at = int(self._clock())
            book.execute(_SQL["cosigned"], [checkpoint.size, checkpoint.root, at, checkpoint.origin])
        signature = self.signer.cosign(note.text, at)
        return Note("", (signature,)).render().removeprefix("\n")

    def _known(self, book: sqlite3.Connection, data: bytes) -> tuple[Seen, Checkpoint, Note]:
        origin = data.split(b"\n", 1)[0].decode(errors="replace")
        row = book.execute(_SQL["one"], [origin]).fetchone()
        if row is None:
            raise Refusal(404, "this log is not one that is witnessed here")
        seen = Seen(*row)
        try:
            return seen, *open_checkpoint(data, [parse_key(seen.key)])
        except ProofInvalid as error:
            raise Refusal(403, error.reason) from error

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """Yield the book while nobody else writes; what was written is durable when the block has ended."""
        try:
            book = sqlite3.connect(f"file:{self._path}?mode=rw", uri=True, isolation_level=None, timeout=10)
        except sqlite3.Error as error:
            raise FolderUnusable(self._path.parent, str(error)) from error
        with closing(book):
            book.execute("pragma synchronous = full")
            book.execute("begin immediate")
            try:
                yield book
            except BaseException:
                book.execute("rollback")
                raise
            book.execute("commit")


def _request(body: bytes) -> tuple[int, list[bytes], bytes]:
    head, mark, note = body.partition(b"\n\n")
    lines = head.decode(errors="replace").split("\n")
    word, _, size = lines[0].partition(" ")
    if not mark or word != "old" or not size.isascii() or not size.isdecimal() or len(size) > 18:  # noqa: PLR2004 - 64 bits
        raise Refusal(400, "a request is: old SIZE, the proof's hashes, an empty line, a checkpoint")
    try:
        return int(size), parse_hashes(lines[1:]), note
    except ProofInvalid as error:
        raise Refusal(400, error.reason) from error
