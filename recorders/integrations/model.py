"""A model that records what it answers: scikit-learn estimators, loaded MLflow models, boosters."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from recorders.integrations.rows import Output, answers, snapshots
from recorders.pending import Known
from recorders.recorder import Recorder

KnownOf = Callable[[int, Mapping[str, object]], Known]


class RecordedModel:
    """`model`, and every row that its `method` answers is a decision. All else is the model's own.

    `method` is by default `predict_proba`, else `predict`: only one is recorded, for a service that calls
    both for a request decided once. `column`, `threshold` and `decisions` say what its answer means, in the
    words of a model's URI, so that a replay of the same model answers alike. `known(row, features)` adds what
    else is known of a row, such as `decision_id` and `unit`. An input without names has the model's
    `feature_names_in_`, else the feature set's features, in order.
    """

    def __init__(  # each is a word of the model's URI
        self,
        model: Any,
        recorder: Recorder,
        *,
        method: str | None = None,
        column: int | None = None,
        threshold: float | None = None,
        decisions: tuple[str, str] = ("true", "false"),
        known: KnownOf | None = None,
    ) -> None:
        self.recorded_model = model
        self._recorder = recorder
        self._method = method or ("predict_proba" if hasattr(model, "predict_proba") else "predict")
        self._output = Output(column, threshold, decisions)
        self._known = known
        if not callable(getattr(model, self._method, None)):
            raise TypeError(f"The {type(model).__name__} has no method {self._method!r} to record.")

    def __getattr__(self, name: str) -> Any:
        """Return the model's attribute; the recorded method records what it returns."""
        if name == "recorded_model" or (name.startswith("__") and not name.startswith("__sklearn_")):
            raise AttributeError(name)  # while this is copied or unpickled there is no model to ask
        found = getattr(self.recorded_model, name)
        return self._recording(found) if name == self._method else found

    def call(self, data: Any) -> Any:
        """Return what the recorded method answers to `data`."""
        return getattr(self, self._method)(data)

    def __reduce__(self) -> Any:
        """Refuse to be pickled: the recorder's queue and thread belong to this process."""
        raise TypeError("A RecordedModel cannot be pickled. Pickle its `recorded_model`, and wrap it again.")

    def _recording(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def recording(data: Any, *args: Any, **kwargs: Any) -> Any:
            since_ns = time.perf_counter_ns()
            result = method(data, *args, **kwargs)
            latency_us = (time.perf_counter_ns() - since_ns) // 1000
            self._recorder.guarded(self._record, data, result, latency_us)
            return result

        return recording

    def _record(self, data: Any, result: Any, latency_us: int) -> None:
        given = answers(result)
        for row, (features, answer) in enumerate(zip(self._snapshots(data), given, strict=True)):
            self._recorder.guarded(self._record_row, row, features, answer, latency_us)

    def _record_row(self, row: int, features: dict[str, object], answer: Any, latency_us: int) -> None:
        found: Any = answer if isinstance(answer, Mapping) else self._output.read(answer)
        more: Any = {} if self._known is None else self._known(row, features)
        known: Any = {"latency_us": latency_us, **found, **more}
        self._recorder.record(features, **known)

    def _snapshots(self, data: Any) -> Any:
        feature_set = self._recorder.feature_set
        fitted = getattr(self.recorded_model, "feature_names_in_", None)
        order: Sequence[str] = (
            [field.name for field in feature_set.fields if field.role == "feature"]
            if fitted is None
            else [str(name) for name in fitted]
        )
        return snapshots(data, feature_set, order)
