"""Compaction: neighbouring small segments become one, of the same batches, registered in their place."""

from collections.abc import Callable, Iterator, Sequence

from harness.log.log import Log
from harness.log.seal import EVENTS, make, sealing, sweep
from harness.log.segments import Segment


def compact(
    log: Log, *, events: int = EVENTS, least: int = 2, progress: Callable[[int], None] = lambda _: None
) -> list[Segment]:
    """Return the segments that were made out of `least` neighbours or more with `events` events together.

    What is read stays the same at every moment: the listing has the old ones until it has the new one. The
    files of the old are swept after it. `progress` is called with how many positions are compacted.

    Raises:
        SealBusy: another process is sealing. SegmentError, StoreError: the files.
    """
    made, done = [], 0
    with sealing(log):
        for run in list(runs(log.sealed.segments(), events)):
            if len(run) >= least:
                first, stop = run[0].first, run[-1].stop
                numbers = tuple(one.number for one in run)
                made.append(make(log, first, log.history(first, stop), replaces=numbers))
                done += stop - first
                progress(done)
        sweep(log)
    return made


def positions(log: Log, *, events: int = EVENTS, least: int = 2) -> int:
    """Return how many positions `compact` would make new segments of."""
    found = [run for run in runs(log.sealed.segments(), events) if len(run) >= least]
    return sum(run[-1].stop - run[0].first for run in found)


def runs(segments: Sequence[Segment], events: int) -> Iterator[list[Segment]]:
    """Yield the segments in runs of neighbours that have at most `events` events together.

    >>> from types import SimpleNamespace as Of
    >>> [[one.events for one in run] for run in runs([Of(events=n) for n in (3, 4, 9, 2, 2)], 8)]
    [[3, 4], [9], [2, 2]]
    """
    run: list[Segment] = []
    for segment in segments:
        if run and sum(one.events for one in run) + segment.events > events:
            yield run
            run = []
        run.append(segment)
    if run:
        yield run
