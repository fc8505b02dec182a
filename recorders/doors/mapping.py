"""Mappings: which places of a foreign payload are which values of an event, declared in TOML."""

import tomllib
import zoneinfo
from collections.abc import Mapping as Table
from pathlib import Path
from typing import Any, Final

import msgspec

from recorders.canonical import canonical_json, digest
from recorders.doors.casts import UNITS_US
from recorders.doors.errors import MappingError
from recorders.doors.paths import quoted
from recorders.errors import FeatureSetError
from recorders.events import ENVELOPE
from recorders.fields import FeatureSet

SOURCES: Final = (
    "kserve", "seldon", "cloudevents", "otlp", "lines", "sagemaker", "bentoml", "inference-table", "table",
)  # fmt: skip
DECISION_KEYS: Final = tuple(name for name, _, _ in ENVELOPE)
OUTCOME_KEYS: Final = ("decision_id", "label", "value", "occurred_at")
_UNKNOWN: Final = "unknown"


class Pick(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where one value comes from: the first of `paths` that is there, else `value`.

    `unit` (s, ms, us, ns) is that of instants as numbers, `zone` that of instants without one.
    """

    paths: tuple[str, ...] = ()
    value: str | float | bool | None = None
    unit: str = ""
    zone: str = ""


class Mapping(msgspec.Struct, frozen=True):
    """A mapping as it is used: every default written out.

    `match` holds the text that a document must have at each path for the mapping to apply.
    """

    source: str
    decision_point: str
    feature_set: FeatureSet
    match: dict[str, str]
    decision: dict[str, Pick]
    fields: dict[str, Pick]
    outcome: dict[str, Pick]

    @property
    def digest(self) -> str:
        """The mapping's identity: what it makes of a payload depends on nothing else (64 hex digits)."""
        return digest(canonical_json(msgspec.to_builtins(self)))

    @classmethod
    def from_toml(cls, source: Path | str) -> "Mapping":
        """Return the mapping that a file declares; a `str` with a line break is the document itself.

        `feature_set` is a table, or the path of a feature set's file beside the mapping.

        Raises:
            MappingError: no such file, no TOML, an unknown key (the nearest known one is named), a value that
                cannot be, or a field that the feature set does not declare.
        """
        inline = isinstance(source, str) and "\n" in source
        text, folder = (str(source), Path()) if inline else _read(Path(source))
        try:
            document = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise MappingError(
                f"The mapping is not TOML: {error}.", "Expected TOML.", "Mend the line that it names."
            ) from error
        return _of_document(document, folder)


# By name, where a source has names for it; written as paths of the documents that docs/doors.md describes.
_SERVED: Final = {"decision_id": "event.id", "occurred_at": "event.time", "latency_us": "latency_us"}
_BY_NAME: Final = {name: name for name in DECISION_KEYS}
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
_FIELDS: Final[Table[str, tuple[str, ...]]] = {
    "kserve": ("input.",), "seldon": ("input.",), "cloudevents": ("data.",), "otlp": ("attributes.", "body."),
    "lines": ("features.", ""), "table": ("",), "sagemaker": ("input.",), "bentoml": ("",),
    "inference-table": ("input.",),
}  # fmt: skip
_OWN_US: Final = ("time_us",)


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    path: str | list[str] = []
    value: str | float | bool | None = None
    unit: str = ""
    zone: str = ""


_Given = str | list[str] | _Entry


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    source: str
    decision_point: str
    feature_set: str | dict[str, Any]
    zone: str = ""
    match: dict[str, str] = {}
    decision: dict[str, _Given] = {}
    fields: dict[str, _Given] = {}
    outcome: dict[str, _Given] = {}


def _read(path: Path) -> tuple[str, Path]:
    try:
        return path.read_text(encoding="utf-8"), path.parent
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(
            f"Cannot read {path}: {error}.", "Expected a mapping in TOML.", "Check the path."
        ) from error


def _of_document(document: dict[str, Any], folder: Path) -> Mapping:
    for key in document:
        if key not in _Document.__struct_fields__:
            raise MappingError.unknown("The mapping", key, _Document.__struct_fields__)
    try:
        given = msgspec.convert(document, _Document)
    except msgspec.ValidationError as error:
        raise MappingError(
            f"The mapping cannot be used: {error}.", "Expected what docs/doors.md lists.", "Correct it."
        ) from error
    if given.source not in SOURCES:
        raise MappingError.unknown("`source`", given.source, SOURCES)
    _check_zone("zone", given.zone)
    declared = _feature_set(given.feature_set, folder)
    decision = _picks("decision", given.decision, DECISION_KEYS, given.zone)
    decision = _decision(given, decision)
    outcome = _outcome(given, decision)
    known = [field.name for field in declared.fields]
    return Mapping(
        source=given.source,
        decision_point=_point(given.decision_point),
        feature_set=declared,
        match=given.match,
        decision=decision,
        fields=_by_name(given.source, declared, given.zone)
        | _picks("fields", given.fields, known, given.zone),
        outcome=outcome,
    )


def _decision(given: _Document, picks: dict[str, Pick]) -> dict[str, Pick]:
    defaults = {key: _default(path, given.zone) for key, path in DECISION_DEFAULTS[given.source].items()}
    merged = defaults | picks
    for key, fallback in (("model", given.decision_point), ("model_version", _UNKNOWN)):
        pick = merged.get(key, Pick())
        if pick.value is None:
            merged[key] = msgspec.structs.replace(pick, value=fallback)
    return merged


def _outcome(given: _Document, decision: dict[str, Pick]) -> dict[str, Pick]:
    """Return where outcomes come from; nothing if the mapping declares none."""
    picks = _picks("outcome", given.outcome, OUTCOME_KEYS, given.zone)
    if not picks:
        return {}
    defaults = {
        key: _default(path, given.zone) for key, path in OUTCOME_DEFAULTS.get(given.source, {}).items()
    }
    for key in ("decision_id", "occurred_at"):
        defaults.setdefault(key, decision[key])
    merged = defaults | picks
    for key in ("label", "value"):
        if key not in merged:
            raise MappingError(
                f"[outcome] has no {key!r}.", "Expected label and value.", f"Add a line `{key} = ...`."
            )
    return merged


def _default(path: str | list[str], zone: str) -> Pick:
    paths = (path,) if isinstance(path, str) else tuple(path)
    return Pick(paths, None, "us" if paths == _OWN_US else "", zone)


def _by_name(source: str, feature_set: FeatureSet, zone: str) -> dict[str, Pick]:
    return {
        field.name: Pick(tuple(prefix + quoted(field.name) for prefix in _FIELDS[source]), None, "", zone)
        for field in feature_set.fields
    }


def _picks(where: str, given: Table[str, _Given], known: Any, zone: str) -> dict[str, Pick]:
    picks = {}
    for key, entry in given.items():
        if key not in known:
            raise MappingError.unknown(f"[{where}]", key, known)
        spec = entry if isinstance(entry, _Entry) else _Entry(path=entry)
        if spec.unit and spec.unit not in UNITS_US:
            raise MappingError.unknown(f"[{where}] {key}: unit", spec.unit, UNITS_US)
        _check_zone(f"[{where}] {key}: zone", spec.zone)
        paths = (spec.path,) if isinstance(spec.path, str) else tuple(spec.path)
        picks[key] = Pick(paths, spec.value, spec.unit, spec.zone or zone)
    return picks


def _check_zone(where: str, zone: str) -> None:
    if zone and zone not in zoneinfo.available_timezones():
        raise MappingError.unknown(where, zone, zoneinfo.available_timezones())


def _point(name: str) -> str:
    if not name or len(name.encode()) > 200 or "\0" in name:  # noqa: PLR2004  # bytes, as on the wire
        raise MappingError(
            f"decision_point is {name[:60]!r}.",
            "Expected a name of 1 to 200 bytes.",
            "Name it, such as shop.fraud.",
        )
    return name


def _feature_set(given: str | dict[str, Any], folder: Path) -> FeatureSet:
    try:
        return (
            FeatureSet.from_json(given) if isinstance(given, dict) else FeatureSet.from_toml(folder / given)
        )
    except FeatureSetError as error:
        raise MappingError(f"feature_set: {error.happened}", error.expected, error.remedy) from error
