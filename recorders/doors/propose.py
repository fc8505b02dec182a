"""Propose: a mapping for a sample, for a person to read, correct and keep."""

import json
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

from recorders.doors.casts import Cell
from recorders.doors.errors import SampleUnusable, Unreadable
from recorders.doors.mapping import Mapping
from recorders.doors.paths import quoted
from recorders.doors.samples import documents_in, guess, none_in
from recorders.doors.sources import DECISION_DEFAULTS
from recorders.doors.translate import Translator
from recorders.errors import InvalidEvent
from recorders.fields import FIELDS_MAX

SAMPLE_ROWS: Final = 1_000
# Where the features lie in a source's documents, "" for the document itself.
_HOLDERS: Final = {
    "kserve": "input",
    "seldon": "input",
    "sagemaker": "input",
    "inference-table": "input",
    "cloudevents": "data",
    "otlp": "attributes",
    "lines": "features",
    "bentoml": "",
    "table": "",
}
# What a name says of a value, from the surest to the vaguest.
_ROLES: Final = (
    ("decision_id", ("decision_id", "request_id", "order_id", "transaction_id", "id")),
    ("occurred_at", ("occurred_at", "event_time", "timestamp", "time", "created_at", "date")),
    ("score", ("score", "probability", "proba", "prediction_score", "p")),
    ("decision", ("decision", "prediction", "pred", "predicted_label", "class")),
    ("unit", ("unit", "user_id", "user", "account_id", "customer_id")),
    ("model", ("model", "model_name")),
    ("model_version", ("model_version",)),
    ("propensity", ("propensity",)),
    ("inclusion", ("inclusion", "sampling_fraction")),
    ("latency_us", ("latency_us",)),
    ("trace_id", ("trace_id",)),
)
_KNOWN: Final = frozenset({"label", "value", "bento_meta"})
_OUTCOME: Final = ("", "[outcome]", 'label = "label"', 'value = "value"')


class Found(NamedTuple):
    """A value of the sample: its path, and the field type that all its values have."""

    path: str
    name: str
    type: str


def propose(path: Path, decision_point: str, source: str | None = None) -> str:
    """Return a mapping in TOML for what a file holds. It is a proposal: names were guessed, types were seen.

    The file is any that `harness log import` reads, a body as a server was sent it (of OTLP in protobuf, if
    `source` says so), or a JSON object a line: CloudEvents in structured mode, OTLP export requests.

    Raises:
        SampleUnusable: nothing in the file can be told.
    """
    if path.exists() and not path.is_file():
        raise SampleUnusable(path, "it is no regular file, and is read more than once")
    try:
        kind = source or guess(path)
        seen = list(islice(documents_in(path, kind), SAMPLE_ROWS)) or none_in(path, kind)
    except Unreadable as error:
        raise SampleUnusable(path, error.what) from error
    holder = _HOLDERS[kind]
    if kind == "otlp" and _held(seen, "body") > _held(seen, "attributes"):
        holder = "body"
    elif kind == "lines" and not any(_inside(document, holder) for document in seen):
        holder = ""
    values = _leaves([_inside(document, holder) if holder else document for document in seen], holder)
    roles = {} if holder == "input" else _roles(values)
    taken = {found.path for found in roles.values()}
    fields = [found for found in values if found.path not in taken and found.name not in _KNOWN][:FIELDS_MAX]
    if not fields:
        raise SampleUnusable(path, "it holds nothing that a feature could be; answers alone have none")
    text = _mapping(kind, decision_point, seen, fields, roles)
    note = f"# Proposed from {len(seen)} rows of {path.name}. Read it: names were guessed, types seen.\n"
    if _nameless_zone(text, seen):
        text = text.replace("\n\n", '\nzone = "UTC"  # guessed: the instants of the sample name none\n\n', 1)
    return note + text


def _mapping(
    kind: str,
    decision_point: str,
    seen: list[dict[str, Any]],
    fields: list[Found],
    roles: dict[str, Found],
) -> str:
    named = DECISION_DEFAULTS[kind]
    missing = [
        key
        for key in ("decision_id", "occurred_at")
        if named.get(key) == key and key not in roles and not any(key in document for document in seen)
    ]
    lines = [
        f'source = "{kind}"',
        f"decision_point = {json.dumps(decision_point)}",
        "",
        "[feature_set]",
        f'name = "{_name(decision_point)}"',
        "version = 1",
        "fields = [",
        *(f'    {{ name = "{found.name}", type = "{found.type}" }},' for found in fields),
        "]",
        "",
        "[decision]",
        *(_entry(key, found) for key, found in roles.items() if not _default(kind, key, found)),
        *(f'# {key} = "..."  # needed, and no name tells it' for key in missing),
        *_answers(seen),
        "",
        "[fields]",
        *(f"{_key(found.name)} = {_text(found.path)}" for found in fields),
        *(_OUTCOME if any({"label", "value"} <= set(document) for document in seen) else ()),
    ]
    return "\n".join(lines) + "\n"


def _nameless_zone(text: str, seen: list[dict[str, Any]]) -> bool:
    """Whether most rows of the sample have instants that say nothing of their zone."""
    translator = Translator(Mapping.from_toml(text))
    naive = 0
    for document in seen:
        try:
            translator.events(document)
        except InvalidEvent as error:
            naive += error.reason == "naive"
    return naive * 2 > len(seen)


