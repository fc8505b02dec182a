"""Events on the wire: one msgpack array an event, in schema order, checked and encoded at the door."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from operator import itemgetter
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from recorders.fields import FeatureSet
from recorders.hotpath import hot_path
from recorders.limits import Limits
from recorders.pseudonyms import Pseudonyms
from recorders.unknown import UnknownFeature
from recorders.values import INT64_MAX, INT64_MIN, plain_value, refusal, share

STATUSES: Final = ("missing", "default", "stale", "erased")
IDENTIFIER_MAX: Final = 256
POINT_BYTES_MAX: Final = 200  # as migrations/versions/0001_check_batch.sql has it

# What stands before the features in a decision event: name, kind, whether None is allowed.
# A `name` is text that is not empty, a `share` lies in (0, 1], a `count` is an int64 from 0.
# `occurred_at` travels as microseconds since 1970: a number is half the price of a datetime.
ENVELOPE: Final = (
    ("decision_id", "name", False),
    ("occurred_at", "int64", False),
    ("unit", "text", True),
    ("model", "name", False),
    ("model_version", "name", False),
    ("score", "float64", True),
    ("decision", "text", True),
    ("propensity", "share", True),
    ("inclusion", "share", False),
    ("latency_us", "count", True),
    ("trace_id", "text", True),
)
_encode = msgspec.msgpack.Encoder().encode


class DecisionEncoder:
    """Turns snapshots of one feature set into bytes. Built once; holds no state of events.

    The fast path is one C call that checks all values against one tuple type, a comparison that
    finds whatever that call had to convert (7 became 7.0, a string became a date), and one C call
    that encodes. Anything unusual goes to `_patiently`, which accepts it or says why not.
    """

    def __init__(self, feature_set: FeatureSet, limits: Limits) -> None:
        self.feature_set = feature_set
        self._limits = limits
        self._names = tuple(field.name for field in feature_set.fields)
        self._known = frozenset(self._names)
        self._hidden = Pseudonyms.of_feature_set(feature_set)
        fields = [(field.name, field.type) for field in feature_set.fields]
        # What is hidden must not be encoded as it is: such sets take the Python path.
        self.hot = None if self._hidden else hot_path(fields, ENVELOPE, limits, IDENTIFIER_MAX)
        self.encode = self._build()

    def _build(self) -> Callable[[Mapping[str, object], tuple[object, ...], object], bytes]:
        """Return the closure that encodes one event: features, envelope, statuses -> bytes."""
        types = [_annotation(kind, self._limits, nullable=nullable) for _, kind, nullable in ENVELOPE]
        types += [_annotation(field.type, self._limits, nullable=True) for field in self.feature_set.fields]
        types.append(list[tuple[str, str]] | None)
        # A struct of one cell: msgspec keeps a struct's type tree, but builds a bare tuple's anew (80 us).
        row: Any = tuple[tuple(types)]  # type: ignore[misc]  # a tuple type made of a list of types
        cell: Any = msgspec.defstruct("Cell", [("event", row)], array_like=True, gc=False)
        convert, size_max = msgspec.convert, self._limits.event_bytes
        fetch, sparsely, patiently = self._fetcher(), self._sparsely, self._patiently
        count, plainly = len(self._names), (None,)
        quickly = None if self.hot is None else self.hot.encode

        def encode(features: Mapping[str, object], envelope: tuple[object, ...], statuses: object) -> bytes:
            if quickly is not None and statuses is None:
                done = quickly(features, envelope)
                if done is not None:
                    return done
            # A dict and no other mapping: a defaultdict would answer for fields that were not served.
            if statuses is None and type(features) is dict and len(features) == count:
                try:
                    event = envelope + fetch(features) + plainly  # half the price of (*envelope, ...)
                except LookupError:
                    event = (*envelope, *sparsely(features, statuses))
            else:
                event = (*envelope, *sparsely(features, statuses))
            try:
                plain = convert((event,), cell).event
                # Not a type for floats that refuses ints: decimals and sets would still be converted.
                if plain == event:
                    data = _encode(plain)
                    if len(data) <= size_max:
                        return data
            except (TypeError, ValueError, ArithmeticError, msgspec.MsgspecError):
                pass  # the patient path says which value it was
            return patiently(event)

        return encode

    def _fetcher(self) -> Callable[[Mapping[str, object]], tuple[object, ...]]:
        """Return what picks a whole snapshot's values in schema order."""
        if len(self._names) > 1:
            fetch: Callable[[Mapping[str, object]], tuple[object, ...]] = itemgetter(*self._names)
        else:
            only = self._names[0]

            def fetch(features: Mapping[str, object]) -> tuple[object, ...]:
                return (features[only],)

        return fetch if self._hidden is None else self._hidden.hiding(fetch)

    def _sparsely(self, features: Mapping[str, object], statuses: object) -> list[object]:
        """Return the values in schema order and their statuses; what is absent is None and `missing`.

        Raises:
            InvalidEvent: an undeclared field, a status that does not exist.
        """
        if not self._known.issuperset(features):
            raise UnknownFeature(
                next(key for key in features if key not in self._known), self.feature_set.label, self._names
            )
        stated = {} if statuses is None else self._stated(statuses)
        values: list[object] = [features.get(name) for name in self._names]
        if self._hidden is not None:
            values = list(self._hidden.hide(tuple(values)))
        for name in self._names:
            if name not in features:
                stated[name] = "missing"
        values.append(list(stated.items()) or None)
        return values

    def _stated(self, statuses: object) -> dict[str, str]:
        if not isinstance(statuses, Mapping):
            raise refusal("status", "statuses", statuses, "a mapping", 'Pass {"age": "stale"}.')
        stated = {}
        for name, status in statuses.items():
            if name not in self._known:
                raise refusal("status", "statuses", name, "a declared field", "Check its name.")
            if status not in STATUSES:
                where = f"The status of {name!r}"
                raise refusal("status", where, status, f"one of {', '.join(STATUSES)}", "Check its name.")
            # Something else may say that it equals a status: it raises here, and never reaches a frame.
            stated[str.__str__(name)] = str.__str__(status)
        return stated

    def _patiently(self, event: tuple[object, ...]) -> bytes:
        """Return the event's bytes, value by value.

        Raises:
            InvalidEvent: the first value that the schema does not allow.
        """
        limits, start = self._limits, len(ENVELOPE)
        plain = [_envelope_value(spec, value, limits) for spec, value in zip(ENVELOPE, event, strict=False)]
        plain += [
            plain_value(f"Feature {field.name!r}", field.type, value, limits)
            for field, value in zip(self.feature_set.fields, event[start:-1], strict=True)
        ]
        data = _encode((*plain, event[-1]))
        if len(data) > limits.event_bytes:
            raise refusal(
                "size", "The event", data, f"at most {limits.event_bytes} bytes", "Record less of it."
            )
        return data


