"""OTLP/HTTP logs: an export request, protobuf or JSON, as one document a log record; and the answer to it."""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from recorders.doors import protobuf
from recorders.doors.bodies import opened_text, parse_json
from recorders.doors.errors import Unreadable

PROTOBUF: Final = b"application/x-protobuf"
JSON: Final = b"application/json"
# Numbers of the fields of LogRecord.
_TIME, _SEVERITY, _BODY, _ATTRIBUTES, _TRACE, _SPAN, _OBSERVED, _EVENT = 1, 3, 5, 6, 9, 10, 11, 12
_RESPONSE_MESSAGE_MAX: Final = 1_000


def read(content_type: bytes, body: bytes) -> list[dict[str, Any]]:
    """Return the documents of one export request, one a log record.

    Their keys: `body`, `attributes`, `resource`, `scope`, `time_us`, `trace_id`, `span_id`, `severity`,
    `event_name`, `id`. `time_us` is when it happened, else when it was observed, in microseconds. `id` is a
    digest of trace, span, time, body and attributes: the same record has the same one, however often it is
    sent. A body that is the text of a JSON object is that object, unless it is nested more than 500 deep.

    Raises:
        Unreadable: the body is not what `content_type` says.
    """
    kind = content_type.split(b";", 1)[0].strip().lower()
    if kind == PROTOBUF:
        records = list(_of_protobuf(memoryview(body)))
    elif kind == JSON:
        records = list(_of_json(parse_json(body)))
    else:
        raise Unreadable(f"its type is {kind.decode('latin-1')[:60]!r}", reason="content_type")
    return [_document(record) for record in records]


def answer(content_type: bytes, rejected: int, message: str) -> bytes:
    """Return the body of an export response, in the form of its request.

    >>> answer(b"application/json", 2, "no id")
    b'{"partialSuccess":{"rejectedLogRecords":"2","errorMessage":"no id"}}'
    >>> answer(b"application/x-protobuf", 2, "no id").hex()
    '0a09080212056e6f206964'
    """
    short = message[:_RESPONSE_MESSAGE_MAX]
    if content_type.split(b";", 1)[0].strip().lower() == JSON:
        partial = {"rejectedLogRecords": str(rejected), "errorMessage": short}
        return msgspec.json.encode({"partialSuccess": partial} if rejected or short else {})
    if not rejected and not short:
        return b""
    text = short.encode("utf-8", "replace")
    inner = (b"\x08" + _varint(rejected) if rejected else b"") + b"\x12" + _varint(len(text)) + text
    return b"\x0a" + _varint(len(inner)) + inner


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:  # noqa: PLR2004  # seven bits a byte
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def _document(record: dict[str, Any]) -> dict[str, Any]:
    body = record["body"]
    if type(body) is str and body[:1] == "{":
        record["body"] = opened_text(body)
    record["time_us"] = record.pop("time_ns") // 1000
    try:
        known = msgspec.msgpack.encode(
            [record[key] for key in ("trace_id", "span_id", "time_us", "body", "attributes")], order="sorted"
        )
    except (OverflowError, RecursionError) as error:
        raise Unreadable(f"a record holds a value that cannot be kept ({error})") from error
    record["id"] = hashlib.sha256(known).hexdigest()[:32]
    return record


def _of_protobuf(data: memoryview) -> Iterator[dict[str, Any]]:
    for resource_logs in protobuf.listed(data, 1):
        resource: dict[str, Any] = {}
        scopes = []
        for number, part in protobuf.fields(resource_logs):
            if number == 1:
                resource = protobuf.attributes(protobuf.listed(part, 1))
            elif number == 2:  # noqa: PLR2004  # ResourceLogs.scope_logs
                scopes.append(part)
        for scope_logs in scopes:
            scope = ""
            records = []
            for number, part in protobuf.fields(scope_logs):
                if number == 1:
                    scope = "".join(protobuf.text(name) for name in protobuf.listed(part, 1))
                elif number == 2:  # noqa: PLR2004  # ScopeLogs.log_records
                    records.append(part)
            for record in records:
                yield _record(record) | {"resource": resource, "scope": scope}


