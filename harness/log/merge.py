"""Streams of batches: several in order of position as one, and one whose next batch is fetched ahead."""

import heapq
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pyarrow as pa

Item = TypeVar("Item")


def merged(streams: Sequence[Iterator[pa.RecordBatch]]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of all streams in order of `position`, cut where another stream comes between.

    Memory: one batch of each stream. No position is in two streams.

    >>> a, b = pa.record_batch({"position": [1, 2, 9]}), pa.record_batch({"position": [5]})
    >>> [part.column("position").to_pylist() for part in merged([iter([a]), iter([b])])]
    [[1, 2], [5], [9]]
    """
    heads: list[tuple[int, int, pa.RecordBatch]] = []
    for number, stream in enumerate(streams):
        _push(heads, number, next(stream, None))
    while heads:
        _first, number, batch = heapq.heappop(heads)
        if not heads:
            yield batch
            yield from streams[number]
            return
        limit = heads[0][0]
        if batch.column("position")[-1].as_py() < limit:
            yield batch
            _push(heads, number, next(streams[number], None))
        else:
            rows = int(batch.column("position").to_numpy().searchsorted(limit))
            yield batch.slice(0, rows)
            _push(heads, number, batch.slice(rows))


def _push(heads: list[tuple[int, int, pa.RecordBatch]], number: int, batch: pa.RecordBatch | None) -> None:
    if batch is not None:
        heapq.heappush(heads, (batch.column("position")[0].as_py(), number, batch))


def ahead(stream: Iterator[Item]) -> Iterator[Item]:
    """Yield the same things; while one is used the next is made, on a thread that ends with the stream.

    >>> list(ahead(iter("ab")))
    ['a', 'b']
    """
    batch = next(stream, None)  # nobody uses anything yet
    if batch is None:
        return
    with ThreadPoolExecutor(1, "harness-read") as pool:
        while batch is not None:
            coming = pool.submit(next, stream, None)
            yield batch
            batch = coming.result()
