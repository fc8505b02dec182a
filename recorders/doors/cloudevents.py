"""CloudEvents over HTTP: binary, structured and batched; and what KServe and Seldon Core 1 send in them."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple
from urllib.parse import unquote

import msgspec

from recorders.doors.bodies import parse_json
from recorders.doors.errors import Unreadable

# Type of the event: who sends it, and what it is.
FAMILIES: Final[Mapping[str, tuple[str, str]]] = {
    "org.kubeflow.serving.inference.request": ("kserve", "request"),
    "org.kubeflow.serving.inference.response": ("kserve", "response"),
    "io.seldon.serving.inference.request": ("seldon", "request"),
    "io.seldon.serving.inference.response": ("seldon", "response"),
    "io.seldon.serving.feedback": ("seldon", "feedback"),
}
STRUCTURED: Final = b"application/cloudevents+json"
BATCH: Final = b"application/cloudevents-batch+json"
EVENTS_MAX: Final = 4_096
_NEEDED: Final = ("id", "source", "type", "specversion")
# What nearly every event has; looking a name up is half the price of decoding it.
_KNOWN_NAMES: Final = {
    b"ce-" + name.encode(): name
    for name in (
        *("id", "source", "type", "specversion", "time", "subject", "requestid", "modelid", "protocol"),
        *("inferenceservicename", "namespace", "component", "endpoint", "metadata", "annotations"),
    )
}
_ATTRIBUTE_MAX: Final = 4_096
_ATTRIBUTES_MAX: Final = 65_536
_SCALARS: Final = frozenset({bool, int, float})
_JSON_ATTRIBUTES: Final = ("metadata", "annotations")


class CloudEvent(NamedTuple):
    """One event: its attributes (context and extensions, lower case), and its data as it was sent."""

    attributes: dict[str, Any]
    data: bytes

    @property
    def attributes_bytes(self) -> int:
        """How much the attributes hold, in characters.

        Raises:
            Unreadable: one of them is no scalar, which CloudEvents does not know.
        """
        size = 0
        for value in self.attributes.values():
            if type(value) is str:
                size += len(value)
            elif value is not None and type(value) not in _SCALARS:
                raise Unreadable("an attribute is neither text, a number nor a bool")
        return size

    @property
    def family(self) -> tuple[str, str]:
        """Who sends it and what it is; `cloudevents` and `event` for all that we do not know."""
        return FAMILIES.get(self.attributes["type"], ("cloudevents", "event"))


def read(content_type: bytes, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> list[CloudEvent]:
    """Return the events of one HTTP request. Header names are in lower case, as ASGI has them.

    Raises:
        Unreadable: an attribute is missing or no text, the body is not what `content_type` says, or there are
            more than 4,096 events.

    >>> headers = [(b"ce-id", b"1"), (b"ce-source", b"/"), (b"ce-type", b"t"), (b"ce-specversion", b"1.0")]
    >>> read(b"application/json", headers, b"{}")[0].family
    ('cloudevents', 'event')
    """
    kind = content_type.split(b";", 1)[0].strip().lower()
    if kind == STRUCTURED:
        return [_structured(parse_json(body))]
    if kind == BATCH:
        events = parse_json(body)
        if type(events) is not list or len(events) > EVENTS_MAX:
            raise Unreadable(f"a batch is a list of up to {EVENTS_MAX} events")
        return [_structured(event) for event in events]
    attributes: dict[str, Any] = {}
    for name, value in headers:
        if name[:3] == b"ce-":
            text = value.decode("latin-1")
            key = _KNOWN_NAMES.get(name) or name[3:].decode("latin-1")
            attributes[key] = unquote(text, errors="replace") if "%" in text else text
    return [_checked(CloudEvent(attributes, body))]


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
    return _checked(CloudEvent(attributes, data))


def _checked(event: CloudEvent) -> CloudEvent:
    attributes = event.attributes
    for key in _NEEDED:
        value = attributes.get(key)
        if type(value) is not str or not value or len(value) > _ATTRIBUTE_MAX:
            raise Unreadable(f"the attribute {key} is missing, empty or no text")
    if event.attributes_bytes > _ATTRIBUTES_MAX:
        raise Unreadable(f"its attributes have more than {_ATTRIBUTES_MAX} characters", reason="size")
    return event


def opened(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return attributes with those parsed that hold JSON: KServe sends headers and annotations in one each.

    Text that is no JSON stays text.

    >>> opened({"id": "1", "metadata": '{"X-Request-Id":["a"]}'})
    {'id': '1', 'metadata': {'X-Request-Id': ['a']}}
    """
    found = attributes
    for key in _JSON_ATTRIBUTES:
        if type(attributes.get(key)) is str and attributes[key][:1] == "{":
            try:
                found = found | {key: msgspec.json.decode(attributes[key])}
            except (msgspec.DecodeError, RecursionError):
                continue
    return found
