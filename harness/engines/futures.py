"""Any `concurrent.futures.Executor` as an engine: Dask's `client.get_executor()`, a pool of your own."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future
from queue import SimpleQueue

from harness.engines.engine import Part, Result
from harness.engines.errors import ClusterFailed


class Futures:
    """Hands all parts to an executor.

    Whether a dead worker's part is run again, and how long one waits when no worker is left, is the
    executor's say.
    """

    def __init__(self, executor: Executor) -> None:
        self.executor = executor

    def map(self, fn: Callable[[Part], Result], parts: Sequence[Part]) -> Iterator[tuple[int, Result]]:
        """Yield (index, result) of every part, as they are done.

        Raises:
            ClusterFailed: the executor gave a part up, is broken or was shut down.
        """
        indices: dict[Future[Result], int] = {}
        done: SimpleQueue[Future[Result]] = SimpleQueue()
        try:
            for index, part in enumerate(parts):
                indices[self._submitted(fn, part)] = index
            for future in indices:  # `as_completed` is not told of what a pool cancels
                future.add_done_callback(done.put)
            for _part in parts:
                future = done.get()
                yield indices[future], self._result(future)
        finally:
            for future in indices:
                future.cancel()

    def _submitted(self, fn: Callable[[Part], Result], part: Part) -> Future[Result]:
        try:
            return self.executor.submit(fn, part)
        except RuntimeError as broken:  # a `BrokenExecutor`, or a plain one of an executor that was shut down
            raise self._gave_up(broken) from broken

    def _result(self, future: Future[Result]) -> Result:
        """Return what the function returned, or raise what it raised; what the executor raises is ours."""
        try:
            error = future.exception()
        except CancelledError as cancelled:
            error = cancelled
        if error is not None and _package(type(error)) in map(_package, type(self.executor).__mro__[:-1]):
            raise self._gave_up(error) from error
        return future.result()

    def _gave_up(self, error: BaseException) -> ClusterFailed:
        return ClusterFailed(type(self.executor).__name__, error)


def _package(of: type) -> str:
    """Return the package of a class: Dask's own errors lie where its executor does."""
    return of.__module__.partition(".")[0]
