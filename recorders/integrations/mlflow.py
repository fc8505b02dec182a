"""MLflow: a model that is logged, served by MLflow's own server, and records where it is served.

A pyfunc that was loaded in a service of one's own needs less: `RecordedModel(mlflow.pyfunc.load_model(uri),
recorder)`.
"""

from collections.abc import Callable
from typing import Any

from recorders.integrations.model import RecordedModel
from recorders.recorder import Recorder


def recorded_pyfunc(load: Callable[[Any], Any], start: Callable[[], Recorder], **output: Any) -> Any:
    """Return an `mlflow.pyfunc.PythonModel` to save or log. MLflow is imported here.

    In the process that serves it, `load(context)` returns the model (its files are `context.artifacts`) and
    `start()` the recorder; both are called once, when the model is loaded. `output` are keywords of
    RecordedModel: method, column, threshold, decisions, known. What is answered is the method's result.
    """
    from mlflow.pyfunc import PythonModel

    class RecordedPyfunc(PythonModel):  # type: ignore[misc]  # MLflow's types are not followed
        """The model and its recorder, made where it is loaded: neither is saved with it."""

        def load_context(self, context: Any) -> None:
            self._model = RecordedModel(load(context), start(), **output)

        def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ARG002  # MLflow's
            return self._model.call(model_input)

    return RecordedPyfunc()
