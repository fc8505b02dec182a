"""Captures of foreign services as they came over the wire, and what the doors make of them."""

import base64
import gzip
import http.client
import json
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from recorders.doors import captures, cloudevents, otlp
from recorders.doors.mapping import Mapping
from recorders.doors.pairing import Bounds, PairingTable, half_of
from recorders.doors.router import Routed, Router
from recorders.errors import InvalidEvent

GOLDEN = Path(__file__).parents[1] / "golden" / "doors"
CASES = sorted(path for path in GOLDEN.iterdir() if path.is_dir())
NOW = 1_790_000_000.0
Sent = tuple[str, list[tuple[bytes, bytes]], bytes]


def requests_of(folder: Path) -> list[Sent]:
    """Return path, headers and body of each captured HTTP request."""
    found = []
    for request in json.loads((folder / "capture.json").read_text()):
        raw = request.get("body_base64")
        body = base64.b64decode(raw) if raw else request["body"].encode()
        headers = [(name.lower().encode(), value.encode()) for name, value in request["headers"].items()]
        found.append((request["path"], headers, body))
    return found


def translated(folder: Path) -> list[dict[str, Any]]:
    """Return what the doors make of a capture: events by value, and what was refused."""
    mapping = Mapping.from_toml(folder / "mapping.toml")
    router = Router([mapping])
    if (folder / "capture.json").exists():
        return over_http(requests_of(folder), router)
    shown: list[dict[str, Any]] = []
    (file,) = [path for path in folder.iterdir() if path.name.startswith("capture.")]
    for entry in captures.read(file, mapping.source):
        try:
            if entry.error is not None:
                raise entry.error
            shown += events(router.document(mapping.source, entry.document, row=entry.row))
        except InvalidEvent as error:
            shown.append({"place": entry.place, "refused": error.reason})
    return shown


def over_http(requests: Iterable[Sent], router: Router) -> list[dict[str, Any]]:
    """Return what the doors make of requests."""
    shown: list[dict[str, Any]] = []
    table = PairingTable(Bounds(wait_s=60.0))
    for path, headers, body in requests:
        kind = dict(headers).get(b"content-type", b"")
        if path == "/v1/logs":
            for document in otlp.read(kind, body):
                shown += events(router.document("otlp", document))
            continue
        attributes, _ = cloudevents.split(headers)
        for event in cloudevents.read(kind, attributes, body):
            _, side = event.family
            if side in ("request", "response"):
                pair = table.offer(half_of(event, NOW), NOW)
                shown += events(router.pair(pair)) if pair else []
            elif side == "feedback":
                shown += events(router.feedback(event))
            else:
                shown += events(router.event(event))
    for pair in table.due(NOW + 61.0):
        shown += [*events(router.pair(pair)), {"unmatched": "request" if pair.request else "response"}]
    return shown


def events(routed: list[Routed]) -> list[dict[str, Any]]:
    """Return events as their values."""
    return [
        {
            "kind": one.event.kind,
            "decision_point": one.decision_point,
            "values": msgspec.to_builtins(msgspec.msgpack.decode(one.event.data)),
        }
        for one in routed
    ]


def sent_of(folder: Path) -> list[Sent]:
    """Return what a capture is as HTTP requests; JSON lines may be sent too."""
    if (folder / "capture.json").exists():
        return requests_of(folder)
    return [
        ("/v1/events", [(b"content-type", b"application/x-ndjson")], (folder / "capture.jsonl").read_bytes())
    ]


def post(port: int, sent: Sent, *, packed: bool) -> None:
    """Send a request to the door at a port of this machine, as gzip if `packed`; it must answer 200."""
    path, headers, body = sent
    given = {name.decode(): value.decode() for name, value in headers if name != b"host"}
    if packed:
        body, given = gzip.compress(body), given | {"Content-Encoding": "gzip"}
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", path, body, given)
        answer = connection.getresponse()
        told = answer.read()
    assert answer.status == 200, told


def structured(sent: Sent) -> dict[str, Any]:
    """Return a binary CloudEvent in structured mode."""
    _, headers, body = sent
    attributes = {name[3:].decode(): unquote(value.decode()) for name, value in headers if name[:3] == b"ce-"}
    return attributes | {"datacontenttype": "application/json", "data": json.loads(body)}
