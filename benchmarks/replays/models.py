"""The models of the benchmark: a linear one, gradient boosting, a network, and the same network as ONNX."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import skops.io
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

HIDDEN = (64, 32)
ONNX_FILE = "network.onnx"
SESSION = {"intra_op_num_threads": 1, "inter_op_num_threads": 1}


class Bare(NamedTuple):
    """A model as it stands in its file: what registers it, and the library's own call."""

    uri: str
    score: Callable[[pd.DataFrame], Any]


def network(rows: pd.DataFrame, label: Any) -> Any:
    """Return a small network behind a scaler."""
    return make_pipeline(StandardScaler(), MLPClassifier(HIDDEN, max_iter=30, random_state=1)).fit(
        rows, label
    )


def saved(models: dict[str, Any], folder: Path) -> dict[str, Bare]:
    """Write every model into the folder, the network as `onnx` too; return how to register and call each."""
    found = {}
    for name, model in models.items():
        skops.io.dump(model, folder / f"{name}.skops")
        found[name] = Bare(
            f"sklearn:{name}.skops", lambda frame, model=model: model.predict_proba(frame)[:, 1]
        )
    return found | {"onnx": Bare(f"onnx:{ONNX_FILE}", _onnx(models["network"], folder / ONNX_FILE))}


def _onnx(pipeline: Any, path: Path) -> Callable[[pd.DataFrame], Any]:
    """Write the network as ONNX, the scaler in its first layer; return the runtime's own call."""
    import onnxruntime as ort
    from onnx import TensorProto, checker, helper, numpy_helper, save

    scaler, net = (step for _, step in pipeline.steps)
    weights = [np.asarray(each, dtype=np.float64) for each in net.coefs_]
    biases = [np.asarray(each, dtype=np.float64) for each in net.intercepts_]
    biases[0] = biases[0] - (scaler.mean_ / scaler.scale_) @ weights[0]
    weights[0] = weights[0] / scaler.scale_[:, None]
    nodes, constants, given = [], [], "rows"
    for at, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        last = at == len(weights) - 1
        for name, values in (("w", weight), ("b", bias)):
            constants.append(numpy_helper.from_array(values.astype(np.float32), f"{name}{at}"))
        nodes.append(helper.make_node("Gemm", [given, f"w{at}", f"b{at}"], [f"z{at}"]))
        given = "p" if last else f"a{at}"
        nodes.append(helper.make_node("Sigmoid" if last else "Relu", [f"z{at}"], [given]))
    names = list(scaler.feature_names_in_)
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, len(names)])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, 1])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"inputs": ",".join(names)})
    checker.check_model(model)
    save(model, path)
    options = ort.SessionOptions()
    for name, threads in SESSION.items():
        setattr(options, name, threads)
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda frame: session.run(["p"], {"rows": frame.to_numpy(np.float32)})[0][:, 0]
