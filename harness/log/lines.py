"""Events as lines for a person: one event, one line."""

import json
from collections.abc import Iterator
from typing import Any

from harness.log.log import Log
from harness.log.payload import check, decoded
from harness.log.stored import StoredBatch
from recorders.columns import SEALED
from recorders.errors import CorruptBatch

SHOWN_BODY = 100
SHOWN_FEATURES = 6
FEATURE = "f."
CHUNK = 200
PLACE = ("position", "kind", "decision_point", "recorded_at")
# What a line shows of each kind: a batch without it has no lines.
SHOWN = {
    "decision": {"decision_id", "model", "model_version", "score", "decision"},
    "outcome": {"decision_id", "label", "value"},
    "score": {"decision_position", "decision_id", "score", "decision", "error"},
}


def last(
    log: Log, stop: int, count: int, kind: str | None, decision_point: str | None
) -> list[dict[str, Any]]:
    """Return the last `count` events before position `stop`, in order."""
    found: list[dict[str, Any]] = []
    while len(found) < count:
        batches = log.latest(stop, kind=kind, decision_point=decision_point, rows=min(count, CHUNK))
        if not batches:
            break
        for batch in batches:
            found = [event for event in events_of(batch) if event["position"] < stop] + found
            if len(found) >= count:
                break
        stop = batches[-1].header.position
    return found[-count:]


def after(
    log: Log, position: int, up_to: int, kind: str | None, decision_point: str | None
) -> Iterator[dict[str, Any]]:
    """Yield the events in (position, up_to], in order."""
    if up_to <= position:
        return
    for event in last(log, up_to + 1, up_to - position, kind, decision_point):
        if event["position"] > position:
            yield event


def event_at(log: Log, position: int) -> dict[str, Any]:
    """Return the event at `position` as it is kept; where its batch cannot be read, that, `unreadable`."""
    (batch,) = log.latest(position + 1)
    found = list(events_of(batch))
    return next((event for event in found if event["position"] == position), found[0])


def opened_event(log: Log, event: dict[str, Any]) -> dict[str, Any]:
    """Return an event with its encrypted fields open: null, with status `erased`, where the key is gone.

    Raises:
        LinkUnavailable, FeatureSetError: the keys cannot be had.
        CorruptBatch: a sealed value is not what was sealed.
    """
    if SEALED not in event:
        return event
    position = event["position"]
    place = {name: event[name] for name in PLACE}
    found = log.read(position, position + 1, kind="decision")
    row: dict[str, Any] = next(row for batch in found for row in batch.to_pylist())
    return place | row | place


def events_of(stored: StoredBatch) -> Iterator[dict[str, Any]]:
    """Yield each event of a stored batch as a dictionary; a batch that cannot be read is one, `unreadable`.

    Raises:
        DigestMismatch: the batch was altered.
    """
    header = stored.header
    position, events = header.position, header.events
    place = {
        "position": position,
        "kind": header.kind,
        "decision_point": header.decision_point,
        "recorded_at": header.recorded_at,
    }
    if header.kind == "control":
        check(position, stored.digest, stored.payload)
        yield place | json.loads(stored.payload) | place
        return
    try:
        batch = decoded(position, events, stored.digest, stored.payload)
    except CorruptBatch as error:
        fault = error.what
    else:
        missing = SHOWN[header.kind] - set(batch.schema.names)
        fault = f"it has no column {min(missing)!r}" if missing else ""
    if fault:
        source = {"writer": header.writer, "sequence": header.sequence}
        yield place | {"unreadable": fault, "events": events} | source
        return
    for offset, values in enumerate(batch.to_pylist()):
        yield place | values | place | {"position": position + offset}


def line(event: dict[str, Any]) -> str:
    """Return one event as one line.

    >>> from datetime import UTC, datetime
    >>> at = datetime(2013, 5, 1, tzinfo=UTC)
    >>> place = {"position": 7, "kind": "outcome", "decision_point": "flights.late", "recorded_at": at}
    >>> line(place | {"label": "late", "value": None, "decision_id": "a1"})
    '         7  2013-05-01T00:00:00Z  outcome   flights.late  a1 late withdrawn'
    """
    forms = {"decision": _decision, "outcome": _outcome, "score": _score, "control": _control}
    text = _unreadable(event) if "unreadable" in event else forms[event["kind"]](event)
    point = f"{event['decision_point']}  " if event["decision_point"] else ""
    time = f"{event['recorded_at']:%Y-%m-%dT%H:%M:%SZ}"
    return escaped(f"{event['position']:>10}  {time}  {event['kind']:<8}  {point}{text}")


def escaped(text: str) -> str:
    r"""Return `text` on one line, what could steer a terminal written out: the words are a service's own.

    >>> escaped("a\x1b[2J\nb é\x9b")
    'a\\x1b[2J\\nb é\\x9b'
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )


def _unreadable(event: dict[str, Any]) -> str:
    batch = f"{event['events']} events, batch {event['sequence']} of writer {event['writer']}"
    return f"unreadable ({batch}): {event['unreadable']}"


def _decision(event: dict[str, Any]) -> str:
    features = [
        f"{name[len(FEATURE) :]}={_short(value)}" for name, value in event.items() if name.startswith(FEATURE)
    ]
    more = " …" if len(features) > SHOWN_FEATURES else ""
    said = event["decision"] or "-"
    model = f"{event['model']}:{event['model_version']}"
    shown = " ".join(features[:SHOWN_FEATURES]) + more
    return f"{event['decision_id']} {model} {_short(event['score'])} {said}  {shown}"


def _outcome(event: dict[str, Any]) -> str:
    value = "withdrawn" if event["value"] is None else _short(event["value"])
    return f"{event['decision_id']} {event['label']} {value}"


def _score(event: dict[str, Any]) -> str:
    said = event["error"] or f"{_short(event['score'])} {event['decision'] or '-'}"
    return f"{event['decision_id']} (decision {event['decision_position']}) {said}"


def _control(event: dict[str, Any]) -> str:
    body = json.dumps(event.get("body", {}), ensure_ascii=False)
    shown = body if len(body) <= SHOWN_BODY else body[: SHOWN_BODY - 1] + "…"
    return f"{event['type']} {event['subject']} by {event.get('actor', '')}  {shown}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)
