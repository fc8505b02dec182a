"""A log in memory that keeps the rules of `harness.append`, for sidecars without a database."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from msgspec.structs import replace

from recorders.append import Batch
from recorders.canonical import digest
from recorders.columns import decode_batch
from recorders.errors import CorruptBatch, EventAhead, LinkUnavailable, Rewound, WriterForked, WrongLog
from recorders.frame import Receipt

LOG_ID = UUID(int=99)


class FakeLog:
    """Keeps batches by the rules of `harness.append`; may be restored to an earlier end, and lose answers."""

    def __init__(
        self, batches: Sequence[Batch] = (), appended: Callable[[Batch], None] = lambda _: None
    ) -> None:
        self.batches: list[Batch] = list(batches)
        self.epoch = 1
        self.losing = False
        self.appended = appended
        self.refuses: Callable[[Batch], str] = lambda _: ""  # why a batch is unusable
        self.clock: datetime | None = None  # what its server's clock says, for a log of the event clock

    def restore(self, count: int) -> None:
        self.batches = self.batches[:count]
        self.epoch += 1

    def door(self, log_id: str | None) -> "FakeDoor":
        return FakeDoor(self, log_id)

    def held(self) -> list[str]:
        found = []
        for batch in self.batches:
            if batch.kind == "decision":
                found += decode_batch(batch.payload).column("decision_id").to_pylist()
        return found


class FakeDoor:
    def __init__(self, log: FakeLog, log_id: str | None) -> None:
        self._log = log
        self._log_id = log_id

    def append(self, batch: Batch) -> Receipt:
        log = self._log
        if self._log_id != str(LOG_ID):
            raise WrongLog(str(self._log_id), str(LOG_ID))
        if log.refuses(batch):
            raise CorruptBatch(log.refuses(batch))
        mine = [(place, one) for place, one in enumerate(log.batches) if one.writer == batch.writer]
        if batch.sequence > len(mine) + 1:
            raise Rewound(batch.writer, len(mine), batch.acked)
        duplicate = batch.sequence <= len(mine)
        if duplicate:
            place, stored = mine[batch.sequence - 1]
            if replace(stored, acked=0) != replace(batch, acked=0):
                raise WriterForked(batch.writer, batch.sequence, stored=stored.digest, sent=batch.digest)
        elif log.clock and batch.occurred_max and batch.occurred_max > log.clock + timedelta(days=1):
            raise EventAhead(batch.occurred_max.isoformat(), log.clock.isoformat())
        else:
            place = len(log.batches)
            log.batches.append(batch)
            log.appended(batch)
        if log.losing:
            log.losing = False
            raise LinkUnavailable("the reply was lost")
        position = sum(one.events for one in log.batches[:place]) + 1
        return Receipt(log.epoch, position, digest(batch.digest.encode()), 0, duplicate)

    def close(self) -> None:
        return
