"""Ahead: events of a day to come leave their batch, where a log of the event clock refuses them.

See recorders/ahead.py for why, and docs/adr/0090.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from recorders.ahead import AHEAD
from recorders.canonical import digest
from recorders.sidecar.drafts import Draft, control
from recorders.sidecar.records import Ready
from recorders.sidecar.refused import truly
from recorders.sidecar.report import sidecar_loss
from recorders.sidecar.salvage import keep_aside

if TYPE_CHECKING:
    import pyarrow as pa


class Horizon:
    """Up to when events may have occurred, as the log said when it refused one. Unknown until then.

    `left_out` counts the events that were taken out for it.

    >>> ticks = iter([5.0, 65.0])
    >>> horizon = Horizon(lambda: next(ticks))
    >>> horizon.latest is None
    True
    >>> horizon.learn(datetime(2026, 5, 4, tzinfo=UTC))
    >>> print(horizon.latest)
    2026-05-05 00:01:00+00:00
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.left_out = 0
        self._monotonic = monotonic
        self._told: tuple[datetime, float] | None = None

    def learn(self, clock: datetime) -> None:
        """Take the log's word for what its clock says now."""
        self._told = clock, self._monotonic()

    @property
    def latest(self) -> datetime | None:
        """The instant after which the log takes no event, None while it has refused none."""
        if self._told is None:
            return None
        clock, at = self._told
        return clock + AHEAD + timedelta(seconds=self._monotonic() - at)


class LeftOut(NamedTuple):
    """The events of a batch that are ahead: how many, of which times, their bytes as for the log."""

    events: int
    first: datetime
    last: datetime
    payload: bytes

    def report(self, spool: UUID, writer: UUID, kind: str, decision_point: str, sequence: int) -> Draft:
        """Return the batch that tells the log of them. `sequence` is that of the writer's frame or batch."""
        details: dict[str, Any] = {
            "kind": kind,
            "occurred": [self.first.isoformat(), self.last.isoformat()],
            "file": self.name(writer, sequence),
        }
        event = sidecar_loss(
            spool,
            writer,
            "ahead",
            self.events,
            decision_point=decision_point,
            sequences=[sequence, sequence],
            **details,
        )
        return control(event, decision_point)

    @staticmethod
    def name(writer: UUID, sequence: int) -> str:
        """Return the name of the file in the quarantine that keeps them."""
        return f"ahead-{writer}-{sequence}.arrow"


def cut(batch: "pa.RecordBatch", latest: datetime) -> tuple["pa.RecordBatch", LeftOut]:
    """Return the events up to `latest`, which may be none, and the others, which must be some."""
    import pyarrow.compute as pc

    from recorders.columns import encode_batch, occurred_range

    ahead = pc.greater(batch.column("occurred_at"), latest.astimezone(UTC))
    out = batch.filter(ahead)
    first, last = occurred_range(out)
    return batch.filter(pc.invert(ahead)), LeftOut(out.num_rows, first, last, encode_batch(out))


class Mend:
    """Returns what to put in the place of a batch that waits, nothing where it may stay.

    What it leaves out is in the quarantine first. `left_out` counts the events.
    """

    def __init__(self, latest: datetime, folder: Path, spool: UUID) -> None:
        self.left_out = 0
        self._latest = latest
        self._folder = folder
        self._spool = spool

    def __call__(self, ready: Ready) -> Sequence[Draft]:
        """Return the drafts of a batch that holds events after `latest`."""
        batch = ready.batch
        if batch.occurred_max is None or batch.occurred_max <= self._latest:
            return ()
        from recorders.columns import decode_batch, encode_batch, occurred_range

        true = truly(ready)
        if true is not None and true.occurred_max is not None and true.occurred_max <= self._latest:
            return [true]  # none of its events is ahead: its header was damaged on the disk
        rest, out = cut(decode_batch(batch.payload), self._latest)
        keep_aside(self._folder, out.name(batch.writer, batch.sequence), out.payload)
        self.left_out += out.events
        told = out.report(self._spool, batch.writer, batch.kind, batch.decision_point, batch.sequence)
        if not rest.num_rows:
            return [told]
        payload, (first, last) = encode_batch(rest), occurred_range(rest)
        of = (batch.kind, batch.decision_point, batch.schema_digest, rest.num_rows, first, last)
        return [Draft(*of, payload, digest(payload), ()), told]
