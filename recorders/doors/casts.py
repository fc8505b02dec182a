"""Casts: what a foreign format writes for a value of a field, as the value itself.

JSON has one kind of number and CSV none at all, so a door is a little wider than `record()`: a whole float is
an int64, 0 and 1 are bools, an instant is text or a number with its unit. Nothing is ever rounded.
"""

import base64
import binascii
import math
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

from recorders.values import EPOCH, refusal

UNITS_US: Final = {"s": 1_000_000.0, "ms": 1_000.0, "us": 1.0, "ns": 0.001}
# The years 1 to 9999, which is what an instant of the log may be.
_FIRST_US: Final = -62_135_596_800_000_000
_LAST_US: Final = 253_402_300_799_999_999
_MICROSECOND: Final = timedelta(microseconds=1)
_DIGITS_MAX: Final = 18  # of an int64, after its first: what is larger is not spelled out only to be refused
Cast = Callable[[Any], Any]
# By kind: of what type a value is that its cast leaves alone.
PLAIN: Final[Mapping[str, type]] = {
    "float64": float, "int64": int, "bool": bool, "string": str, "category": str, "text": str,
}  # fmt: skip


class Cell(str):
    """Text of a format without types (CSV): it becomes what the field is."""

    __slots__ = ()


def cast_for(where: str, kind: str, unit: str = "", zone: str = "") -> Cast:
    """Return the cast to a field type, or to `instant` (microseconds since 1970) or `text`.

    The casts raise InvalidEvent with `where` for what cannot be the value. They leave alone what the event
    encoder checks anyway.

    >>> cast_for("age", "int64")(3.0), cast_for("age", "float64")(Cell("1e3")), cast_for("d", "text")(True)
    (3, 1000.0, 'true')
    """
    casts: dict[str, Callable[[], Cast]] = {
        "float64": lambda: _float64(where),
        "int64": lambda: _int64(where),
        "bool": lambda: _bool(where),
        "string": lambda: _string,
        "category": lambda: _string,
        "bytes": lambda: _bytes(where),
        "list[float64]": lambda: lambda value: value,
        "timestamp": lambda: _timestamp(where, unit, zone),
        "instant": lambda: _instant(where, unit, zone),
        "text": lambda: _text(where),
    }
    return casts[kind]()


def _float64(where: str) -> Cast:
    def cast(value: Any) -> Any:
        if type(value) is float:
            return value
        if type(value) is int and -(2**53) <= value <= 2**53:
            return float(value)
        return _parsed(where, "float64", value, _near) if type(value) is Cell else value

    return cast


def _int64(where: str) -> Cast:
    def cast(value: Any) -> Any:
        if type(value) is Cell:
            value = _parsed(where, "int64", value, _whole)
        return int(value) if type(value) is float and value.is_integer() else value

    return cast


def _near(text: str) -> float:
    """Return the float that decimal text means, but no infinity for a number that is beyond all floats."""
    found = float(text)
    if math.isinf(found) and "i" not in text.lower():
        raise ValueError(text)
    return found


def _whole(text: str) -> int:
    """Return the whole number that text means, also "12.0" or "1e3": a float between would round it."""
    try:
        return int(text)
    except ValueError:
        found = Decimal(text)
        if not found.is_finite() or found.adjusted() > _DIGITS_MAX or found != int(found):
            raise
        return int(found)


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _parsed(where: str, kind: str, text: str, parse: Callable[[str], Any]) -> Any:
    if "_" not in text:  # Python reads 1_000 as a number; nobody else does
        try:
            return parse(text)
        except (ValueError, ArithmeticError):
            pass
    raise refusal("type", where, str.__str__(text), kind, "Correct the file, or declare a string.")


def _bool(where: str) -> Cast:
    words = {"true": True, "false": False, "1": True, "0": False}

    def cast(value: Any) -> Any:
        if type(value) is bool:
            return value
        if type(value) is Cell and value.lower() in words:
            return words[value.lower()]
        if type(value) in (int, float) and value in (0, 1):
            return bool(value)
        raise refusal("type", where, _string(value), "bool", "Expected true, false, 1 or 0.")

    return cast


def _string(value: Any) -> Any:
    return str.__str__(value) if type(value) is Cell else value


def _bytes(where: str) -> Cast:
    def cast(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise refusal("type", where, _string(value), "base64", "Encode bytes as base64.") from None

    return cast


def _text(where: str) -> Cast:
    """Return the cast to a name: numbers and bools are written as JSON writes them, whole floats as ints."""

    def cast(value: Any) -> Any:
        if isinstance(value, str):
            return str.__str__(value)
        if type(value) is bool:
            return "true" if value else "false"
        if type(value) is float:
            return str(int(value)) if value.is_integer() else repr(value)
        if type(value) is int:
            return str(value)
        raise refusal("type", where, value, "text or a number", "Point the mapping at one value.")

    return cast


def _timestamp(where: str, unit: str, zone: str) -> Cast:
    instant = _instant(where, unit, zone)

    def cast(value: Any) -> Any:
        return EPOCH + timedelta(microseconds=instant(value))

    return cast


def _instant(where: str, unit: str, zone: str) -> Cast:
    """Return the cast to microseconds since 1970; finer digits are cut off.

    Text is ISO 8601; without its zone it is refused unless the mapping names one. Numbers need a unit.
    """
    scale = UNITS_US[unit] if unit else 0.0
    home = ZoneInfo(zone) if zone else None

    def cast(value: Any) -> int:
        if type(value) is Cell and unit:
            value = _parsed(where, f"a number of {unit}", value, _number)
        try:
            if isinstance(value, str):
                value = datetime.fromisoformat(value)
            found = None
            if isinstance(value, datetime):
                found = _of_datetime(where, value, home)
            elif type(value) in (int, float) and scale:
                found = _of_number(value, scale)
            if found is not None and _FIRST_US <= found <= _LAST_US:
                return found
        except (ValueError, OverflowError):
            pass
        raise refusal(
            "type",
            where,
            _string(value),
            "an instant",
            "Expected ISO 8601 with its offset, or name a unit or zone.",
        )

    return cast


def _of_datetime(where: str, value: datetime, home: ZoneInfo | None) -> int:
    if value.tzinfo is None:
        if home is None:
            raise refusal("naive", where, value, "an instant with its zone", 'Add zone = "UTC" or another.')
        value = value.replace(tzinfo=home)
    return (value - EPOCH) // _MICROSECOND


def _of_number(value: float, scale: float) -> int:
    if type(value) is int and scale >= 1:
        return value * int(scale)
    if type(value) is int:
        return value // 1000
    return round(value * scale)
