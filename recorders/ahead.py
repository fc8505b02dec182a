"""Ahead: events of a day to come, which a log of the event clock never takes, and whose clock is believed.

One event of the year 9999 would make that the time of all after it, so such a log takes nothing of its batch.
It must not hold up what came with it and behind it either (docs/adr/0090, docs/adr/0095).
"""

from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from recorders.canonical import digest
from recorders.clock import Clock
from recorders.errors import AppendError, EventAhead
from recorders.frame import Frame, payload_of

# How far ahead of its own clock a log of the event clock lets an event be.
AHEAD: Final = timedelta(days=1)
# By so much our clock and the log's may differ: beyond it nobody can say that it is the event that is wrong.
APART: Final = timedelta(hours=1)
# Where an event says when it occurred (recorders/events.py): microseconds since 1970.
_OCCURRED_AT: Final = {"decision": 1, "outcome": 3}


def agreed(error: EventAhead, clock: Clock) -> datetime:
    """Return what the log's clock says, where ours says about the same.

    Raises:
        AppendError: they are apart: nobody knows which events are wrong.
    """
    theirs = datetime.fromisoformat(error.clock)
    ours = datetime.fromtimestamp(clock.now_us() / 1e6, UTC)
    if abs(ours - theirs) > APART:
        raise AppendError(
            f"The log's clock says {error.clock}, this machine's {ours:%Y-%m-%dT%H:%M:%SZ}; an event of "
            f"{error.occurred} is refused.",
            "Expected two clocks within an hour of each other: one of them is wrong, or the event is.",
            "Correct them. Shipping goes on by itself then; an event that is still ahead is put aside.",
        )
    return theirs


def without(frame: Frame, latest: datetime) -> Frame | None:
    """Return a frame of decisions or outcomes without the events after `latest`; None when no event is left.

    Its sequence stays: one that the log refused is free.
    """
    place, latest_us = _OCCURRED_AT[frame.kind], latest.timestamp() * 1e6
    events = msgspec.msgpack.decode(frame.payload, type=list[msgspec.Raw])
    kept = [bytes(event) for event in events if msgspec.msgpack.decode(event)[place] <= latest_us]
    if not kept:
        return None
    payload = payload_of(kept)
    return msgspec.structs.replace(frame, events=len(kept), payload=payload, digest=digest(payload))
