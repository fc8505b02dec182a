"""The plan of a recovery: what a restored log gets back, and what it has lost. Making one changes nothing."""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, groupby
from typing import Any
from uuid import UUID

import msgspec

from harness.integrity.errors import HistoryForked
from harness.integrity.memory import Record, event_root
from harness.integrity.receipts import Receipt
from harness.log.chain import genesis
from harness.log.event_leaves import batch_leaf
from harness.log.log import Log
from harness.log.merkle import Tree
from harness.log.stored import StoredBatch
from harness.log.verify import fault
from harness.recovery.errors import HistoriesDiverged, NothingToRecover
from harness.recovery.evidence import Evidence
from harness.recovery.kept import KeptSegments


class LostWriter(msgspec.Struct, frozen=True):
    """What a writer was told that it has in the log, and that the log has lost.

    `events` counts those that its sidecar still keeps, in `kept` of the `batches`: they are shipped again.
    """

    writer: str
    first_sequence: int
    last_sequence: int
    batches: int
    kept: int
    events: int


class LostReference(msgspec.Struct, frozen=True):
    """What the log said at a position that it has lost, and what others refer to."""

    type: str
    subject: str
    position: int
    state: str


class LostCheckpoint(msgspec.Struct, frozen=True):
    """A checkpoint that is kept elsewhere, of `size` batches up to `position`; its own event came after."""

    size: int
    position: int


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What a recovery will do.

    The log ends at `head`. Segments give back what follows, up to position `back`; from there to `last`, the
    last position that anything knows of, events are lost, unless their sidecars ship them again. `batches`
    and `events` count what comes back. `fenced`: a recovery began before, and was interrupted.
    """

    log_id: UUID
    epoch: int
    next_epoch: int
    head: int
    back: int
    last: int
    batches: int
    events: int
    fenced: bool
    writers: list[LostWriter]
    references: list[LostReference]
    checkpoints: list[LostCheckpoint]

    @property
    def lost(self) -> int:
        """How many positions are lost."""
        return max(0, self.last - self.back)


def make_plan(
    log: Log, evidence: Evidence, kept: KeptSegments, progress: Callable[[int], None] | None = None
) -> Plan:
    """Return what a recovery of `log` will do, after comparing it with all that is known of it.

    `progress` is called with the last position that was compared.

    Raises:
        NothingToRecover: nothing knows of more than the log holds.
        HistoriesDiverged: it holds other events than are known.
        HistoryForked: it is altered in itself.
        SegmentError, StoreForeign, StoreError: the segments.
    """
    _epoch, head, end, _time, log_id = log.rows("head")[0]
    walk = _Walk(evidence, [one.size for one in evidence.checkpoints], progress)
    at, link = 1, genesis(log_id, log.rows("identity")[0][2])
    for batch in _of_the_log(log, kept, head):
        reason = fault(batch, at, link)
        if reason:
            raise HistoryForked(
                f"The restored log is altered: {reason}", min(at, batch.header.position), "as appended"
            )
        walk.take(batch)
        at, link = batch.stop, batch.chain
    if (at, link) != (head + 1, end):
        raise HistoryForked("The head names another history", at, "the end of the chain")
    kept.check_store(log_id)
    _check_claims(kept, walk.links, head)
    batches = events = 0
    for batch in kept.after(at, link):
        walk.take(batch)
        at, batches, events = batch.stop, batches + 1, events + batch.header.events
    walk.finish()
    fenced = bool(log.rows("fenced")[0][0])
    if evidence.last <= head and not batches and not fenced and not _replaced(log, kept):
        raise NothingToRecover(head, evidence.last)
    current = log.head().epoch
    return Plan(
        log_id=log_id,
        epoch=current,
        next_epoch=max(current, evidence.epoch) + 1,
        head=head,
        back=at - 1,
        last=max(evidence.last, at - 1),
        batches=batches,
        events=events,
        fenced=fenced,
        writers=_writers([one for one in evidence.receipts if one.position >= at]),
        references=[
            LostReference(one.type, one.subject, one.position, str(one.body.get("state", "")))
            for one in evidence.references
            if one.position >= at
        ],
        # Of one that ends where what there is ends, its own event alone is gone.
        checkpoints=[
            LostCheckpoint(one.size, one.position)
            for one in sorted(set(evidence.checkpoints), key=lambda one: one.size)
            if one.position >= at - 1
        ],
    )


class _Walk:
    """Compares batches, in order from the first, with everything that is known of them."""

    def __init__(
        self, evidence: Evidence, sizes: Sequence[int], progress: Callable[[int], None] | None
    ) -> None:
        self.links: dict[int, bytes] = {}
        self._evidence = evidence
        self._sizes = {*sizes}
        self._progress = progress
        self._receipts = {one.position: one for one in evidence.receipts}
        self._tree = Tree()
        self._roots: dict[int, bytes] = {}
        self._count = 0
        self._last = 0

    def take(self, batch: StoredBatch) -> None:
        """Compare the next batch.

        Raises:
            HistoriesDiverged: it is not the one that is known.
        """
        position, last = batch.header.position, batch.stop - 1
        known = self._evidence.link_at(self._count, last)
        if known is not None and known != batch.chain:
            raise HistoriesDiverged(position, "what this host had verified")
        told = self._receipts.pop(position, None)
        if told is not None and told.chain != batch.chain.hex():
            raise HistoriesDiverged(position, f"what writer {told.writer} was told")
        if self._sizes:
            self._grow(batch)
        self.links[last] = batch.chain
        self._count, self._last = self._count + 1, last
        if self._progress is not None:
            self._progress(last)

    def finish(self) -> None:
        """Compare what can only be compared at the end: receipts that fit no batch, and checkpoints.

        Raises:
            HistoriesDiverged: they are of another history.
        """
        for told in self._receipts.values():
            if told.position <= self._last:
                raise HistoriesDiverged(told.position, f"what writer {told.writer} was told")
        for one in self._evidence.checkpoints:
            if one.position <= self._last and self._roots.get(one.size) != one.root:
                raise HistoriesDiverged(
                    one.position, f"the checkpoint of {one.size} batches (at or before it)"
                )

    def _grow(self, batch: StoredBatch) -> None:
        known: Record | None = None
        if self._count < len(self._evidence.records):
            known = self._evidence.records[self._count]
        root = known.event_root if known is not None else event_root(batch)
        self._tree.append(batch_leaf(batch.chain, batch.header.events, root))
        if len(self._tree) in self._sizes:
            self._roots[len(self._tree)] = self._tree.root()


def _of_the_log(log: Log, kept: KeptSegments, head: int) -> Iterator[StoredBatch]:
    """Yield what the database holds; payloads that it released come from any segment that has them."""
    return chain.from_iterable(log.history(1, head + 1, kept))


def _check_claims(kept: KeptSegments, links: dict[int, bytes], head: int) -> None:
    """Raise HistoriesDiverged if a segment claims positions of the log with another history."""
    for one in kept.segments:
        last = one.manifest.stop - 1
        if last <= head and links.get(last, b"").hex() != one.manifest.chain:
            raise HistoriesDiverged(kept.first_other(one, links), f"the segment {one.manifest.ledger.path}")


def _replaced(log: Log, kept: KeptSegments) -> bool:
    """Return whether a file that the log names is gone, and a later segment of the same range is there."""
    there = {one.file.digest for one in kept.segments}
    return any(
        one.manifest.first <= listed.first and listed.stop <= one.manifest.stop
        for listed in log.sealed.segments()
        if listed.manifest.digest not in there
        for one in kept.segments
    )


def _writers(receipts: Sequence[Receipt]) -> list[LostWriter]:
    found = []
    for writer, group in groupby(
        sorted(receipts, key=lambda one: (one.writer, one.sequence)), lambda one: one.writer
    ):
        told: list[Any] = list(group)
        kept = [one for one in told if one.events is not None]
        found.append(
            LostWriter(
                writer,
                told[0].sequence,
                told[-1].sequence,
                len(told),
                len(kept),
                sum(one.events for one in kept),
            )
        )
    return found
