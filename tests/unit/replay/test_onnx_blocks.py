"""A graph is run block by block, so that no row of a joined call depends on the company of its block."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
from onnx import TensorProto, helper

from replay.adapters.adapter import Artefact, Loaded
from replay.adapters.opening import ModelSpec, load
from replay.score import BLOCK_ROWS

ROWS = pa.record_batch({"x": np.random.default_rng(1).normal(size=2 * BLOCK_ROWS + 7)})


def centred(folder: Path) -> Loaded:
    """Return a graph that takes the mean of a call's rows from each, and says which are above it."""
    nodes = [
        helper.make_node("ReduceMean", ["rows"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["rows", "mean"], ["p"]),
    ]
    shape = [None, 1]
    graph = helper.make_graph(
        nodes,
        "centred",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, shape)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    content = model.SerializeToString()
    uri = "onnx:centred.onnx"
    held = Artefact(hashlib.sha256(content).hexdigest(), content, str(folder / "centred.onnx"))
    return load(ModelSpec(uri, version="1", inputs=("x",)), held)


def test_a_joined_call_has_the_bits_of_each_block_alone(tmp_path: Path) -> None:
    model = centred(tmp_path)
    joined, _decisions = model.call(ROWS)
    alone = [model.call(ROWS.slice(at, BLOCK_ROWS))[0] for at in range(0, ROWS.num_rows, BLOCK_ROWS)]
    assert [each.size for each in alone] == [BLOCK_ROWS, BLOCK_ROWS, 7]
    assert joined.tobytes() == np.concatenate(alone).tobytes()
