"""Tails as the log knows them: which model follows which decision point, from where, without what."""

import uuid
from collections.abc import Iterable

import msgspec

from harness.log.events import ControlEvent
from harness.log.log import Log
from recorders.canonical import canonical_json, digest
from replay.ranges import gaps
from replay.score import BLOCK_ROWS

STARTED, RESUMED, REACHED = "tail.started", "tail.resumed", "tail.reached"
SHED, ASKED, STOPPED, BROKEN = "tail.shed", "tail.asked", "tail.stopped", "tail.broken"
# Beyond every position: where a range ends that has no end yet.
NO_END = 2**62
_NAMESPACE = uuid.UUID("5b8c7c1e-9a64-5d0f-8a0e-0d6f6a1f7c55")

Parts = tuple[tuple[int, int], ...]


class Tail(msgspec.Struct, frozen=True):
    """One model that follows one decision point from a position on.

    `parts` are half-open ranges of positions whose decisions this tail scores: what replays had scored before
    it began is left out, and so is what it shed. The last part has no end.
    """

    id: str
    model: str
    model_digest: str
    decision_point: str
    start: int
    parts: Parts
    started_at: int

    @property
    def writer(self) -> uuid.UUID:
        """The writer of its score batches: whoever works on this tail continues the same sequence."""
        return uuid.uuid5(_NAMESPACE, self.id)


def without(parts: Iterable[tuple[int, int]], done: Iterable[tuple[int, int]]) -> Parts:
    """Return what of these ranges none of `done` covers, in their order.

    >>> without([(1, 10), (20, 30)], [(5, 25)])
    ((1, 5), (25, 30))
    """
    covered = list(done)
    return tuple(left for first, after in parts for left in gaps(first, after, covered))


def tail_id(model_digest: str, adapter: str, decision_point: str, start: int) -> str:
    """Return what names a tail: all that decides its scores."""
    identity = {
        "decision_point": decision_point,
        "model": model_digest,
        "adapter": adapter,
        "start": start,
        "follow": True,
        "block_rows": BLOCK_ROWS,
    }
    return digest(canonical_json(identity))


def list_tails(log: Log) -> list[Tail]:
    """Return all tails in the order in which they began, what they shed left out of their parts."""
    shed: dict[str, list[tuple[int, int]]] = {}
    for event in log.controls(SHED):
        shed.setdefault(event.subject, []).append((event.body["start"], event.body["stop"]))
    return [_tail(event, shed.get(event.subject, ())) for event in log.controls(STARTED)]


def find_tail(log: Log, subject: str) -> Tail | None:
    """Return the tail of that id, None when it never began."""
    return next((tail for tail in list_tails(log) if tail.id == subject), None)


def ask(log: Log, subject: str, what: str) -> int:
    """Ask whoever follows a tail to "stop" now, or to "drain": to end at the present end of the log.

    Returns that position.
    """
    head = log.head().position
    log.control(ASKED, subject, {"what": what, "through": head})
    return head


def ask_again(log: Log, subject: str) -> None:
    """Ask for a drain once more where a worker has taken the tail since: it was getting ready then."""
    events = log.controls("tail.*", subject)
    taken = [event.position for event in events if event.type == RESUMED]
    asked = [event.position for event in events if event.type == ASKED and event.body["what"] == "drain"]
    if taken and taken[-1] > max(asked, default=0):
        ask(log, subject, "drain")


def _tail(event: ControlEvent, shed: Iterable[tuple[int, int]]) -> Tail:
    body = event.body
    parts = [(first, NO_END if after is None else after) for first, after in body["parts"]]
    return Tail(
        id=event.subject,
        model=body["model"],
        model_digest=body["model_digest"],
        decision_point=body["decision_point"],
        start=body["start"],
        parts=without(parts, shed),
        started_at=event.position,
    )
