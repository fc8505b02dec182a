"""Mappings: which places of a foreign payload are which values of an event, declared in TOML."""

import difflib
import tomllib
import zoneinfo
from collections.abc import Mapping as Table
from pathlib import Path
from typing import Any, Final

import msgspec

from recorders.canonical import canonical_json, digest
from recorders.doors.casts import UNITS_US
from recorders.doors.errors import MappingError
from recorders.doors.paths import quoted, steps_of
from recorders.doors.sources import DECISION_DEFAULTS, FIELD_PREFIXES, OUTCOME_DEFAULTS, SOURCES
from recorders.errors import FeatureSetError
from recorders.events import ENVELOPE, usable_point
from recorders.fields import FeatureSet

DECISION_KEYS: Final = tuple(name for name, _, _ in ENVELOPE)
OUTCOME_KEYS: Final = ("decision_id", "label", "value", "occurred_at")
MAPPING_BYTES_MAX: Final = 2**20
# tomllib takes the square of the parts of a dotted key: half a minute for 20,000 of them in one line.
DOTS_MAX: Final = 256
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
    def asked(self) -> dict[str, tuple[str, ...]]:
        """The paths of each field, and of each key of [decision] that the source has not of its own."""
        own = {key: _default(path, "").paths for key, path in DECISION_DEFAULTS[self.source].items()}
        named = {key: pick.paths for key, pick in self.decision.items() if pick.paths != own.get(key)}
        fields = {name: pick.paths for name, pick in self.fields.items()}
        return {name: paths for name, paths in (named | fields).items() if paths}

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
        if isinstance(source, str) and "\n" in source:
            return _of_document(_parsed(source), Path())
        path = Path(source)
        try:
            return _of_document(_parsed(_read(path)), path.parent)
        except MappingError as error:
            raise MappingError(f"{path}: {error.happened}", error.expected, error.remedy) from error


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
    match: dict[str, Any] = {}
    decision: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    outcome: dict[str, Any] = {}


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(MAPPING_BYTES_MAX + 1)
        if len(data) > MAPPING_BYTES_MAX:
            raise MappingError(
                f"It is longer than {MAPPING_BYTES_MAX} bytes.",
                "Expected a mapping in TOML.",
                "Check the path.",
            )
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise MappingError(
            f"It cannot be read ({error}).", "Expected a mapping in TOML.", "Check the path."
        ) from error


def _parsed(text: str) -> dict[str, Any]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") > DOTS_MAX:
            raise MappingError(
                f"Line {number} of the mapping has {line.count('.'):,} dots.",
                f"Expected at most {DOTS_MAX}, in keys and values.",
                "Write it as tables, or in several lines.",
            )
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise MappingError(
            f"The mapping is not TOML: {error}.", "Expected TOML.", "Mend the line that it names."
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
    for path, stated in given.match.items():
        _converted(f"[match] {path}", stated, str)
        steps_of(path)
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
        field.name: Pick(
            tuple(prefix + quoted(field.name) for prefix in FIELD_PREFIXES[source]), None, "", zone
        )
        for field in feature_set.fields
    }


def _picks(where: str, given: Table[str, Any], known: Any, zone: str) -> dict[str, Pick]:
    picks = {}
    for key, entry in given.items():
        if key not in known:
            raise MappingError.unknown(f"[{where}]", key, known)
        found = _converted(f"[{where}] {key}", entry, _Given)
        spec = found if isinstance(found, _Entry) else _Entry(path=found)
        if spec.unit and spec.unit not in UNITS_US:
            raise MappingError.unknown(f"[{where}] {key}: unit", spec.unit, UNITS_US)
        _check_zone(f"[{where}] {key}: zone", spec.zone)
        paths = (spec.path,) if isinstance(spec.path, str) else tuple(spec.path)
        if not paths and spec.value is None:
            raise MappingError(
                f"[{where}] {key} names nothing.", "Expected a path or a value.", "Name one, or remove it."
            )
        for path in paths:
            steps_of(path)
        picks[key] = Pick(paths, spec.value, spec.unit, spec.zone or zone)
    return picks


def _converted(where: str, given: Any, kind: Any) -> Any:
    try:
        return msgspec.convert(given, kind)
    except msgspec.ValidationError as error:
        raise MappingError(
            f"{where} cannot be used: {error}.",
            "Expected a path, a list of paths, or a table of path, value, unit and zone."
            if kind is _Given
            else "Expected a text.",
            "Correct it.",
        ) from error


def _check_zone(where: str, zone: str) -> None:
    if zone and zone not in (known := zoneinfo.available_timezones()):
        near = difflib.get_close_matches(zone, sorted(known), n=1, cutoff=0.0)
        raise MappingError(
            f"{where} has {zone!r}.",
            "Expected the name of a time zone, such as UTC or Europe/Berlin.",
            f"Did you mean {near[0]!r}?" if near else "Install the time zones: pip install tzdata.",
        )


def _point(name: str) -> str:
    if not usable_point(name):
        raise MappingError(
            f"decision_point is {name[:60]!r}.",
            "Expected a name of 1 to 200 bytes without control characters.",
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
