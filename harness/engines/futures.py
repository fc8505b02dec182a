"""Any `concurrent.futures.Executor` as an engine: Dask's `client.get_executor()`, a pool of your own."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, as_completed

from harness.engines.engine import Part, Result


class Futures:
    """Hands all parts to an executor; whether a dead worker's part is run again is the executor's say."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor

    def map(self, fn: Callable[[Part], Result], parts: Sequence[Part]) -> Iterator[tuple[int, Result]]:
        """Yield (index, result) of every part, as they are done."""
        indices = {self.executor.submit(fn, part): index for index, part in enumerate(parts)}
        try:
            for future in as_completed(indices):
                yield indices[future], future.result()
        finally:
            for future in indices:
                future.cancel()
