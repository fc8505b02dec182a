"""The scores of a run appended group by group: group k of its canonical blocks is batch k of its writer."""

import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Protocol

import pyarrow as pa

from harness.log.log import Log
from harness.replay_batches import GROUP_BLOCKS, Group, batch_of, group_of
from harness.replay_errors import ScoredOtherwise
from harness.replays import NAMESPACE, ReplayRun
from harness.shared_pass import Progress
from harness.stored_scores import Counted, Summary
from recorders.columns import decode_batch
from recorders.errors import WriterForked
from replay.score import JOINED

# So many groups may wait to be appended: what one call of a model answers at most.
_WAITING = JOINED // GROUP_BLOCKS


class Appending:
    """Appends groups of a run's scores: the next one is batch `sequence + 1` of its writer.

    `seen` counts and digests them; None for a run that goes on, of which others appended what came before.
    """

    def __init__(self, log: Log, run: ReplayRun, progress: Progress) -> None:
        self._log, self._run, self._progress = log, run, progress
        self._writer = uuid.uuid5(NAMESPACE, run.id)
        self.sequence = log.writer_high_water(self._writer)
        self.seen = None if self.sequence else Summary()

    def scores(self, scores: pa.RecordBatch) -> None:
        """Append one group.

        Raises:
            ScoredOtherwise: another process stored other scores there.
        """
        self._append(group_of(scores, self._run.id))
        if self.seen is not None:
            self.seen.add(scores)

    def part(self, groups: Iterable[Group], counted: Counted) -> None:
        """Append the groups of a part, whose first rows a worker has counted: only the others are read."""
        known = 0 if self.seen is None else self.seen.take(counted)
        for group in groups:
            self._append(group)
            if self.seen is not None and known <= 0:
                self.seen.add(decode_batch(group.payload))
            known -= group.rows

    def _append(self, group: Group) -> None:
        self.sequence += 1
        point, sequence = self._run.decision_point, self.sequence
        batch = batch_of(group, decision_point=point, writer=self._writer, sequence=sequence)
        try:
            self._log.append(batch)
        except WriterForked as forked:
            raise ScoredOtherwise(self._run.model, sequence) from forked
        self._progress(group.last + 1 - self._run.start)


class Takes(Protocol):
    """What takes groups of scores, one after the other."""

    def scores(self, scores: pa.RecordBatch) -> None:
        """Append one group."""


class Behind:
    """Appends groups on a thread of its own, some behind whoever scores; none after one that failed.

    The door of the log is for one thread: until the end only this appends to it.
    """

    def __init__(self, append: Takes, pool: ThreadPoolExecutor) -> None:
        self._append, self._pool = append, pool
        self._waiting: deque[Future[None]] = deque()
        self._failed = False

    def scores(self, scores: pa.RecordBatch) -> None:
        """Have one group appended; where too many wait, wait for the first of them.

        Raises what `append` raised of an earlier one.
        """
        self._waiting.append(self._pool.submit(self._one, scores))
        while len(self._waiting) > _WAITING:
            self._waiting.popleft().result()

    def finish(self) -> None:
        """Return when all is appended. Raises what `append` raised."""
        while self._waiting:
            self._waiting.popleft().result()

    def _one(self, scores: pa.RecordBatch) -> None:
        if self._failed:
            return
        try:
            self._append.scores(scores)
        except BaseException:
            self._failed = True
            raise


@contextmanager
def behind(append: Takes) -> Iterator[Behind]:
    """Append in the background while the block scores; however it ends, what it scored is appended."""
    with ThreadPoolExecutor(1, "harness-append") as pool:
        found = Behind(append, pool)
        yield found
        found.finish()
