"""One pass over decisions for several readers: read and decoded once, each in a thread of its own."""

import queue
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TypeVar

import pyarrow as pa

# So many batches a reader may be behind the fastest.
_AHEAD = 4
_LOOK_S = 0.1

Result = TypeVar("Result")
Progress = Callable[[int], None]
Read = Callable[[int, int, Sequence[str]], Iterator[pa.RecordBatch]]


class PassEnded(Exception):  # noqa: N818  it ends a reader; whoever reads for all says why
    """The decisions end before their end: reading them failed, or somebody stopped it."""


class _Feed:
    """What one reader has yet to see."""

    def __init__(self) -> None:
        self.waiting: queue.Queue[pa.RecordBatch | PassEnded | None] = queue.Queue(_AHEAD)
        self._held: pa.RecordBatch | None = None
        self._ended = False

    def read(self, start: int, stop: int, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the decisions of [start, stop); ranges are asked for in order, each once."""
        while (batch := self._next()) is not None:
            at = batch.column("position").to_numpy()
            low, high = (int(place) for place in at.searchsorted([start, stop]))
            self._held = batch.slice(high) if high < at.size else None
            if high > low:
                yield batch.slice(low, high - low).select(_named(batch, columns))
            if self._held is not None:
                return

    def _next(self) -> pa.RecordBatch | None:
        if self._held is not None or self._ended:
            return self._held
        found = self.waiting.get()
        if isinstance(found, PassEnded):
            raise found
        self._ended = found is None
        return found


def _named(batch: pa.RecordBatch, columns: Sequence[str]) -> list[str]:
    return ["position", *(name for name in columns if name in batch.schema.names)]


def share(
    batches: Iterable[pa.RecordBatch], readers: Sequence[Callable[[Read], Result]]
) -> list[Future[Result]]:
    """Return what each reader returned or raised, when all are done; one that fails ends no other.

    The slowest sets the pace: nobody is more than a few batches ahead of it.
    """
    feeds = [_Feed() for _ in readers]
    with ThreadPoolExecutor(len(readers), "harness-challenger") as pool:
        done = [pool.submit(reader, feed.read) for reader, feed in zip(readers, feeds, strict=True)]
        last: PassEnded | None = PassEnded()
        try:
            for batch in batches:
                for feed, future in zip(feeds, done, strict=True):
                    _put(feed, future, batch)
                if all(future.done() for future in done):
                    break
            last = None
        finally:
            for feed, future in zip(feeds, done, strict=True):
                _put(feed, future, last)
    return done


def _put(feed: _Feed, future: Future[Result], batch: pa.RecordBatch | PassEnded | None) -> None:
    while not future.done():
        try:
            feed.waiting.put(batch, timeout=_LOOK_S)
        except queue.Full:
            continue
        return


def tell_begin(progress: Progress, done: int, total: int) -> None:
    """Tell whoever watches where a run of `total` positions begins: `done` of them were done before.

    A `progress` with a method `begin(done, total)` is told by that, and can tell a rate; another as ever.
    """
    begin: Callable[[int, int], None] | None = getattr(progress, "begin", None)
    if begin is None:
        progress(done)
    else:
        begin(done, total)


class Slowest:
    """Tells the progress of the slowest of several, once each has said from its thread where it begins."""

    def __init__(self, progress: Progress, count: int, total: int) -> None:
        self._progress, self._lock, self._total = progress, Lock(), total
        self._done: dict[int, int] = {}
        self._count, self._begun = count, False

    def told(self, place: int, done: int) -> None:
        """Take the progress of one of them."""
        with self._lock:
            self._done[place] = max(done, self._done.get(place, 0))
            if len(self._done) < self._count:
                return
            slowest = min(self._done.values())
            if self._begun:
                self._progress(slowest)
            else:
                self._begun = True
                tell_begin(self._progress, slowest, self._total)
