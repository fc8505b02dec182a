"""Memory: what one host has verified of a log, a record a batch, kept where the log's database cannot write.

A record is the position after the batch (8 bytes, big-endian), the chain's digest after it and the root over
its events (32 each): what a batch's leaf in the tree is made of.
"""

import fcntl
import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from harness.errors import FolderUnusable
from harness.integrity.checkpoint import origin_of
from harness.integrity.errors import HistoryForked, MemoryDamaged
from harness.log.chain import genesis
from harness.log.event_leaves import batch_leaf, control_leaf, event_leaves
from harness.log.log import Log
from harness.log.merkle import EMPTY_ROOT, Tree, root_of
from harness.log.payload import decoded
from harness.log.stored import StoredBatch
from harness.log.verify import fault
from recorders.errors import CorruptBatch

# As harness.batch allows.
EVENTS_MAX: Final = 1_000_000
_RECORD: Final = struct.Struct(">Q32s32s")
_REMEMBERED: Final = "the history that this host has verified before"


class Record(NamedTuple):
    """A verified batch: where it ends (exclusive), the chain after it, the root over its events."""

    stop: int
    chain: bytes
    event_root: bytes


class Memory:
    """The records of a log and epoch in a folder. Two processes may use it at once: each adds what is new."""

    def __init__(self, folder: Path, origin: str) -> None:
        self.folder = folder
        self.origin = origin
        self._path = folder / "batches"
        self._records: list[Record] = []
        self._tree = Tree()
        self._load()

    def __len__(self) -> int:
        return len(self._records)

    @property
    def stop(self) -> int:
        """The position after the last remembered batch."""
        return self._records[-1].stop if self._records else 1

    @property
    def tree(self) -> Tree:
        """The tree over all remembered batches."""
        return self._tree

    def index_of(self, position: int) -> int:
        """Return the number, from 0, of the remembered batch that holds a position."""
        assert 1 <= position < self.stop, (position, self.stop)
        low, high = 0, len(self._records) - 1
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if position < self._records[middle].stop else (middle + 1, high)
        return low

    def start_of(self, index: int) -> int:
        """Return the position of a remembered batch's first event."""
        return self._records[index - 1].stop if index else 1

    def chain(self, index: int) -> bytes:
        """Return the chain's digest after a remembered batch."""
        return self._records[index].chain

    def check(self, log: Log) -> None:
        """Raise HistoryForked unless the log still begins with what is remembered, up to its last batch."""
        if self._records and not self._holds(log, len(self) - 1):
            low, high = 0, len(self) - 1  # the chain commits to all before it: what holds once held always
            while low < high:
                middle = (low + high) // 2
                low, high = (middle + 1, high) if self._holds(log, middle) else (low, middle)
            raise HistoryForked("The log was altered", self.start_of(low), _REMEMBERED)

    def advance(self, log: Log, progress: Callable[[int], None] | None = None) -> int:
        """Verify and remember every batch that came since, and return how many. The rest is trusted memory.

        Raises:
            HistoryForked: the log does not continue what is remembered, or a new batch is altered.
        """
        self.check(log)
        _epoch, head, end, _time, log_id = log.rows("head")[0]
        previous = self._records[-1].chain if self._records else genesis(log_id, log.rows("identity")[0][2])
        added: list[Record] = []
        expected = self.stop
        for batch in chain.from_iterable(log.history(expected, head + 1)):
            reason = fault(batch, expected, previous)
            if reason:
                where = min(expected, batch.header.position)
                raise HistoryForked(f"The log is altered: {reason}", where, "as appended")
            added.append(Record(batch.stop, batch.chain, event_root(batch)))
            expected, previous = batch.stop, batch.chain
            if progress is not None:
                progress(expected - self.stop)
        if expected != head + 1 or previous != end:
            raise HistoryForked("The head names another history", expected, "the end of the chain")
        self._remember(added)
        return len(added)

    def _holds(self, log: Log, index: int) -> bool:
        found = log.rows("batch_at", position=self._records[index].stop - 1)
        return bool(found) and (found[0][0], found[0][2]) == (
            self.start_of(index),
            self._records[index].chain,
        )

    def _load(self) -> None:
        data = self._path.read_bytes() if self._path.exists() else b""
        whole = len(data) // _RECORD.size * _RECORD.size  # a record that was cut by a crash is verified anew
        for values in list(_RECORD.iter_unpack(data[:whole]))[len(self._records) :]:
            record = Record(*values)
            if not 1 <= record.stop - self.stop <= EVENTS_MAX:
                raise MemoryDamaged(self._path, len(self._records))
            self._tree.append(batch_leaf(record.chain, record.stop - self.stop, record.event_root))
            self._records.append(record)

    def _remember(self, added: list[Record]) -> None:
        with _alone(self._path) as file:
            written = file.seek(0, os.SEEK_END) // _RECORD.size
            missing = added[max(0, written - len(self._records)) :]
            file.seek(written * _RECORD.size)
            file.write(b"".join(_RECORD.pack(*record) for record in missing))
            file.truncate()
            file.flush()
            os.fsync(file.fileno())
        self._load()


def open_memory(log: Log, folder: Path) -> Memory:
    """Return what this host remembers of `log`, in `folder`; nothing on the first time."""
    head = log.head()
    return Memory(folder / str(head.log_id) / f"e{head.epoch}", origin_of(head.log_id, head.epoch))


def event_root(batch: StoredBatch) -> bytes:
    """Return the root over the events of a batch; that of no events when nobody can read them."""
    position = batch.header.position
    try:
        if batch.header.kind == "control":
            return control_leaf(batch.payload, position)
        columns = decoded(position, batch.header.events, batch.digest, batch.payload)
        return root_of(event_leaves(columns, position))
    except (CorruptBatch, ValueError, KeyError, TypeError):
        return EMPTY_ROOT


@contextmanager
def _alone(path: Path) -> Iterator[BinaryIO]:
    """Yield the file at `path`, open for reading and writing, while nobody else has it."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise FolderUnusable(path.parent, str(error.strerror)) from error
    with os.fdopen(descriptor, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield file
