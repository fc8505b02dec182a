"""Protobuf: exactly what reading OTLP logs needs of its wire format. Foreign bytes end here."""

import struct
from collections.abc import Iterator
from typing import Any, Final

from recorders.doors.errors import Unreadable

DEPTH_MAX: Final = 32
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_VARINT_BYTES_MAX: Final = 10
_INT64: Final = 2**63


def fields(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field: an int for varints and fixed ones, a memoryview for the others.

    Unknown fields are for the caller to skip. Groups, which nobody has written since 2008, are refused.

    Raises:
        Unreadable: the bytes are no protobuf message.

    >>> [(number, bytes(value)) for number, value in fields(memoryview(bytes([10, 2, 104, 105])))]
    [(1, b'hi')]
    """
    place, end = 0, len(data)
    while place < end:
        tag, place = _varint(data, place)
        number, kind = tag >> 3, tag & 7
        if number == 0:
            raise Unreadable("a protobuf field has the number 0")
        if kind == _BYTES:
            size, place = _varint(data, place)
            stop = place + size
            value: Any = data[place:stop]
        elif kind == _VARINT:
            value, stop = _varint(data, place)
        elif kind == _FIXED64:
            stop = place + 8
            value = int.from_bytes(data[place:stop], "little")
        elif kind == _FIXED32:
            stop = place + 4
            value = int.from_bytes(data[place:stop], "little")
        else:
            raise Unreadable(f"a protobuf field has the wire type {kind}")
        if stop > end:
            raise Unreadable("a protobuf field is cut off")
        yield number, value
        place = stop


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    for step in range(_VARINT_BYTES_MAX):
        if place + step >= len(data):
            break
        byte = data[place + step]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004  # the last byte of a varint
            return value & 0xFFFF_FFFF_FFFF_FFFF, place + step + 1
        shift += 7
    raise Unreadable("a protobuf number is cut off")


def text(value: Any) -> str:
    """Return a string field."""
    try:
        return bytes(_view(value)).decode()
    except UnicodeDecodeError as error:
        raise Unreadable("a protobuf text is not UTF-8") from error


def _view(value: Any) -> memoryview:
    if not isinstance(value, memoryview):
        raise Unreadable("a protobuf field has another wire type than its message says")
    return value


def whole(value: Any) -> int:
    """Return an integer field as it stands: unsigned."""
    if not isinstance(value, int):
        raise Unreadable("a protobuf field has another wire type than its message says")
    return value


def attributes(entries: list[Any], depth: int = 0) -> dict[str, Any]:
    """Return the values of OTLP KeyValue messages by key; of two with one key the last counts."""
    found = {}
    for entry in entries:
        key, value = "", None
        for number, part in fields(_view(entry)):
            if number == 1:
                key = text(part)
            elif number == 2:  # noqa: PLR2004  # KeyValue.value
                value = any_value(part, depth)
        found[key] = value
    return found


def any_value(data: Any, depth: int = 0) -> Any:
    """Return the Python value of an OTLP AnyValue; None for an empty one.

    Raises:
        Unreadable: it is nested deeper than 32.
    """
    if depth > DEPTH_MAX:
        raise Unreadable(f"a value is nested deeper than {DEPTH_MAX}")
    value: Any = None
    for number, part in fields(_view(data)):
        match number:
            case 1:
                value = text(part)
            case 2:
                value = bool(whole(part))
            case 3:
                value = whole(part)
                value = value - 2 * _INT64 if value >= _INT64 else value
            case 4:
                (value,) = struct.unpack("<d", whole(part).to_bytes(8, "little"))
            case 5:
                value = [any_value(item, depth + 1) for item in listed(part, 1)]
            case 6:
                value = attributes(listed(part, 1), depth + 1)
            case 7:
                value = bytes(_view(part))
    return value


def listed(data: Any, wanted: int) -> list[Any]:
    """Return all values of one field number of a message."""
    return [value for number, value in fields(_view(data)) if number == wanted]
