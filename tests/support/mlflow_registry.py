"""Run as a script: a registry with an alias that moves; what our adapter makes of it, as one JSON line."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa

from replay.adapters import read_artefact
from replay.isolation import open_isolated
from replay.model_errors import PickleRefused
from tests.support import model_zoo


def main(folder: Path) -> None:
    import mlflow
    import mlflow.onnx
    import onnx

    os.chdir(folder)
    mlflow.set_tracking_uri(f"sqlite:///{folder}/registry.db")
    model_zoo.onnx(folder)
    client = mlflow.MlflowClient()
    graph = onnx.load(folder / "model.onnx")
    rows, _label = model_zoo.training_rows()
    signature = mlflow.models.infer_signature(rows.astype(np.float32))
    for version in (1, 2):
        with mlflow.start_run():
            mlflow.onnx.log_model(
                graph, name="m", registered_model_name="late", signature=signature, pip_requirements=[]
            )
        client.set_registered_model_alias("late", "challenger", version)
        if version == 1:
            first = read_artefact("mlflow:models:/late@challenger")
    second = read_artefact("mlflow:models:/late@challenger")
    with open_isolated("mlflow:models:/late@challenger", artefact=first) as model:
        block = pa.record_batch(
            {
                "decision_position": pa.array([1, 2], pa.int64()),
                "decision_id": ["a", "b"],
                "f.x": [0.0, 2.0],
                "f.y": [0.0, 1.0],
            }
        )
        scores = model.score(
            block.cast(
                pa.schema(
                    [
                        block.schema.field(0),
                        block.schema.field(1),
                        ("f.x", pa.float32()),
                        ("f.y", pa.float32()),
                    ]
                )
            )
        )
        inputs = model.info.inputs
    sys.stdout.write(
        json.dumps(
            {
                "first": first.path,
                "second": second.path,
                "moved": first.digest != second.digest,
                "inputs": inputs,
                "scores": scores["score"].to_pylist(),
                "errors": scores["error"].to_pylist(),
                "pickle": pickled(folder),
            }
        )
    )


def pickled(folder: Path) -> list[str]:
    """Return what is said of a model whose flavor unpickles: unpinned, then pinned."""
    import mlflow.pyfunc

    class Half(mlflow.pyfunc.PythonModel):
        def predict(self, context, model_input):
            return model_input["x"] / 2

    mlflow.pyfunc.save_model(str(folder / "half"), python_model=Half(), pip_requirements=[])
    try:
        with open_isolated("mlflow:half", inputs=["x"], folder=folder):
            return ["it was loaded"]
    except PickleRefused as refused:
        said = [str(refused)]
    pinned = read_artefact("mlflow:half", folder).digest
    with open_isolated(f"mlflow:half?pickle={pinned}", inputs=["x"], folder=folder) as model:
        block = pa.record_batch(
            {"decision_position": pa.array([1], pa.int64()), "decision_id": ["a"], "f.x": [3.0]}
        )
        return [*said, str(model.score(block)["score"][0].as_py())]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
