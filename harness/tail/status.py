"""Where each tail stands: how far, how far behind, what failed or was left out, whether it is followed."""

import datetime as dt
from collections.abc import Iterable

import msgspec

from harness.lease import is_held
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.model_ends import told_end
from harness.tail.follower import first_waiting, parts_left, place_of
from harness.tail.tails import ASKED, BROKEN, RESUMED, STOPPED, Tail, list_tails
from harness.tail.worker import LEASE


class TailStatus(msgspec.Struct, frozen=True):
    """One tail at the end of the log.

    `behind` counts positions from the first decision that waits for it up to `head`, `behind_s` is how long
    that one has waited by the log's clock, which goes on where nothing is appended (a log of the event clock
    has no other time than its events'); both are 0 where none waits, whatever else was appended. What a
    replay has scored does not wait, nor what came after the end of its experiment.
    `followed`: some worker has its lease now. `worker`: who took it last, as host:process; None where that
    was not said. `last` is the type of the newest control event of its own, `reason` what that says of an
    end; None where its worker has yet to say one.
    """

    id: str
    model: str
    decision_point: str
    start: int
    head: int
    through: int
    behind: int
    behind_s: float
    rows: int
    failed: int
    shed: int
    followed: bool
    worker: str | None
    last: str
    reason: str | None


def status(log: Log) -> list[TailStatus]:
    """Return the status of all tails, oldest first."""
    return [_status(log, tail) for tail in list_tails(log)]


def tails_of(log: Log, wanted: Iterable[tuple[str, str, int]]) -> list[Tail]:
    """Return the tails that began for (model reference, decision point, start), in their order in the log."""
    keys = set(wanted)
    return [tail for tail in list_tails(log) if (tail.model, tail.decision_point, tail.start) in keys]


def _status(log: Log, tail: Tail) -> TailStatus:
    place, head = place_of(log, tail), log.head()
    events = [event for event in log.controls("tail.*", tail.id) if event.type != ASKED]
    newest, taken = events[-1], [event.body.get("worker") for event in events if event.type == RESUMED]
    over = newest.body.get("stop") if newest.type == STOPPED else None
    last = head.position if over is None else min(head.position, over - 1)
    first = first_waiting(log, tail, tail.parts, place, last)
    if first is not None:  # only then is it worth to ask what replays have scored
        first = first_waiting(log, tail, parts_left(log, tail), place, last)
    behind = 0 if first is None else head.position + 1 - first
    return TailStatus(
        id=tail.id,
        model=tail.model,
        decision_point=tail.decision_point,
        start=tail.start,
        head=head.position,
        through=place.through,
        behind=behind,
        behind_s=0.0 if first is None else _age_s(log, first),
        rows=place.rows,
        failed=place.failed,
        shed=place.shed,
        followed=is_held(log.url, LEASE, tail.id),
        worker=taken[-1] if taken else None,
        last=newest.type,
        reason=_reason(newest),
    )


def _reason(newest: ControlEvent) -> str | None:
    if newest.type == BROKEN:
        return told_end(newest.body)
    return newest.body["reason"] if newest.type == STOPPED else None


def _age_s(log: Log, position: int) -> float:
    """Return how long ago an event was appended, by the log's clock."""
    return max(0.0, (log.now() - log.as_of(position).time) / dt.timedelta(seconds=1))
