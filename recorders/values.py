"""Values at the door: what a field accepts, made plain, or the reason why not.

This is the patient path. It runs for what the fast path does not know (numpy scalars, subclasses,
whole numbers in a float64 field) and for what it refuses, to say why.
"""

import contextlib
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from recorders.errors import InvalidEvent
from recorders.limits import Limits

INT64_MIN: Final = -(2**63)
INT64_MAX: Final = 2**63 - 1
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_FIRST_US: Final = (datetime.min.replace(tzinfo=UTC) - EPOCH) // _MICROSECOND
_LAST_US: Final = (datetime.max.replace(tzinfo=UTC) - EPOCH) // _MICROSECOND
_name_of = type.__dict__["__name__"].__get__  # as it was defined: a metaclass may answer with code
_SHOWN = 60  # characters of a refused value that a sample shows


def plain_value(where: str, kind: str, value: object, limits: Limits) -> object:
    """Return `value` as the exact built-in that field type `kind` keeps; None stays None.

    float64 takes whole numbers and decimals that it represents exactly, int64 takes no bool, timestamps
    need a zone and come out in UTC microseconds. numpy scalars are told by their module, never imported.

    Raises:
        InvalidEvent: with `where` (such as "Feature 'age'") and the reason.

    >>> plain_value("Feature 'x'", "float64", 2**53 + 1, Limits())
    Traceback (most recent call last):
    recorders.errors.InvalidEvent: Feature 'x' holds 9007199254740993 (int). Expected float64. No float \
equals it: round it, or declare an int64.
    """
    if value is None:
        return None
    if type(value).__module__ == "numpy" and hasattr(value, "tolist"):
        value = value.tolist()
    return _PLAIN[kind](where, value, limits)


def instant_us(where: str, value: object) -> int:
    """Return an aware datetime as microseconds since 1970 in UTC; finer digits are cut off.

    Raises:
        InvalidEvent: no datetime, one without a zone, or one outside years 1 to 9999 in UTC.
    """
    if not isinstance(value, datetime):
        raise refusal("type", where, value, "timestamp", "Pass an aware datetime.")
    if value.utcoffset() is None:
        raise refusal("naive", where, value, "timestamp", "Say its zone, such as datetime.now(UTC).")
    at_us = (value - EPOCH) // _MICROSECOND
    if not _FIRST_US <= at_us <= _LAST_US:  # its zone took it there: no reader could show it
        raise refusal("range", where, value, "years 1 to 9999 in UTC", "Check the clock and the zone.")
    return at_us


def refusal(reason: str, where: str, value: object, expected: str, remedy: str) -> InvalidEvent:
    """Return the error that says what `where` holds. Code of the value's own type is never run for it."""
    return InvalidEvent(reason, f"{where} holds {shown(value)}.", f"Expected {expected}.", remedy)


def shown(value: object) -> str:
    """Return a short text for a value. Code of the value's own type is never run for it."""
    kind = type(value)
    if kind is str or kind is bytes:
        text = repr(value[:_SHOWN])  # type: ignore[index]  # str or bytes
    elif kind is int:
        size = int.bit_length(value)  # type: ignore[arg-type]  # an int
        text = repr(value) if size <= 128 else f"a number of {size} bits"  # noqa: PLR2004
    elif kind is float or kind is bool:
        text = repr(value)
    elif kind is datetime:
        zone = value.tzinfo  # type: ignore[attr-defined]  # a datetime
        text = datetime.isoformat(value.replace(tzinfo=None))  # type: ignore[attr-defined]  # a datetime
        text += "" if zone is None else f" in {'UTC' if zone is UTC else type_name(zone)}"
    else:
        return f"an object of type {type_name(value)}"
    return f"{text} ({kind.__name__})"


def type_name(value: object) -> str:
    """Return the name of a value's type. Code of that type, or of a metaclass, is never run for it."""
    return str(_name_of(type(value)))


