"""One small model for each adapter, made here, with what it must answer: p = 1 / (1 + exp(y - x / 2))."""

import json
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

NAMES = ("x", "y")
SOURCE = """
import numpy as np
inputs = ("x", "y")

class Model:
    inputs = ("x", "y")
    def predict(self, frame):
        return 1 / (1 + np.exp(frame["y"] - frame["x"] / 2))

def matrix(rows):
    return 1 / (1 + np.exp(rows[:, 1] - rows[:, 0] / 2))
matrix.inputs = ("x", "y")

def table(rows):
    import pyarrow.compute as pc
    x, y = rows["x"].to_numpy(), rows["y"].to_numpy()
    return 1 / (1 + np.exp(y - x / 2))
table.inputs = ("x", "y")
"""
LINES = """#!/usr/bin/env python3
import json, math, sys
print(json.dumps({"inputs": ["x", "y"]}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    x, y = asked["columns"]["x"], asked["columns"]["y"]
    scores = [1 / (1 + math.exp(b - a / 2)) for a, b in zip(x, y)]
    print(json.dumps({"rows": asked["rows"], "scores": scores}), flush=True)
"""
ARROW = """
import struct, sys
import numpy as np, pyarrow as pa
print("{}", flush=True)
while header := sys.stdin.buffer.read(4):
    rows = pa.ipc.open_stream(sys.stdin.buffer.read(struct.unpack("<I", header)[0])).read_all()
    x, y = rows["x"].to_numpy(), rows["y"].to_numpy()
    out = pa.table({"row": rows["row"], "score": 1 / (1 + np.exp(y - x / 2))})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, out.schema) as writer:
        writer.write_table(out)
    data = sink.getvalue().to_pybytes()
    sys.stdout.buffer.write(struct.pack("<I", len(data)) + data)
    sys.stdout.buffer.flush()
"""


def expected(x: Any, y: Any) -> Any:
    return 1 / (1 + np.exp(np.asarray(y) - np.asarray(x) / 2))


def training_rows() -> tuple[pd.DataFrame, Any]:
    rng = np.random.default_rng(7)
    rows = pd.DataFrame(rng.normal(size=(400, 2)), columns=list(NAMES))
    return rows, (expected(rows.x, rows.y) > rng.uniform(size=400)).astype(int)


Scorer = Callable[[Any, Any], Any]


def python(folder: Path) -> tuple[str, Scorer]:
    (folder / "candidate.py").write_text(SOURCE)
    return "py:candidate:Model", expected


def python_arrow(folder: Path) -> tuple[str, Scorer]:
    python(folder)
    return "py:candidate:table?input=arrow", expected


def python_numpy(folder: Path) -> tuple[str, Scorer]:
    python(folder)
    return "py:candidate:matrix?input=numpy", expected


def sklearn(folder: Path) -> tuple[str, Scorer]:
    import skops.io
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(*training_rows())
    skops.io.dump(model, folder / "model.skops")
    return "sklearn:model.skops", lambda x, y: model.predict_proba(pd.DataFrame({"x": x, "y": y}))[:, 1]


def onnx(folder: Path) -> tuple[str, Scorer]:
    from onnx import TensorProto, checker, helper, save

    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["rows", "weights"], ["z"]),
            helper.make_node("Sigmoid", ["z"], ["p"]),
        ],
        "linear",
        [helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, 2])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, 1])],
        [helper.make_tensor("weights", TensorProto.FLOAT, [2, 1], [0.5, -1.0])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"inputs": "x,y"})
    checker.check_model(model)
    save(model, folder / "model.onnx")
    return "onnx:model.onnx", expected


def lightgbm(folder: Path) -> tuple[str, Scorer]:
    import lightgbm as lgb

    rows, label = training_rows()
    options = {"objective": "binary", "num_leaves": 4, "verbose": -1, "num_threads": 1}
    booster = lgb.train(options, lgb.Dataset(rows, label), num_boost_round=5)
    booster.save_model(folder / "model.txt")
    return "lightgbm:model.txt", lambda x, y: booster.predict(np.column_stack([x, y]))


def xgboost(folder: Path) -> tuple[str, Scorer]:
    import xgboost as xgb

    rows, label = training_rows()
    booster = xgb.train(
        {"objective": "binary:logistic", "max_depth": 2, "nthread": 1}, xgb.DMatrix(rows, label), 5
    )
    booster.save_model(folder / "model.ubj")
    return "xgboost:model.ubj", lambda x, y: booster.predict(
        xgb.DMatrix(np.column_stack([x, y]), feature_names=list(NAMES))
    )


def pickled(folder: Path) -> tuple[str, Scorer]:
    import hashlib

    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression().fit(*training_rows())
    content = pickle.dumps(model)
    (folder / "model.pkl").write_bytes(content)
    pinned = hashlib.sha256(content).hexdigest()
    return f"pickle:model.pkl?pickle={pinned}", lambda x, y: model.predict_proba(
        pd.DataFrame({"x": x, "y": y})
    )[:, 1]


def program_lines(folder: Path) -> tuple[str, Scorer]:
    (folder / "score.py").write_text(LINES)
    (folder / "score.py").chmod(0o755)
    return "exec:./score.py", expected


def program_arrow(folder: Path) -> tuple[str, Scorer]:
    import sys

    (folder / "score_arrow.py").write_text(ARROW)
    return f"exec:{sys.executable} score_arrow.py?format=arrow", expected


class _Handler(BaseHTTPRequestHandler):
    """The Open Inference Protocol, with one tensor a feature, and rows of plain JSON; one server for both."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        tensors = [{"name": name, "datatype": "FP64", "shape": [-1, 1]} for name in NAMES]
        self._say({"name": "p", "versions": ["1"], "platform": "test", "inputs": tensors, "outputs": []})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        try:
            self._say(self._answer(body))
        except TypeError as error:
            self._say({"error": str(error)}, 400)

    @staticmethod
    def _answer(body: Any) -> Any:
        if "instances" in body:
            p = expected(*([row[name] for row in body["instances"]] for name in NAMES))
            return {"predictions": [{"score": value} for value in p.tolist()]}
        x, y = (tensor["data"] for tensor in body["inputs"])
        p = expected(x, y).tolist()
        out = [{"name": "p", "shape": [len(p)], "datatype": "FP64", "data": p}]
        return {"model_name": "p", "model_version": "1", "id": body["id"], "outputs": out}

    def _say(self, value: Any, status: int = 200) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def served() -> Iterator[str]:
    """Yield host and port of a server of both kinds."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


LOCAL = [
    python,
    python_arrow,
    python_numpy,
    sklearn,
    onnx,
    lightgbm,
    xgboost,
    pickled,
    program_lines,
    program_arrow,
]
REMOTE = {"oip": "oip+http://{}/v2/models/p", "json": "http+json://{}/score?out=predictions.*.score"}
