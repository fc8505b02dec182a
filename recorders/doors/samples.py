"""Samples: a file that a service wrote, told by what it holds, as the documents that a mapping will see."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

from recorders.doors import captures, cloudevents, otlp
from recorders.doors.bodies import parse_json, rows_of
from recorders.doors.errors import Unreadable
from recorders.doors.pairing import Bounds, PairingTable, documents, half_of

SERVED: Final = ("kserve", "seldon", "cloudevents", "otlp")
# What a body that was sent alone has not of its own: its CloudEvent, whose id and time every decision needs.
_EVENT: Final = {"id": "sample", "requestid": "sample", "time": "2000-01-01T00:00:00Z"}


def guess(path: Path) -> str:
    """Return the source that a file seems to be from.

    Raises:
        Unreadable: it is neither a table nor JSON.
    """
    entry = next(captures.read(path, "table"), None)
    document = {} if entry is None else entry.document
    if "databricks_request_id" in document:
        return "inference-table"
    if captures.suffix(path) in (".csv", ".parquet"):
        return "table"
    if entry is not None and entry.error is not None:
        document = _first(path)[0]
    seldon = type(document.get("data")) is dict and {"ndarray", "tensor"} & set(document["data"])
    marks = {
        "captureData": "sagemaker",
        "resourceLogs": "otlp",
        "instances": "kserve",
        "inputs": "kserve",
        "predictions": "kserve",
        "outputs": "kserve",
        "data": "seldon" if seldon else "",
    }
    if "specversion" in document:
        return cloudevents.FAMILIES.get(str(document.get("type")), ("cloudevents", ""))[0]
    for mark, kind in marks.items():
        if mark in document and kind:
            return kind
    return "bentoml" if {"request_id", "timestamp", "trace_id"} <= set(document) else "lines"


def _first(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a file that is one JSON object, or a batch of them, over many lines."""
    found = parse_json(_whole(path))
    listed = found if type(found) is list and found else [found]
    if not all(type(one) is dict for one in listed):
        raise Unreadable("it is neither a table nor JSON objects")
    return listed


def _whole(path: Path) -> bytes:
    with captures.opened(path) as stream:
        data = stream.read(captures.LINE_BYTES_MAX + 1)
    if len(data) > captures.LINE_BYTES_MAX:
        raise Unreadable(f"its one object is longer than {captures.LINE_BYTES_MAX} bytes")
    if not data.strip():
        raise Unreadable("it is empty")
    return data


def none_in(path: Path, kind: str) -> NoReturn:
    """Say why no row of a file can be used."""
    for entry in captures.read(path, "lines" if kind in SERVED else kind):
        if entry.error is not None:
            raise Unreadable(
                f"no row can be read; {entry.place}: {getattr(entry.error, 'what', entry.error)}"
            )
    raise Unreadable("it holds no row")


def documents_in(path: Path, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the documents that the mapping will see."""
    if kind == "otlp" and captures.suffix(path) != ".jsonl" and not _whole(path).lstrip().startswith(b"{"):
        yield from otlp.read(otlp.PROTOBUF, _whole(path))
        return
    if kind in SERVED:
        if captures.suffix(path) in (".csv", ".parquet"):
            raise Unreadable(f"{kind} sends no tables")
        yield from _served(
            kind,
            [entry.document for entry in captures.read(path, "lines") if not entry.error] or _first(path),
        )
        return
    whole = False
    for entry in captures.read(path, kind):
        if entry.error is None:
            whole = True
            yield entry.document
    if not whole and kind == "lines":
        yield from _first(path)  # one object over many lines


def _served(kind: str, lines: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    table = PairingTable(Bounds(wait_s=0.0))
    for line in lines:
        if kind == "otlp":
            yield from otlp.read(otlp.JSON, json.dumps(line).encode())
        elif "specversion" not in line:
            side = "output" if {"predictions", "outputs"} & set(line) else "input"
            yield from ({"event": _EVENT, side: row} for row in rows_of(line))
        else:
            (event,) = cloudevents.read(cloudevents.STRUCTURED, {}, json.dumps(line).encode())
            if event.family[1] == "event":
                yield {"event": event.attributes, "data": parse_json(event.data)}
            elif event.family[1] != "feedback":
                pair = table.offer(half_of(event, 0.0), 0.0)
                yield from documents(pair) if pair else ()
    for pair in table.due(1.0):
        yield from documents(pair)
