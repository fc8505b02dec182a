"""Each model as mlflow has it: saved under the flavor of its library, loaded as a pyfunc."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.replays.by_hand import Score
from benchmarks.replays.models import ONNX_FILE, SESSION

FOLDER = "mlflow"
# What mlflow refuses to save where it is not named; the files are the benchmark's own.
_TRUSTED = [
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
]


def pyfuncs(fitted: dict[str, Any], folder: Path) -> dict[str, Score]:
    """Return how to call each: scikit-learn's models, and `onnx`, which stands in the folder already."""
    # mlflow loads no flavor of scikit-learn without it, whatever the format that it was saved in.
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "true"
    import mlflow.onnx
    import mlflow.pyfunc
    import mlflow.sklearn
    import onnx

    places = {name: str(folder / FOLDER / name) for name in (*fitted, "onnx")}
    for name, model in fitted.items():
        mlflow.sklearn.save_model(
            model,
            places[name],
            pyfunc_predict_fn="predict_proba",
            pip_requirements=[],
            skops_trusted_types=_TRUSTED,
        )
    mlflow.onnx.save_model(
        onnx.load(folder / ONNX_FILE),
        places["onnx"],
        onnx_execution_providers=["CPUExecutionProvider"],
        onnx_session_options=SESSION,
        pip_requirements=[],
    )
    return {name: _score(mlflow.pyfunc.load_model(place)) for name, place in places.items()}


def _score(model: Any) -> Score:
    """Return the call that answers a probability a row: the last column that the pyfunc gives."""
    return lambda frame: np.asarray(model.predict(frame))[:, -1]