def _record(data: memoryview) -> dict[str, Any]:
    values: dict[int, Any] = {}
    attributes = []
    for number, part in protobuf.fields(data):
        if number == _ATTRIBUTES:
            attributes.append(part)
        else:
            values[number] = part
    return {
        "body": protobuf.any_value(values[_BODY]) if _BODY in values else None,
        "attributes": protobuf.attributes(attributes),
        "time_ns": protobuf.whole(values.get(_TIME, 0)) or protobuf.whole(values.get(_OBSERVED, 0)),
        "trace_id": _identifier(values.get(_TRACE)),
        "span_id": _identifier(values.get(_SPAN)),
        "severity": protobuf.text(values.get(_SEVERITY, memoryview(b""))),
        "event_name": protobuf.text(values.get(_EVENT, memoryview(b""))),
    }


def _identifier(value: Any) -> str | None:
    if value is not None and not isinstance(value, memoryview):
        raise Unreadable("a trace or span id is no bytes")
    return value.hex() if value is not None and any(value) else None


def _of_json(document: Any) -> Iterator[dict[str, Any]]:
    for resource_logs in _list(document, "resourceLogs"):
        resource = _json_attributes(_object(resource_logs, "resource"))
        for scope_logs in _list(resource_logs, "scopeLogs"):
            scope = str(_object(scope_logs, "scope").get("name", ""))
            for record in _list(scope_logs, "logRecords"):
                yield _json_record(record) | {"resource": resource, "scope": scope}


def _json_record(record: Any) -> dict[str, Any]:
    if type(record) is not dict:
        raise Unreadable("a log record is no object")
    return {
        "body": _json_value(record["body"]) if "body" in record else None,
        "attributes": _json_attributes(record),
        "time_ns": _json_int(record.get("timeUnixNano", 0))
        or _json_int(record.get("observedTimeUnixNano", 0)),
        "trace_id": str(record.get("traceId") or "").lower() or None,
        "span_id": str(record.get("spanId") or "").lower() or None,
        "severity": str(record.get("severityText", "")),
        "event_name": str(record.get("eventName", "")),
    }


def _json_attributes(holder: dict[str, Any]) -> dict[str, Any]:
    return {
        str(_checked(entry).get("key", "")): _json_value(entry.get("value"))
        for entry in _list(holder, "attributes")
    }


def _json_value(value: Any, depth: int = 0) -> Any:
    if depth > protobuf.DEPTH_MAX:
        raise Unreadable(f"a value is nested deeper than {protobuf.DEPTH_MAX}")
    if value is None or value == {}:
        return None
    ((kind, held), *more) = _checked(value).items()
    if more:
        raise Unreadable("a value has two kinds")
    if kind == "arrayValue":
        return [_json_value(item, depth + 1) for item in _list(held, "values")]
    if kind == "kvlistValue":
        return {
            str(_checked(entry).get("key", "")): _json_value(entry.get("value"), depth + 1)
            for entry in _list(held, "values")
        }
    if kind not in _SCALARS:
        raise Unreadable(f"a value of the kind {kind[:40]!r}")
    return _SCALARS[kind](held)


def _json_text(held: Any) -> str:
    if type(held) is not str:
        raise Unreadable("a stringValue is no text")
    return held


def _json_bool(held: Any) -> bool:
    if type(held) is not bool:
        raise Unreadable("a boolValue is neither true nor false")
    return held


def _json_bytes(held: Any) -> bytes:
    try:
        return base64.b64decode(held, validate=True)
    except (binascii.Error, TypeError, ValueError) as error:
        raise Unreadable(f"bytes are not base64 ({error})") from error


def _json_double(held: Any) -> float:
    if type(held) in (int, float):
        return float(held)
    if held not in ("NaN", "Infinity", "-Infinity"):
        raise Unreadable(f"a double is {str(held)[:40]!r}")
    return float(held)


def _json_int(held: Any) -> int:
    try:
        number = int(held) if type(held) in (int, str) and len(str(held)) <= 20 else None  # noqa: PLR2004
    except ValueError:
        number = None
    if number is None:
        raise Unreadable(f"an integer is {str(held)[:40]!r}")
    return number


def _checked(value: Any) -> dict[str, Any]:
    if type(value) is not dict:
        raise Unreadable("an object is expected where another value stands")
    return value


def _object(holder: Any, key: str) -> dict[str, Any]:
    return _checked(_checked(holder).get(key) or {})


def _list(holder: Any, key: str) -> list[Any]:
    found = _checked(holder).get(key) or []
    if type(found) is not list:
        raise Unreadable(f"{key[:40]} is no list")
    return found


_SCALARS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "stringValue": _json_text,
    "boolValue": _json_bool,
    "intValue": _json_int,
    "doubleValue": _json_double,
    "bytesValue": _json_bytes,
}
