"""Rounds: when what the inbox holds becomes batches in the outbox, and how much of it at once."""

from typing import TYPE_CHECKING, Final
from uuid import UUID

from recorders.sidecar.ahead import Horizon
from recorders.sidecar.drafts import Draft, control
from recorders.sidecar.outbox import Outbox
from recorders.sidecar.place import Place
from recorders.sidecar.report import sidecar_loss, words
from recorders.sidecar.salvage import keep_aside
from recorders.sidecar.spool import Spool
from recorders.sidecar.wire import KINDS

if TYPE_CHECKING:
    from recorders.sidecar.compose import Unusable

# One round of composing: some batches of the target size, bounded in memory.
ROUND_BATCHES: Final = 8
ROUND_BYTES: Final = 32 * 2**20


class Rounds:
    """Composes a round when enough waits, or it waited `linger_s`. For one thread.

    Events behind the horizon are left out. `unusable` counts the frames that no batch could be made of.
    """

    def __init__(
        self, spool: Spool, outbox: Outbox, horizon: Horizon, *, target_events: int, linger_s: float
    ) -> None:
        self.unusable = 0
        self._spool = spool
        self._outbox = outbox
        self._horizon = horizon
        self._target = target_events
        self._linger_s = linger_s
        self._noticed_at: float | None = None
        self._seen_events = 0
        self._more = True

    def step(self, now: float, *, draining: bool) -> float:
        """Compose a round if it is due. Return the seconds until the next look; 0 when there may be more now.

        Raises:
            sqlite3.Error, OSError: the disk refuses; nothing changed.
        """
        if self._spool.end <= self._outbox.composed:
            self._noticed_at = None
            return self._linger_s
        if self._noticed_at is None:
            self._noticed_at = now
        waiting = self._spool.counts.events - self._seen_events
        due = draining or self._more or waiting >= ROUND_BATCHES * self._target
        if not due and now < self._noticed_at + self._linger_s:
            return self._noticed_at + self._linger_s - now
        self.compose()
        self._noticed_at = None
        return 0.0

    def compose(self) -> None:
        """Compose a round of what waits, however little.

        Raises:
            sqlite3.Error, OSError: the disk refuses; nothing changed.
        """
        from recorders.sidecar.compose import compose  # with pyarrow: a start takes frames before it ships

        self._seen_events = self._spool.counts.events
        limit = ROUND_BATCHES * self._target
        frames = self._spool.read(self._outbox.composed, events=limit, payload_bytes=ROUND_BYTES)
        if not frames:
            return
        border = self._outbox.state.inherited_before
        inherited = frames[0].segment < border
        if inherited:
            frames = [stored for stored in frames if stored.segment < border]
        drafts, unusable = compose(
            frames, self._spool.feature_set, target_events=self._target, latest=self._horizon.latest
        )
        drafts += [self._put_aside(one) for one in unusable]
        self._outbox.compose(drafts, Place(frames[-1].segment, frames[-1].id), inherited=inherited)
        self.unusable += sum(one.ahead is None for one in unusable)
        self._horizon.left_out += sum(one.ahead.events for one in unusable if one.ahead is not None)
        self._more = self._spool.end > self._outbox.composed and sum(s.frame.events for s in frames) >= limit
        self._spool.release(self._outbox.composed)

    def _put_aside(self, found: "Unusable") -> Draft:
        """Keep what cannot be used as a file, and return the event that says so."""
        frame, ahead, owner = found.stored.frame, found.ahead, self._spool.owner
        writer = UUID(bytes=frame.writer)
        if ahead is not None:
            keep_aside(self._spool.folder, ahead.name(writer, frame.sequence), ahead.payload)
            return ahead.report(owner, writer, KINDS[frame.kind], frame.decision_point, frame.sequence)
        keep_aside(self._spool.folder, f"unusable-{writer}-{frame.sequence}.msgpack", frame.payload)
        event = sidecar_loss(
            owner,
            writer,
            "unusable",
            frame.events,
            decision_point=frame.decision_point,
            sequences=[frame.sequence, frame.sequence],
            why=words(found.reason),
        )
        return control(event, frame.decision_point)
