"""`http+json://host/path?in=instances&out=predictions.*.score`: any server that scores rows of plain JSON."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from replay.adapters.adapter import Artefact, Loaded
from replay.adapters.answers import Answer, Output, read_answer
from replay.adapters.http_client import Server
from replay.adapters.json_values import json_values
from replay.adapters.python import column_of
from replay.adapters.uri import ModelUri

VERSION = 1
_EACH = "*"


def read(uri: ModelUri, _folder: Path | None) -> tuple[str, bytes]:
    """Return nothing: such a server says nothing of its model. What pins it is its address and version."""
    Server(uri)
    return "", b""


def load(uri: ModelUri, _held: Artefact, _inputs: tuple[str, ...] | None) -> Loaded:
    """Return the served model: a request holds one object a row, the answer one score a row."""
    server = Server(uri)
    into, out = uri.options.get("in", "instances"), uri.options.get("out", "predictions.*")
    return Loaded(None, _call(uri, server, into, out))


def _call(uri: ModelUri, server: Server, into: str, out: str) -> Callable[[pa.RecordBatch], Answer]:
    output = Output.of(uri.options, column_of(uri))

    def call(block: pa.RecordBatch) -> Answer:
        columns = {n: json_values(n, c) for n, c in zip(block.schema.names, block.columns, strict=True)}
        rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        body = {into: rows} if into else rows
        found = pick(server.ask("POST", server.path or "/", body), out.split("."))
        return read_answer(found, output, block.num_rows)

    return call


def pick(value: Any, path: list[str]) -> Any:
    """Return what lies at `path` in a JSON value; `*` is each element of a list.

    Raises:
        ValueError: nothing lies there.

    >>> pick({"predictions": [{"score": 0.5}, {"score": 1}]}, ["predictions", "*", "score"])
    [0.5, 1]
    """
    for at, step in enumerate(path):
        if step == _EACH:
            if not isinstance(value, list):
                raise ValueError(f"answer has no list at {'.'.join(path[:at]) or 'its top'}")
            return [pick(entry, path[at + 1 :]) for entry in value]
        if not isinstance(value, dict) or step not in value:
            raise ValueError(f"answer has no {'.'.join(path[: at + 1])}")
        value = value[step]
    return value
