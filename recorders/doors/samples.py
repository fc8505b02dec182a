"""Samples: a file that a service wrote, told by what it holds, as the documents that a mapping will see."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from recorders.doors import captures, cloudevents, otlp
from recorders.doors.bodies import parse_json, rows_of
from recorders.doors.errors import Unreadable
from recorders.doors.pairing import Bounds, PairingTable, documents, half_of


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
        document = _first(path)
    seldon = type(document.get("data")) is dict and {"ndarray", "tensor"} & set(document["data"])
    marks = {
        "captureData": "sagemaker",
        "resourceLogs": "otlp",
        "instances": "kserve",
        "inputs": "kserve",
        "data": "seldon" if seldon else "",
    }
    if "specversion" in document:
        return cloudevents.FAMILIES.get(str(document.get("type")), ("cloudevents", ""))[0]
    for mark, kind in marks.items():
        if mark in document and kind:
            return kind
    return "bentoml" if {"request_id", "timestamp", "trace_id"} <= set(document) else "lines"


def _first(path: Path) -> dict[str, Any]:
    """Return a file that is one JSON object over many lines."""
    with captures.opened(path) as stream:
        data = stream.read(captures.LINE_BYTES_MAX + 1)
    if len(data) > captures.LINE_BYTES_MAX:
        raise Unreadable(f"its one object is longer than {captures.LINE_BYTES_MAX} bytes")
    if not data.strip():
        raise Unreadable("it is empty")
    found = parse_json(data)
    if type(found) is not dict:
        raise Unreadable("it is neither a table nor JSON objects")
    return found


def none_in(path: Path, kind: str) -> NoReturn:
    """Say why no row of a file can be used."""
    for entry in captures.read(path, kind):
        if entry.error is not None:
            raise Unreadable(
                f"no row can be read; {entry.place}: {getattr(entry.error, 'what', entry.error)}"
            )
    raise Unreadable("it holds no row")


def documents_in(path: Path, kind: str) -> Iterator[dict[str, Any]]:
    """Yield the documents that the mapping will see."""
    if kind in ("kserve", "seldon", "cloudevents", "otlp"):
        yield from _served(
            kind,
            [entry.document for entry in captures.read(path, "lines") if not entry.error] or [_first(path)],
        )
        return
    whole = False
    for entry in captures.read(path, kind):
        if entry.error is None:
            whole = True
            yield entry.document
    if not whole and kind == "lines":
        yield _first(path)  # one object over many lines


def _served(kind: str, lines: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    table = PairingTable(Bounds(wait_s=0.0))
    for line in lines:
        if kind == "otlp":
            yield from otlp.read(otlp.JSON, json.dumps(line).encode())
        elif "specversion" not in line:
            yield from ({"input": row} for row in rows_of(line))
        else:
            (event,) = cloudevents.read(cloudevents.STRUCTURED, {}, json.dumps(line).encode())
            if event.family[1] == "event":
                yield {"event": event.attributes, "data": parse_json(event.data)}
            elif event.family[1] != "feedback":
                pair = table.offer(half_of(event, 0.0), 0.0)
                yield from documents(pair) if pair else ()
    for pair in table.due(1.0):
        yield from documents(pair)
