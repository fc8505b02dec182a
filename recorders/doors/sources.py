"""Sources: who writes what is mapped, and where values lie in it unless a mapping says otherwise."""

from collections.abc import Mapping as Table
from typing import Final

from recorders.events import ENVELOPE

SOURCES: Final = (
    "kserve", "seldon", "cloudevents", "otlp", "lines", "sagemaker", "bentoml", "inference-table", "table",
)  # fmt: skip

# By name, where a source has names for it; written as paths of the documents that docs/doors.md describes.
_SERVED: Final = {"decision_id": "event.id", "occurred_at": "event.time", "latency_us": "latency_us"}
_BY_NAME: Final = {name: name for name, _, _ in ENVELOPE}
DECISION_DEFAULTS: Final[Table[str, Table[str, str | list[str]]]] = {
    "kserve": _SERVED
    | {
        "model": "event.inferenceservicename",
        "model_version": "response.model_version",
        "trace_id": "event.metadata.X-Request-Id[0]",
    },
    "seldon": _SERVED | {"decision_id": "event.requestid", "model": "event.modelid"},
    "cloudevents": _BY_NAME | {"decision_id": "event.id", "occurred_at": "event.time"},
    "otlp": {
        "decision_id": ["attributes.decision_id", "id"],
        "occurred_at": "time_us",
        "trace_id": "trace_id",
        "model": 'resource."service.name"',
        "model_version": 'resource."service.version"',
    },
    "lines": _BY_NAME,
    "table": _BY_NAME,
    "sagemaker": {
        "decision_id": ["event.inferenceId", "event.eventId"],
        "occurred_at": "event.inferenceTime",
    },
    "bentoml": {"decision_id": "request_id", "occurred_at": "timestamp", "trace_id": "trace_id"},
    "inference-table": {
        "decision_id": ["client_request_id", "databricks_request_id"],
        "occurred_at": "time_us",
        "latency_us": "latency_us",
        "inclusion": "sampling_fraction",
        "model_version": "served_entity_id",
    },
}
OUTCOME_DEFAULTS: Final[Table[str, Table[str, str | list[str]]]] = {
    "seldon": {
        "decision_id": ["feedback.response.meta.puid", "event.requestid"],
        "value": "feedback.reward",
        "occurred_at": "event.time",
    },
}
FIELD_PREFIXES: Final[Table[str, tuple[str, ...]]] = {
    "kserve": ("input.",), "seldon": ("input.",), "cloudevents": ("data.",), "otlp": ("attributes.", "body."),
    "lines": ("features.", ""), "table": ("",), "sagemaker": ("input.",), "bentoml": ("",),
    "inference-table": ("input.",),
}  # fmt: skip
