"""Events of days that are still to come, and what a log of the event clock is told of them."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from recorders.canonical import digest
from recorders.frame import Frame
from tests.support.fake_log import FakeLog

DAY_S = 86_400
NOW_S = 1_790_000_000


def dated(frame: Frame, *days: float) -> Frame:
    """Return a frame whose events occurred so many days from now."""
    rows = msgspec.msgpack.decode(frame.payload)
    place = 1 if frame.kind == "decision" else 3
    for row, day in zip(rows, days, strict=True):
        row[place] = round((NOW_S + day * DAY_S) * 1e6)
    payload = msgspec.msgpack.encode(rows)
    return msgspec.structs.replace(frame, payload=payload, digest=digest(payload))


def event_log() -> FakeLog:
    log = FakeLog()
    log.clock = datetime.fromtimestamp(NOW_S, UTC)
    return log


def losses(log: FakeLog) -> list[dict[str, Any]]:
    events = [msgspec.json.decode(one.payload) for one in log.batches if one.kind == "control"]
    return [event["body"] for event in events if event["body"]["reason"] == "ahead"]
