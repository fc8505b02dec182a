"""`onnx:file.onnx`: a graph run by onnxruntime on one thread; no custom operators, no external data."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from replay.adapters.adapter import Artefact, Loaded, read_file
from replay.adapters.answers import Answer, Output, read_answer
from replay.adapters.forms import matrix, numbers_of
from replay.adapters.matrix_model import loaded_by
from replay.adapters.python import column_of
from replay.adapters.uri import ModelUri
from replay.loading_errors import LibraryMissing
from replay.model_errors import NotAModel, UnknownModelUri

# 1 gave graphs of whole numbers and of flags what float64 makes of a value.
VERSION = 2
read = read_file
_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}


def load(uri: ModelUri, held: Artefact, inputs: tuple[str, ...] | None) -> Loaded:
    """Return the graph as a model.

    One input of rank 2 takes the rows as a matrix; its features are named by the graph's metadata entry
    `inputs` (comma-separated) or by the registration. Several inputs take one feature each, by name.
    """
    try:
        import onnxruntime as ort
    except ImportError as error:
        raise LibraryMissing(uri.text, str(error.name), "onnx") from error
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = loaded_by(
        uri,
        "onnxruntime",
        lambda: ort.InferenceSession(held.content, options, providers=["CPUExecutionProvider"]),
    )
    declared = session.get_inputs()
    unknown = [f"{entry.name}: {entry.type}" for entry in declared if not _known(entry.type)]
    if unknown:
        raise NotAModel(
            uri.text, f"graph with inputs {', '.join(unknown)}", ("tensors of numbers or strings",)
        )
    named = session.get_modelmeta().custom_metadata_map.get("inputs")
    own = tuple(map(str.strip, named.split(","))) if named else None
    if len(declared) > 1:
        own = tuple(entry.name for entry in declared)
    feed = _feed(declared, inputs or own or ())
    output, column = _output(uri, session.get_outputs()), Output.of(uri.options, column_of(uri))

    def call(block: pa.RecordBatch) -> Answer:
        return read_answer(session.run([output], feed(block))[0], column, block.num_rows)

    return Loaded(own, call)


def _known(kind: str) -> bool:
    return kind in _TYPES or kind == "tensor(string)"


def _feed(declared: Any, names: tuple[str, ...]) -> Callable[[pa.RecordBatch], dict[str, Any]]:
    if len(declared) == 1 and (len(names) != 1 or declared[0].type != "tensor(string)"):
        name, kind = declared[0].name, _TYPES.get(declared[0].type, np.float32)
        return lambda block: {name: matrix(block, kind)}
    kinds = {entry.name: (entry.type, len(entry.shape)) for entry in declared}
    return lambda block: {
        name: _tensor(name, block.column(at), *kinds[name]) for at, name in enumerate(block.schema.names)
    }


def _tensor(name: str, column: pa.Array, kind: str, rank: int) -> Any:
    if kind == "tensor(string)":
        values = np.array(column.cast(pa.string()).to_pylist(), dtype=object)
    else:
        values = numbers_of(name, column, _TYPES[kind]).astype(_TYPES[kind], copy=False)
    return values.reshape(-1, 1) if rank > 1 else values


def _output(uri: ModelUri, outputs: Any) -> str:
    """Return the output that holds the score: the one chosen, the only one, or the last that is a tensor."""
    names = [entry.name for entry in outputs if entry.type.startswith("tensor(")]
    chosen = uri.options.get("output", names[-1] if names else None)
    if chosen not in names:
        found = ", ".join(f"{entry.name} ({entry.type})" for entry in outputs)
        raise UnknownModelUri(
            uri.text, f"no output {chosen!r} that is a tensor", f"one of {found}; export with zipmap=False"
        )
    return str(chosen)
