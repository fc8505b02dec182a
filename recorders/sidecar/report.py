"""Report: losses as control events `recorder.loss`: the log itself says what is missing from it, and why.

`count` is in events, None where nobody can know it; then `frames` or `bytes` say what is known.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

from recorders.canonical import canonical_json, digest
from recorders.losses import Loss
from recorders.sidecar.wire import DECISION_POINT_BYTES_MAX, NO_SCHEMA, Arrived

EVENT: Final = "recorder.loss"
# The kind of frames that the sidecar makes for itself; the door refuses it.
OWN: Final = 3
_WORDS_MAX: Final = 256
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def instant(seconds: float) -> str:
    """Return an instant as the log writes it.

    >>> instant(0.0)
    '1970-01-01T00:00:00.000000+00:00'
    """
    return (_EPOCH + timedelta(microseconds=round(seconds * 1e6))).isoformat(timespec="microseconds")


def recorder_loss(loss: Loss, decision_point: str) -> dict[str, Any]:
    """Return the event for what a recorder dropped or rejected."""
    body = {
        "decision_point": decision_point,
        "writer": str(loss.writer),
        "reason": loss.reason,
        "count": loss.count,
        "first": instant(loss.first_us / 1e6),
        "last": instant(loss.last_us / 1e6),
    }
    return {"type": EVENT, "subject": str(loss.writer), "actor": f"recorder:{decision_point}", "body": body}


def sidecar_loss(
    spool: UUID, subject: UUID, reason: str, count: int | None, **details: Any
) -> dict[str, Any]:
    """Return the event for what the sidecar cannot deliver, with what is known about it in `details`."""
    now = instant(time.time())
    body = {
        "decision_point": details.pop("decision_point", ""),
        "writer": str(subject),
        "reason": reason,
        "count": count,
        "first": details.pop("first", now),
        "last": details.pop("last", now),
        **details,
    }
    return {"type": EVENT, "subject": str(subject), "actor": f"sidecar:{spool}", "body": body}


def words(text: str) -> str:
    """Return a text that somebody else may have made as any log holds it: short, and of letters that show.

    A value of megabytes that stood in a reason made a report that no log takes.

    >>> words(f"it is {chr(0)}" + "!" * 300)[:20]
    'it is ?!!!!!!!!!!!!!'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text[:_WORDS_MAX])


def named_point(name: object) -> str:
    """Return a decision point's name if a log can hold it, "" for any other value."""
    if not isinstance(name, str) or "\0" in name:
        return ""
    return name if len(name.encode("utf-8", "replace")) <= DECISION_POINT_BYTES_MAX else ""


def own_frame(event: dict[str, Any]) -> Arrived:
    """Return the frame that takes an event of the sidecar's own through the spool like any other.

    Each is the first of a writer: one that a full disk refused is no gap before the next.
    """
    payload = canonical_json(event)
    return Arrived(uuid4().bytes, 1, OWN, "", NO_SCHEMA, 1, bytes.fromhex(digest(payload)), payload)
