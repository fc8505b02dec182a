"""`oip+http:` against a real MLServer: one that declares its inputs."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack

import mlserver
import pyarrow as pa
import pytest

from replay.isolation import Limits, open_isolated

assert mlserver.__version__
SERVED = """
import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse, ResponseOutput

class Linear(MLModel):
    async def load(self):
        return True

    async def predict(self, payload):
        named = {i.name: np.asarray(self.decode(i, default_codec=NumpyCodec)).ravel() for i in payload.inputs}
        p = (1 / (1 + np.exp(named["y"] - named["x"] / 2))).tolist()
        out = ResponseOutput(name="p", shape=[len(p)], datatype="FP64", data=p)
        return InferenceResponse(id=payload.id, model_name=self.name, outputs=[out])
"""
PATIENCE_S = 120.0


@pytest.fixture
def served(tmp_path):
    tensors = [{"name": name, "datatype": "FP64", "shape": [-1, 1]} for name in ("x", "y")]
    settings = {
        "name": "linear",
        "implementation": "served.Linear",
        "inputs": tensors,
        "outputs": [{"name": "p", "datatype": "FP64", "shape": [-1]}],
    }
    ports = dict(zip(("http_port", "grpc_port", "metrics_port"), free_ports(3), strict=True))
    (tmp_path / "served.py").write_text(SERVED)
    (tmp_path / "model-settings.json").write_text(json.dumps(settings))
    (tmp_path / "settings.json").write_text(json.dumps({**ports, "host": "127.0.0.1", "parallel_workers": 0}))
    command = [sys.executable, "-c", "from mlserver.cli import main; main()", "start", "."]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        place = f"127.0.0.1:{ports['http_port']}"
        deadline = time.monotonic() + PATIENCE_S
        while not ready(place):
            assert time.monotonic() < deadline, "MLServer did not start"
            assert server.poll() is None, "MLServer ended"
            time.sleep(0.2)
        yield place
        server.terminate()


def free_ports(count):
    with ExitStack() as held:
        probes = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [probe.getsockname()[1] for probe in probes]


def ready(place):
    try:
        with urllib.request.urlopen(f"http://{place}/v2/models/linear/ready", timeout=5) as answer:
            return answer.status == 200
    except urllib.error.URLError:
        return False


def test_it_scores_by_the_open_inference_protocol(served, tmp_path):
    block = pa.record_batch(
        {
            "decision_position": pa.array([1, 2, 3], pa.int64()),
            "decision_id": ["a", "b", "c"],
            "f.x": [0.0, 2.0, float("nan")],
            "f.y": [0.0, 1.0, 0.0],
        }
    )
    limits = Limits(timeout_s=60.0)
    with open_isolated(f"oip+http://{served}/v2/models/linear", limits=limits) as model:
        assert model.info.inputs == ("x", "y")
        scores = model.score(block).to_pydict()
    assert scores["score"] == [0.5, 0.5, None]
    assert scores["error"] == [None, None, "ValueError: input x is not finite, which JSON does not hold"]
