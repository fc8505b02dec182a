"""The engine of a Spark cluster, 4.0 or newer (extra `spark`): a task for each part, DataFrames alone."""

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from harness.engines.engine import Part, Result
from harness.engines.errors import ClusterFailed
from recorders.errors import HarnessError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_SCHEMA = "index long, refused boolean, result binary"


class Spark:
    """Runs each part as a task of `session`. Spark runs it again when its worker or executor dies.

    How often is `spark.task.maxFailures`, which a master of `local[N]` sets to 1: name it `local[N,4]`. The
    DataFrame API alone is used.
    """

    def __init__(self, session: "SparkSession") -> None:
        self.session = session

    def map(self, fn: Callable[[Part], Result], parts: Sequence[Part]) -> Iterator[tuple[int, Result]]:
        """Yield (index, result) of every part, in order, when all are done.

        Memory: all results at once, which are sums. Taken one partition at a time they would be computed one
        at a time.

        Raises:
            ClusterFailed: Spark gave up.
        """
        if not parts:
            return
        task = _Task(pickle.dumps((fn, list(parts))))
        with gave_up():
            rows = one_each(self.session, parts).mapInArrow(task, _SCHEMA).collect()
        for row in rows:
            result = pickle.loads(bytes(row["result"]))  # noqa: S301  our own workers made it
            if row["refused"]:
                raise result
            yield int(row["index"]), result


def one_each(session: "SparkSession", parts: Sequence[Any]) -> "DataFrame":
    """Return the numbers of the parts, each in a partition of its own: a task has one part."""
    return session.range(0, len(parts), 1, max(1, len(parts)))


@contextmanager
def gave_up() -> Iterator[None]:
    """Raise what Spark raises as an error of ours.

    Raises:
        ClusterFailed: it gave a task up, or is not there any more.
    """
    from pyspark.errors import PySparkException

    lost: tuple[type[Exception], ...] = (PySparkException, OSError)
    with suppress(ImportError):  # a client of a Spark Connect server needs no Java, and has no py4j
        from py4j.protocol import Py4JError

        lost = (*lost, Py4JError)
    try:
        yield
    except lost as error:
        raise ClusterFailed("Spark", error) from error


class _Task:
    """What a worker runs. It is imported there, not sent: the package has to be installed on both sides."""

    def __init__(self, work: bytes) -> None:
        self.work = work

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        fn, parts = pickle.loads(self.work)  # noqa: S301  it comes from the one who asks
        for batch in batches:
            for (index,) in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                try:
                    yield _row(index, fn(parts[index]), refused=False)
                except HarnessError as error:  # it would say the same again, and Spark would hide it
                    yield _row(index, error, refused=True)


def _row(index: int, result: Any, *, refused: bool) -> pa.RecordBatch:
    columns = {
        "index": pa.array([index], pa.int64()),
        "refused": pa.array([refused]),
        "result": pa.array([pickle.dumps(result)], pa.binary()),
    }
    return pa.RecordBatch.from_pydict(columns)
