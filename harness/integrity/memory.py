"""Memory: what one host has verified of a log, a record a batch, kept where the log's database cannot write.

A record is the position after the batch (8 bytes, big-endian), the chain's digest after it and the root over
its events (32 each): what a batch's leaf in the tree is made of.
"""

import fcntl
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from harness.integrity.checkpoint import origin_of
from harness.integrity.epochs import Epochs
from harness.integrity.errors import HistoryForked, MemoryDamaged
from harness.integrity.note import PublicKey, parse_key
from harness.integrity.remembered import REFERENCES, Remembered, remember, remembered, worth
from harness.log.chain import genesis
from harness.log.event_leaves import batch_leaf, control_leaf, event_leaves
from harness.log.log import Log
from harness.log.merkle import EMPTY_ROOT, Tree, root_of
from harness.log.payload import decoded
from harness.log.stored import StoredBatch
from harness.log.verify import fault
from harness.written import unusable
from recorders.errors import CorruptBatch

# As harness.batch allows.
EVENTS_MAX: Final = 1_000_000
PINNED: Final = "log.vkey"
_RECORD: Final = struct.Struct(">Q32s32s")
_REMEMBERED: Final = "the history that this host has verified before"


class Record(NamedTuple):
    """A verified batch: where it ends (exclusive), the chain after it, the root over its events."""

    stop: int
    chain: bytes
    event_root: bytes


class Memory:
    """The records of a log and epoch in a folder. Two processes may use it at once: each adds what is new."""

    def __init__(self, folder: Path, origin: str, epoch: int = 1) -> None:
        self.folder = folder
        self.origin = origin
        self.epoch = epoch
        self._path = folder / "batches"
        self._records: list[Record] = []
        self._tree = Tree()
        self._load()

    def __len__(self) -> int:
        return len(self._records)

    @property
    def known(self) -> bool:
        """Whether this host has a memory of that epoch, be it of nothing."""
        return self._path.exists()

    @property
    def stop(self) -> int:
        """The position after the last remembered batch."""
        return self._records[-1].stop if self._records else 1

    @property
    def tree(self) -> Tree:
        """The tree over all remembered batches."""
        return self._tree

    @property
    def records(self) -> Sequence[Record]:
        """All that is remembered, in order."""
        return self._records

    def keys(self) -> list[PublicKey]:
        """Return the log's public keys that this host has pinned, under the name of this epoch."""
        for epoch in range(self.epoch, 0, -1):  # a later epoch has another name and the same key
            path = self.folder.with_name(f"e{epoch}") / PINNED
            if path.exists():
                keys = map(parse_key, path.read_text("utf-8", errors="replace").splitlines())
                return [key._replace(name=self.origin) for key in keys]
        return []

    def references(self) -> list[Remembered]:
        """Return what the log said that others refer to, as this host remembers it."""
        return remembered(self.folder)

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
        held = self.held(log)
        if held < len(self):
            raise HistoryForked("The log was altered", self.start_of(held), _REMEMBERED)

    def advance(self, log: Log, progress: Callable[[int], None] | None = None) -> int:
        """Verify and remember every batch that came since, and return how many. The rest is trusted memory.

        Raises:
            HistoryForked: the log does not continue what is remembered, or a new batch is altered.
        """
        self.check(log)
        if self._records and not (self.folder / "references").exists():  # an older release kept none
            said = (one for kind in REFERENCES for one in log.controls(kind, up_to=self.stop - 1))
            remember(self.folder, [Remembered(one.position, one.type, one.subject, one.body) for one in said])
        _epoch, head, end, _time, log_id = log.rows("head")[0]
        previous = self._records[-1].chain if self._records else genesis(log_id, log.rows("identity")[0][2])
        added, references = list[Record](), list[Remembered]()
        expected = self.stop
        for batch in chain.from_iterable(log.history(expected, head + 1)):
            reason = fault(batch, expected, previous)
            if reason:
                where = min(expected, batch.header.position)
                raise HistoryForked(f"The log is altered: {reason}", where, "as appended")
            added.append(Record(batch.stop, batch.chain, event_root(batch)))
            if batch.header.kind == "control" and (told := worth(expected, batch.payload)) is not None:
                references.append(told)
            expected, previous = batch.stop, batch.chain
            if progress is not None:
                progress(expected - self.stop)
        if expected != head + 1 or previous != end:
            raise HistoryForked("The head names another history", expected, "the end of the chain")
        remember(self.folder, references)
        self._remember(added)
        return len(added)

    def held(self, log: Log) -> int:
        """Return how many of the remembered batches, from the first one on, the log still has."""
        if not self._records or self._holds(log, len(self) - 1):
            return len(self)
        low, high = 0, len(self) - 1  # the chain commits to all before it: what holds once held always
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self._holds(log, middle) else (low, middle)
        return low

    def carry(self, older: "Memory", last: int) -> None:
        """Take over what the memory of an earlier epoch has up to position `last`."""
        remember(self.folder, [one for one in older.references() if one.position <= last])
        self._remember([record for record in older.records if record.stop - 1 <= last])

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
    """Return what this host remembers of `log`, in `folder`; nothing on the first time.

    A new epoch begins with what it shares with the one before.

    Raises:
        HistoryForked: the epoch was raised, and the key that this host believes did not sign for it.
    """
    epochs = Epochs.of(log)
    found = memory_of(log, folder, epochs.current)
    if not found.known:
        for older in earlier(log, folder, epochs):
            if keys := older.keys():
                epochs.check(older.epoch, keys)
            found.carry(older, epochs.last_of(older.epoch) or 0)
            break
    return found


def earlier(log: Log, folder: Path, epochs: Epochs) -> Iterator[Memory]:
    """Yield what this host remembers of the log's earlier epochs, the latest first."""
    for epoch in range(epochs.current - 1, 0, -1):
        older = memory_of(log, folder, epoch)
        if older.known:
            yield older


def memory_of(log: Log, folder: Path, epoch: int) -> Memory:
    """Return what this host remembers of one epoch of the log."""
    log_id = log.head().log_id
    return Memory(folder / str(log_id) / f"e{epoch}", origin_of(log_id, epoch), epoch)


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
        with os.fdopen(descriptor, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield file
    except OSError as error:
        raise unusable(path, error) from error