def encode_outcome(decision_id: object, label: object, value: object, at_us: int) -> bytes:
    """Return one outcome as a msgpack array: decision_id, label, value, occurred_at.

    None withdraws an earlier outcome; a bool counts as 1 or 0.

    Raises:
        InvalidEvent: an empty name, a value that is no finite number.
    """
    number = plain_value("value", "bool" if _is_bool(value) else "float64", value, _IDENTIFIER)
    number = None if number is None else float(number)  # type: ignore[arg-type]  # bool or float
    if number is not None and number - number != 0:
        raise refusal("range", "The outcome", number, "a finite number", "Withdraw an outcome with None.")
    return _encode((checked_name("decision_id", decision_id), checked_name("label", label), number, at_us))


def _is_bool(value: object) -> bool:
    kind = type(value)
    return kind is bool or (kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_"))


def _envelope_value(spec: tuple[str, str, bool], value: object, limits: Limits) -> object:
    name, kind, nullable = spec
    if value is None:
        if nullable:
            return None
        raise refusal("type", name, value, kind, "It may not be None.")
    if kind == "name":
        return checked_name(name, value)
    if kind == "text":
        return plain_value(name, "string", value, _IDENTIFIER)
    if kind == "share":
        return share(name, value)
    plain = plain_value(name, "int64" if kind == "count" else kind, value, limits)
    if kind == "count" and isinstance(plain, int) and plain < 0:
        raise refusal("range", name, value, "a count from 0", "Take it from a monotonic clock.")
    return plain


def checked_name(where: str, value: object) -> str:
    """Return a name of 1 to 256 characters as a plain str.

    Raises:
        InvalidEvent: no text, empty or too long.
    """
    text = plain_value(where, "string", value, _IDENTIFIER)
    if not isinstance(text, str) or not text:
        raise refusal("type", where, value, "a name", "It may be neither None nor empty.")
    return text


def checked_point(value: object) -> str:
    """Return a decision point's name: what the log keeps in its own columns, so at most 200 bytes of UTF-8.

    Raises:
        InvalidEvent: no name, longer, or with a control character, as a line break is.
    """
    name = checked_name("decision_point", value)
    if not usable_point(name):
        expected = f"at most {POINT_BYTES_MAX} bytes of UTF-8 and no control character"
        raise refusal("size", "decision_point", value, expected, "Choose a shorter, plain name.")
    return name


def usable_point(name: str) -> bool:
    r"""Return whether the log can keep a decision point's name, and a list show it in one line.

    >>> usable_point("shop.fraud"), usable_point("shop\nfraud"), usable_point("")
    (True, False, False)
    """
    return 0 < len(name.encode()) <= POINT_BYTES_MAX and _CONTROL.search(name) is None


_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_IDENTIFIER: Final = Limits(text_length=IDENTIFIER_MAX)


def _annotation(kind: str, limits: Limits, *, nullable: bool) -> Any:
    """Return the msgspec type that admits exactly what needs no second look."""
    plain: Any = {
        "float64": float,
        "name": Annotated[str, Meta(min_length=1, max_length=IDENTIFIER_MAX)],
        "text": Annotated[str, Meta(max_length=IDENTIFIER_MAX)],
        "count": Annotated[int, Meta(ge=0, le=INT64_MAX)],
        "share": Annotated[float, Meta(gt=0, le=1)],
        "int64": Annotated[int, Meta(ge=INT64_MIN, le=INT64_MAX)],
        "bool": bool,
        "string": Annotated[str, Meta(max_length=limits.text_length)],
        "category": Annotated[str, Meta(max_length=limits.text_length)],
        "timestamp": Annotated[datetime, Meta(tz=True)],
        "bytes": Annotated[bytes, Meta(max_length=limits.text_length)],
        "list[float64]": Annotated[list[float], Meta(max_length=limits.list_length)],
    }[kind]
    return plain | None if nullable else plain