def _held(seen: list[dict[str, Any]], holder: str) -> int:
    """Return how many values lie there. Where in the code a record was made is nothing that a model saw."""
    objects = (document[holder] for document in seen if type(document.get(holder)) is dict)
    return sum(not name.startswith("code.") for found in objects for name in found)


def _inside(document: dict[str, Any], holder: str) -> Any:
    return document.get(holder)


def _leaves(rows: list[Any], prefix: str) -> list[Found]:
    """Return every value of the rows by its path, in order of first sight."""
    seen: dict[str, list[Any]] = {}
    names: dict[str, str] = {}
    for row in (row for row in rows if row is not None):
        for path, name, value in _walk(row, prefix, ""):
            seen.setdefault(path, []).append(value)
            names[path] = name
    found, used = [], set()
    for path, values in seen.items():
        kind = _type([value for value in values if value is not None])
        name = _name(names[path])
        while name in used:
            name += "_"
        if kind:
            used.add(name)
            found.append(Found(path, name, kind))
    return found


def _walk(value: Any, path: str, name: str) -> Iterator[tuple[str, str, Any]]:
    if type(value) is dict:
        for key, inner in value.items():
            step = quoted(key)
            yield from _walk(inner, f"{path}.{step}" if path else step, f"{name}_{key}" if name else key)
    elif type(value) is list and name == "":
        for place, inner in enumerate(value):
            yield from _walk(inner, f"{path}[{place}]", f"x{place}")
    elif name or path:
        yield path, name or "x", value


def _type(values: list[Any]) -> str:
    """Return the field type of all values, "" for what no field holds."""
    if values and all(type(value) is list for value in values):
        plain = all(type(item) in (int, float) for value in values for item in value)
        return "list[float64]" if plain else ""
    cells = [_cell(value) if type(value) is Cell else value for value in values]
    if any(isinstance(value, dict | list) for value in cells):
        return ""
    numbers = [value for value in cells if type(value) in (int, float)]
    if len(numbers) * 2 > len(cells) and not any(type(value) is Cell for value in values):
        cells = numbers  # the others are refused, each with its reason; as text, the numbers would be
    kinds = {type(value) for value in cells}
    for kind, members in (("bool", {bool}), ("int64", {int}), ("float64", {int, float})):
        if kinds and kinds <= members:
            return kind
    return "timestamp" if kinds and all(hasattr(value, "tzinfo") for value in cells) else "category"


def _cell(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return True
    for parse in (int, float):
        try:
            found = parse(text)
        except ValueError:
            continue
        # A number that begins with 0 is a code: a whole number would lose the zero.
        return str(text) if parse is int and len(text) > 1 and text[0] == "0" else found
    return str(text)


def _roles(values: list[Found]) -> dict[str, Found]:
    by_name = {found.name.lower(): found for found in reversed(values)}
    roles: dict[str, Found] = {}
    for key, words in _ROLES:
        for word in words:
            found = by_name.get(word)
            if found is not None and found not in roles.values():
                roles[key] = found
                break
    return roles


def _default(kind: str, key: str, found: Found) -> bool:
    """Whether the source looks there anyway."""
    paths = DECISION_DEFAULTS[kind].get(key, ())
    number = key == "occurred_at" and found.type in ("int64", "float64")
    return not number and (found.path == paths or found.path in (paths if isinstance(paths, list) else ()))


def _entry(key: str, found: Found) -> str:
    if key == "occurred_at" and found.type in ("int64", "float64"):
        return f'{key} = {{ path = {_text(found.path)}, unit = "s" }}  # or ms, us, ns'
    if key == "occurred_at":
        return f'{key} = {_text(found.path)}  # without an offset it needs zone = "..."'
    return f"{key} = {_text(found.path)}"


def _answers(seen: list[dict[str, Any]]) -> Iterator[str]:
    """Yield what the answers of servers may be: a score if they are numbers that are no whole ones."""
    outputs = [document["output"] for document in seen if document.get("output") is not None]
    for found in _leaves(outputs, "output") if outputs else ():
        key = (
            "score" if found.type == "float64" else "decision" if found.type != "list[float64]" else "# score"
        )
        end = "[1]" if found.type == "list[float64]" else ""
        yield f"{key} = {_text(found.path + end)}"
        return


def _name(text: str) -> str:
    name = re.sub(r"[^A-Za-z0-9_.\-]", "_", text)[:128]
    return name if re.match(r"[A-Za-z_]", name) else f"x{name}"[:128]


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_\-]+", name) else f'"{name}"'


def _text(path: str) -> str:
    return json.dumps(path, ensure_ascii=False)


def fits(text: str, path: Path) -> tuple[int, int, list[str]]:
    """Return how many rows of a sample a mapping takes, how many it refuses, and why the first ones."""
    mapping = Mapping.from_toml(text)
    translator = Translator(mapping)
    taken, refused = 0, []
    for row, document in enumerate(islice(documents_in(path, mapping.source), SAMPLE_ROWS)):
        try:
            translator.events(document, row=row)
            taken += 1
        except InvalidEvent as error:
            refused.append(str(error))
    return taken, len(refused), refused[:3]
