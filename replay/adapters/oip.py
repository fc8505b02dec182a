"""`oip+http://host/v2/models/NAME`: a server of the Open Inference Protocol (KServe, MLServer, Triton)."""

import hashlib
import math
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from recorders.canonical import canonical_json
from replay.adapters.adapter import Artefact, Loaded
from replay.adapters.answers import Answer, Output, read_answer
from replay.adapters.forms import matrix
from replay.adapters.guard import CallFailed
from replay.adapters.http_client import Server
from replay.adapters.json_values import json_values
from replay.adapters.python import column_of
from replay.adapters.uri import ModelUri
from replay.loading_errors import ModelNotServed
from replay.model_errors import ModelChanged, UnknownModelUri

# 1 gave tensors of whole numbers what float64 makes of a value.
VERSION = 2
_DATATYPES = {"float": "FP64", "double": "FP64", "int64": "INT64", "bool": "BOOL", "string": "BYTES"}
_FLOATS = ("FP64", "FP32", "FP16")
_LISTED_MAX = 1000


def read(uri: ModelUri, _folder: Path | None) -> tuple[str, bytes]:
    """Return the model's metadata: its name, versions, inputs and outputs are what can be pinned of it.

    Raises:
        ModelNotServed: the server does not know it, or does not answer.
        UnknownModelUri: nulls=pass, for the protocol has no null.
    """
    if uri.nulls == "pass":
        raise UnknownModelUri(
            uri.text, "nulls=pass", "nulls=error or nulls=value:NUMBER: the protocol has no null"
        )
    try:
        with closing(Server(uri)) as server:
            return "metadata.json", canonical_json(_plain(server.ask("GET", server.path)))
    except (CallFailed, ValueError, TypeError) as error:
        raise ModelNotServed(uri.text, str(error)) from error


def _plain(metadata: Any) -> dict[str, Any]:
    """Return what identifies the model; counters and states that a server adds are no part of it."""
    if not isinstance(metadata, dict):
        raise ValueError(f"metadata is a {type(metadata).__name__}")  # noqa: TRY004  it is the server's value
    kept = ("name", "versions", "platform", "inputs", "outputs")
    found = {key: metadata[key] for key in kept if metadata.get(key)}
    for key in ("inputs", "outputs"):
        found[key] = [
            {"name": str(t["name"]), "datatype": str(t["datatype"]), "shape": [int(n) for n in t["shape"]]}
            for t in list(found.get(key, ()))[:_LISTED_MAX]
        ]
    return found


def load(uri: ModelUri, held: Artefact, _inputs: tuple[str, ...] | None) -> Loaded:
    """Return the served model: one tensor of floats for the whole row, or one tensor a feature by name.

    Raises:
        ModelChanged: the server says other things of it now than when it was registered.
        ModelNotServed: as `read`.
    """
    _path, now = read(uri, None)
    if now != held.content:
        raise ModelChanged(uri.text, held.digest, hashlib.sha256(now).hexdigest())
    metadata = msgspec.json.decode(held.content)
    declared = metadata["inputs"]
    server = Server(uri)
    one = declared[0] if len(declared) == 1 and len(declared[0]["shape"]) > 1 else None
    own = None if one or not declared else tuple(tensor["name"] for tensor in declared)
    request = _request_of(one, {t["name"]: t["datatype"] for t in declared})
    return Loaded(own, _call(uri, server, request, metadata.get("versions", ())))


def _request_of(one: Any, datatypes: dict[str, str]) -> Callable[[pa.RecordBatch], dict[str, Any]]:
    """Return the function that makes a request of a block."""
    if one is None:
        return lambda block: {
            "inputs": [
                _tensor(name, column, datatypes.get(name))
                for name, column in zip(block.schema.names, block.columns, strict=True)
            ],
            **({} if datatypes else {"parameters": {"content_type": "pd"}}),
        }

    def whole(block: pa.RecordBatch) -> dict[str, Any]:
        kind = one["datatype"]
        values = matrix(block, np.float64 if kind in _FLOATS else np.int64)
        if not np.isfinite(values).all():
            raise ValueError("an input is not finite, which JSON does not hold")
        data = values.ravel()
        tensor = {"name": one["name"], "shape": list(values.shape), "datatype": kind, "data": data.tolist()}
        return {"inputs": [tensor]}

    return whole


def _tensor(name: str, column: pa.Array, datatype: str | None) -> dict[str, Any]:
    found = datatype or _DATATYPES.get(str(column.type), "INT64")
    tensor = {"name": name, "shape": [len(column), 1], "datatype": found, "data": json_values(name, column)}
    return tensor | ({"parameters": {"content_type": "str"}} if found == "BYTES" else {})


def _call(
    uri: ModelUri,
    server: Server,
    request: Callable[[pa.RecordBatch], dict[str, Any]],
    versions: Sequence[str],
) -> Callable[[pa.RecordBatch], Answer]:
    output, wanted = Output.of(uri.options, column_of(uri)), uri.options.get("output")
    asked = 0
    version: str | None = None

    def call(block: pa.RecordBatch) -> Answer:
        nonlocal asked, version
        asked += 1
        body = request(block) | {"id": str(asked)}
        if wanted is not None:
            body["outputs"] = [{"name": wanted}]
        answer = server.ask("POST", f"{server.path}/infer", body)
        if answer.get("id", str(asked)) != str(asked):
            raise ValueError(f"answer to request {answer['id']!r}, not to {asked}")
        found = answer.get("model_version")
        if version is not None and found != version:
            raise CallFailed(f"version {found} answers, it was {version}", whole=True)
        if found is not None and versions and found not in versions:
            raise CallFailed(f"version {found} answers, not {' or '.join(versions)}", whole=True)
        version = found
        return read_answer(_values(answer, wanted, block.num_rows), output, block.num_rows)

    return call


def _values(answer: Any, wanted: str | None, rows: int) -> Any:
    tensors = {tensor["name"]: tensor for tensor in answer["outputs"]}
    tensor = tensors[wanted] if wanted is not None else next(iter(tensors.values()))
    values = np.array(tensor["data"], dtype=object if tensor["datatype"] == "BYTES" else np.float64)
    if values.size == rows:
        return values.ravel()
    # Twice as many values are two columns where the tensor says so, and too many rows where it does not.
    shape = [int(length) for length in tensor["shape"]]
    if shape[0] != rows or math.prod(shape) != values.size:
        raise ValueError(f"answer of {values.size} values in shape {shape} for {rows} rows")
    return values.reshape(rows, -1)
