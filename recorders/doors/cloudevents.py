"""CloudEvents over HTTP: binary, structured and batched; and what KServe and Seldon Core 1 send in them."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from recorders.doors.bodies import opened_text, parse_json
from recorders.doors.errors import Unreadable

# Type of the event: who sends it, and what it is.
FAMILIES: Final[Mapping[str, tuple[str, str]]] = {
    "org.kubeflow.serving.inference.request": ("kserve", "request"),
    "org.kubeflow.serving.inference.response": ("kserve", "response"),
    "io.seldon.serving.inference.request": ("seldon", "request"),
    "io.seldon.serving.inference.response": ("seldon", "response"),
    "io.seldon.serving.feedback": ("seldon", "feedback"),
}
_UNKNOWN: Final = ("cloudevents", "event")
STRUCTURED: Final = b"application/cloudevents+json"
BATCH: Final = b"application/cloudevents-batch+json"
EVENTS_MAX: Final = 4_096
_NEEDED: Final = ("id", "source", "type", "specversion")
# What nearly every event has, as Go and others spell it; looking it up is half the price of decoding it.
_KNOWN_HEADERS: Final = {
    spelt: name
    for name in (
        *("id", "source", "type", "specversion", "time", "subject", "requestid", "modelid", "protocol"),
        *("inferenceservicename", "namespace", "component", "endpoint", "metadata", "annotations"),
    )
    for header in (b"ce-" + name.encode(),)
    for spelt in (header, header.title(), header.upper(), b"CE" + header.title()[2:])
}
ATTRIBUTE_MAX: Final = 4_096
_ATTRIBUTES_MAX: Final = 65_536
_SCALARS: Final = frozenset({bool, int, float})
_JSON_ATTRIBUTES: Final = ("metadata", "annotations")


class CloudEvent(msgspec.Struct, frozen=True):
    """One event: its attributes (context and extensions, lower case), and its data as it was sent.

    `size` is what it takes: characters of the attributes' values, bytes of the data.
    """

    attributes: dict[str, Any]
    data: bytes
    size: int

    @property
    def family(self) -> tuple[str, str]:
        """Who sends it and what it is; `cloudevents` and `event` for all that we do not know."""
        return FAMILIES.get(self.attributes["type"], _UNKNOWN)


def split(headers: Iterable[tuple[bytes, bytes]]) -> tuple[dict[str, str], dict[bytes, bytes]]:
    """Return the attributes among HTTP headers, as sent, and the others by their names in lower case.

    Of a header that comes twice the last one counts.

    >>> split([(b"Ce-Id", b"1"), (b"Host", b"a")])
    ({'id': '1'}, {b'host': b'a'})
    """
    attributes, others = {}, {}
    known = _KNOWN_HEADERS.get
    for name, value in headers:
        key = known(name)
        if key is not None:
            attributes[key] = value.decode("latin-1")
        elif (lower := name.lower())[:3] == b"ce-":
            attributes[lower[3:].decode("latin-1")] = value.decode("latin-1")
        else:
            others[lower] = value
    return attributes, others


def read(content_type: bytes, attributes: dict[str, Any], body: bytes) -> list[CloudEvent]:
    """Return the events of one HTTP request, whose headers hold `attributes`. A sole event keeps these.

    Raises:
        Unreadable: an attribute is missing or no text, the body is not what `content_type` says, or there are
            more than 4,096 events.

    >>> attributes = {"id": "1", "source": "/", "type": "t", "specversion": "1.0"}
    >>> read(b"application/json", attributes, b"{}")[0].family
    ('cloudevents', 'event')
    """
    kind = _media(content_type)
    if kind == STRUCTURED:
        return [_structured(parse_json(body))]
    if kind == BATCH:
        events = parse_json(body)
        if type(events) is not list or len(events) > EVENTS_MAX:
            raise Unreadable(f"a batch is a list of up to {EVENTS_MAX} events")
        return [_structured(event) for event in events]
    size = len(together := "".join(attributes.values()))  # bounded where heads are read
    if "%" in together:
        attributes = {key: unquote(text, errors="replace") for key, text in attributes.items()}
    return [_event(attributes, body, size + len(body))]


def binary(content_type: bytes) -> bool:
    """Whether a request brings one event, whose attributes are headers."""
    return _media(content_type) not in (STRUCTURED, BATCH)


@lru_cache(64)
def _media(content_type: bytes) -> bytes:
    return content_type.split(b";", 1)[0].strip().lower()


def _event(attributes: dict[str, Any], data: bytes, size: int) -> CloudEvent:
    get = attributes.get
    for key in _NEEDED:
        value = get(key)
        if type(value) is not str or not 0 < len(value) <= ATTRIBUTE_MAX:
            raise Unreadable(f"the attribute {key} is missing, empty or no text")
    return CloudEvent(attributes, data, size)


def _structured(event: Any) -> CloudEvent:
    if type(event) is not dict:
        raise Unreadable("a structured event is an object")
    attributes = {key: value for key, value in event.items() if key not in ("data", "data_base64")}
    if "data_base64" in event:
        try:
            data = base64.b64decode(event["data_base64"], validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise Unreadable(f"data_base64 is not base64 ({error})") from error
    elif type(event.get("data")) is str and "json" not in str(attributes.get("datacontenttype", "json")):
        data = event["data"].encode("utf-8", "surrogatepass")
    else:
        data = msgspec.json.encode(event.get("data"))
    held = _characters(attributes)
    if held > _ATTRIBUTES_MAX:
        raise Unreadable(f"its attributes have more than {_ATTRIBUTES_MAX} characters", reason="size")
    return _event(attributes, data, held + len(data))


def _characters(attributes: Mapping[str, Any]) -> int:
    size = 0
    for value in attributes.values():
        if type(value) is str:
            size += len(value)
        elif value is not None and type(value) not in _SCALARS:
            raise Unreadable("an attribute is neither text, a number nor a bool")
        elif type(value) is int and not -(2**63) <= value < 2**63:  # no journal can hold it
            raise Unreadable("an attribute is a whole number beyond 64 bits")
    return size


def opened(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return attributes with those parsed that hold JSON: KServe sends headers and annotations in one each.

    Text that is no JSON, or nested too deep, stays text.

    >>> opened({"id": "1", "metadata": '{"X-Request-Id":["a"]}'})
    {'id': '1', 'metadata': {'X-Request-Id': ['a']}}
    """
    found = attributes
    for key in _JSON_ATTRIBUTES:
        if type(attributes.get(key)) is str and attributes[key][:1] == "{":
            found = found | {key: opened_text(attributes[key])}
    return found