def _float64(where: str, value: object, limits: Limits) -> float:  # noqa: ARG001  # one signature for all
    if isinstance(value, float):
        return float.__float__(value)  # a subclass becomes a plain float; -0.0 and NaN stay
    if not isinstance(value, int | Decimal) or isinstance(value, bool):
        raise refusal("type", where, value, "float64", "Convert it before it is recorded.")
    exact = int.__int__(value) if isinstance(value, int) else value
    near = math.nan  # equal to nothing
    if isinstance(exact, int) or exact.is_finite():
        with contextlib.suppress(OverflowError):  # beyond the largest float
            near = float(exact)
    if math.isnan(near) or near != exact:
        raise refusal("range", where, exact, "float64", "No float equals it: round it, or declare an int64.")
    return near


def _int64(where: str, value: object, limits: Limits) -> int:  # noqa: ARG001  # one signature for all
    if not isinstance(value, int) or isinstance(value, bool):
        raise refusal("type", where, value, "int64", "Convert it before it is recorded.")
    whole = int.__int__(value)
    if not INT64_MIN <= whole <= INT64_MAX:
        raise refusal("range", where, whole, "int64", "Record it as a string, or scale it.")
    return whole


def _bool(where: str, value: object, limits: Limits) -> bool:  # noqa: ARG001  # one signature for all
    if value is True or value is False:
        return value
    raise refusal("type", where, value, "bool", "Convert it before it is recorded.")


def _text(where: str, value: object, limits: Limits) -> str:
    if not isinstance(value, str):
        raise refusal("type", where, value, "string", "Convert it before it is recorded.")
    text = str.__str__(value)
    if len(text) > limits.text_length:
        raise refusal(
            "size", where, text, f"at most {limits.text_length} characters", "Record a digest of it."
        )
    if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
        raise refusal(
            "text", where, text, "Unicode text", "It holds half a surrogate pair: decode it rightly."
        )
    return text


def _bytes(where: str, value: object, limits: Limits) -> bytes:
    if not isinstance(value, bytes | bytearray | memoryview):
        raise refusal("type", where, value, "bytes", "Encode it before it is recorded.")
    if memoryview(value).nbytes > limits.text_length:
        raise refusal("size", where, value, f"at most {limits.text_length} bytes", "Record a digest of it.")
    return bytes(value)


def _timestamp(where: str, value: object, limits: Limits) -> datetime:  # noqa: ARG001  # one signature for all
    try:
        return EPOCH + timedelta(microseconds=instant_us(where, value))
    except OverflowError as error:
        raise refusal("range", where, value, "a year from 1 to 9999 in UTC", "Check the clock.") from error


def _floats(where: str, value: object, limits: Limits) -> list[float]:
    if not isinstance(value, list | tuple):
        raise refusal("type", where, value, "list[float64]", "Pass a list.")
    if len(value) > limits.list_length:
        raise refusal("size", where, value, f"at most {limits.list_length} numbers", "Declare fewer.")
    if any(item is None for item in value):
        raise refusal("type", where, None, "list[float64]", "Say an unknown number as NaN.")
    return [_float64(where, plain_value(where, "float64", item, limits), limits) for item in value]


_PLAIN: Final[Mapping[str, Callable[[str, Any, Limits], object]]] = {
    "float64": _float64,
    "int64": _int64,
    "bool": _bool,
    "string": _text,
    "category": _text,
    "bytes": _bytes,
    "timestamp": _timestamp,
    "list[float64]": _floats,
}


def share(where: str, value: object) -> float:
    """Return a probability in (0, 1].

    Raises:
        InvalidEvent: another number, NaN included: it would divide by nothing later.
    """
    number = plain_value(where, "float64", value, Limits())
    if not isinstance(number, float) or not 0 < number <= 1:
        raise refusal("range", where, number, "a probability in (0, 1]", "Leave it out when it is not known.")
    return number
