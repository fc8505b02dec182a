"""Sealing: closed ranges of the log as files of the store, read back and compared before they are registered.

Nothing is taken from the log. Wherever it is stopped, the files of a range are all registered, or are orphans
that the next seal sweeps: the one registration is the only step that counts. It has a number, and who
registers after somebody else did is refused: a sealer that slept cannot build on what it did not see.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import msgspec

from harness.lease import Lease
from harness.log.chain import genesis, link
from harness.log.controls import control_batch
from harness.log.draft import Draft
from harness.log.log import Log
from harness.log.places import check_range
from harness.log.publish import draft_folder, publish
from harness.log.segments import SEALED, SWEPT, Manifest, Segment
from harness.log.store import Found, translated
from harness.log.stored import StoredBatch
from harness.segment_errors import ChainBroken, SealBusy, StoreError, StoreFull
from recorders.append import Batch
from recorders.errors import WriterForked

EVENTS: Final = 2**20
Progress = Callable[[int], None]


def seal(
    log: Log,
    *,
    stop: int | None = None,
    events: int = EVENTS,
    data_only: bool = False,
    progress: Progress | None = None,
) -> list[Segment]:
    """Return the segments that were made of what was not sealed yet, up to `stop` (default: the end).

    Each holds `events` events at most, or one batch that has more. What the sealer itself said last waits for
    something to be sealed with it; with `data_only` all control events do. `progress` is called with the
    number of positions done.

    Raises:
        RangeUnusable, UnknownPosition: `stop` is before the log begins, or beyond its end.
        SealBusy: another sealer is at work.
        StoreError, SealFailed, ChainBroken, DigestMismatch: nothing was registered of the range at hand.
    """
    end = log.head().position + 1
    if stop is not None:
        check_range(1, stop, end - 1)
    if stop is not None and stop < end:
        end = log.rows("batch_at", position=stop)[0][0]  # a batch is sealed whole
    made = []
    with sealing(log):
        begun = first = log.sealed.stop()
        spared = "control" if data_only else ""
        while log.rows("others", start=first, stop=end, writer=log.sealed.writer, kind=spared):
            segment = make(log, first, _batches(log, first, end, events))
            made.append(segment)
            first = segment.stop
            if progress is not None:
                progress(first - begun)
        sweep(log)
    return made


@contextmanager
def sealing(log: Log) -> Iterator[None]:
    """Be the only one who seals, compacts, releases or sweeps this log while the block runs.

    Where the store is full, what the block began is swept: each further try, of a log that has grown, would
    leave files of other names, and take the room that somebody freed for it.

    Raises:
        SealBusy: somebody else is.
    """
    with Lease(log.url, "seal", str(log.sealed.log_id)) as lease:
        if not lease.held:
            raise SealBusy
        try:
            yield
        except StoreFull:
            with suppress(StoreError, SealBusy):  # the one that is raised is what is to be mended
                sweep(log)
            raise


def make(
    log: Log, first: int, batches: Iterable[list[StoredBatch]], *, replaces: tuple[int, ...] = ()
) -> Segment:
    """Return the segment of `batches`, which begin at `first`: in the store, compared and registered."""
    before = chain_before(log, first)
    with draft_folder() as folder:
        with translated(str(folder), "the segment in the making"):
            draft = Draft(folder)
            at, chain = first, before
            for rows in batches:
                at, chain = followed(rows, at, chain)
                draft.add(rows)
            finished = draft.finish()
        span = (first, at, before, chain)
        manifest, file = publish(log.sealed, finished, span, draft.unreadable)
    return register(log, manifest, Segment.of(manifest, file, log.sealed.store.shown, replaces))


def chain_before(log: Log, position: int) -> bytes:
    """Return the chain's digest before the batch at `position`."""
    if position == 1:
        log_id, _epoch, clock, _covered, _created = log.rows("identity")[0]
        return genesis(log_id, clock)
    found: bytes = log.rows("batch_at", position=position - 1)[0][2]
    return found


def followed(batches: Iterable[StoredBatch], at: int, chain: bytes) -> tuple[int, bytes]:
    """Return the position and the chain's digest after `batches`, which must follow what was before.

    Raises:
        ChainBroken: they do not.
    """
    for batch in batches:
        position = batch.header.position
        if position != at:
            raise ChainBroken(at, f"the batch is missing: the next one begins at {position}")
        chain = link(chain, batch.header, batch.digest)
        if chain != batch.chain:
            raise ChainBroken(position, "its header or a digest is not what the chain names")
        at = batch.stop
    return at, chain


def sweep(log: Log) -> int:
    """Return how many files that no registration names were removed from the store; the log is told first.

    That event takes the sealer's next number: whoever wrote files under an earlier one, and sleeps, can no
    longer register them. Call it while `sealing`.

    Raises:
        SealBusy: somebody else registered meanwhile. StoreError: the store.
    """
    sealed = log.sealed
    orphans = _orphans(log)
    if orphans:
        body = {"files": len(orphans), "bytes": sum(found.size for found in orphans)}
        _say(log, control_batch(SWEPT, str(sealed.stop() - 1), body, None, None))
    for found in orphans:
        sealed.store.delete(found.path)
    return len(orphans)


def swept_after(log: Log, position: int) -> int:
    """Return how many files were swept beyond a position of the log, as the log says."""
    return sum(event.body["files"] for event in log.controls(SWEPT) if event.position > position)


def _orphans(log: Log) -> list[Found]:
    named = {path for segment in log.sealed.segments() for path in segment.paths()}
    files = log.sealed.store.files(str(log.sealed.log_id))
    return [found for found in files if found.path not in named]


def _batches(log: Log, first: int, stop: int, events: int) -> Iterator[list[StoredBatch]]:
    """Yield the batches from `first` on that make one segment."""
    room = events
    for rows in log.history(first, stop):
        taken: list[StoredBatch] = []
        for row in rows:
            if row.header.events > room and (taken or room < events):
                room = 0
                break
            taken.append(row)
            room -= row.header.events
        if taken:
            yield taken
        if room <= 0:
            return


def register(log: Log, manifest: Manifest, segment: Segment) -> Segment:
    """Append the registration of a segment under the next number, and return it as the log has it.

    Raises:
        SealBusy: another sealer registered something since the listing was read.
    """
    number = _say(
        log, control_batch(SEALED, f"{manifest.first}-{manifest.stop - 1}", segment.body(), None, None)
    )
    if log.sealed.covers:
        log.rows("cover", position=log.sealed.stop() - 1)
    return next(one for one in log.sealed.segments() if one.number == number)


def _say(log: Log, batch: Batch) -> int:
    """Return the number under which the sealer says something: the next one, or nothing is said.

    Raises:
        SealBusy: another one has it.
    """
    number = log.sealed.number + 1
    try:
        log.append(
            msgspec.structs.replace(batch, writer=log.sealed.writer, sequence=number, acked=number - 1)
        )
    except WriterForked as error:
        raise SealBusy from error
    return number
