"""An MLflow model that records where it is served.

`python -m tests.support.pyfunc_service serve FOLDER SOCKET` saves it, loads it and serves it: MLflow takes
seconds to be imported, so one process does all three.
"""

import os
import sys
import warnings
from pathlib import Path
from typing import Any

with warnings.catch_warnings(action="ignore"):  # MLflow warns of its own types when it is imported
    import mlflow

from recorders import FeatureSet, Field, Recorder
from recorders.inprocess import InProcessLink
from recorders.integrations.mlflow import recorded_pyfunc

FEATURES = FeatureSet("checkout", 1, (Field("amount", "float64"), Field("country", "category")))


def load(context: Any) -> Any:
    """Return a model whose weight is an artifact."""
    weight = float(Path(context.artifacts["weight"]).read_text())

    class Weighed:
        def predict(self, data: Any) -> Any:
            return (data["amount"] * weight).to_numpy()

    return Weighed()


def start() -> Recorder:
    link = InProcessLink(os.environ["HARNESS_DATABASE_URL"], [FEATURES])
    return Recorder("fraud.checkout", FEATURES, link, model="weighed", model_version="1")


def save(folder: str) -> None:
    weight = Path(folder).with_suffix(".weight")
    weight.write_text("0.125")
    model = recorded_pyfunc(load, start, threshold=0.5, decisions=("block", "allow"))
    mlflow.pyfunc.save_model(
        folder, python_model=model, artifacts={"weight": str(weight)}, pip_requirements=["shadow-harness"]
    )


def serve(folder: str, socket: str) -> None:
    import uvicorn
    from mlflow.pyfunc.scoring_server import init

    save(folder)
    uvicorn.run(init(mlflow.pyfunc.load_model(folder)), uds=socket, log_level="warning")


if __name__ == "__main__":
    from tests.support import pyfunc_service  # by its name: what __main__ defines is pickled as a whole

    getattr(pyfunc_service, sys.argv[1])(*sys.argv[2:])
