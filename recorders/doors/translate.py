"""Translate: a document and its mapping become the bytes of a decision or of an outcome."""

import contextlib
from collections.abc import Callable
from typing import Any, Final

import msgspec

from recorders import hotpath
from recorders.doors.casts import PLAIN
from recorders.doors.mapping import DECISION_KEYS, OUTCOME_KEYS, Mapping, Pick
from recorders.doors.paths import ABSENT, compile_path
from recorders.doors.picks import Picks, picked
from recorders.errors import InvalidEvent
from recorders.events import DecisionEncoder, encode_outcome
from recorders.limits import Limits

_CASTS: Final = {"score": "float64", "propensity": "float64", "inclusion": "float64", "latency_us": "int64"}
_OUTCOME_CASTS: Final = {"value": "float64"}
_NEEDED: Final = ("decision_id", "occurred_at", "model", "model_version")


class Event(msgspec.Struct, frozen=True):
    """One event as its msgpack bytes (recorders/events.py has the order of the values)."""

    kind: str
    data: bytes


class Translator:
    """What one mapping makes of documents. Holds no state of events.

    Nothing undeclared is taken over; a field that is not there is None with status `missing`.
    """

    def __init__(self, mapping: Mapping, limits: Limits | None = None) -> None:
        self.mapping = mapping
        self.decision_point = mapping.decision_point
        self.schema = mapping.feature_set.digest
        self._encode = DecisionEncoder(mapping.feature_set, limits or Limits()).encode
        types = {field.name: field.type for field in mapping.feature_set.fields}
        self._fields = [
            (name, PLAIN.get(types[name]), picked(name, pick, types[name])[1])
            for name, pick in mapping.fields.items()
        ]
        self._field_picks = Picks(list(mapping.fields.values()))
        envelope = dict.fromkeys(DECISION_KEYS, "text") | _CASTS | {"occurred_at": "instant"}
        self._envelope = [
            (key, PLAIN.get(envelope[key]), *picked(key, mapping.decision.get(key, Pick()), envelope[key]))
            for key in DECISION_KEYS
        ]
        template, self._moving = self._fixed()
        self._template = tuple(template)
        self._moving_picks = Picks(
            [mapping.decision.get(DECISION_KEYS[place], Pick()) for place, _, _ in self._moving]
        )
        self._entries = self._listed()
        outcome = dict.fromkeys(OUTCOME_KEYS, "text") | _OUTCOME_CASTS | {"occurred_at": "instant"}
        self._outcome = {key: picked(key, pick, outcome[key]) for key, pick in mapping.outcome.items()}
        self._match = [(compile_path(path), text) for path, text in mapping.match.items()]

    def applies(self, document: Any) -> bool:
        """Whether the document is of this mapping."""
        return not self._match or all(find(document) == text for find, text in self._match)

    def events(self, document: dict[str, Any], *, row: int = 0) -> list[Event]:
        """Return what a document of mixed content holds: a decision, an outcome, or both.

        It holds an outcome if it has the outcome's value, a decision if it has any field, score or decision.
        `row` numbers the decisions of one request: from 1 on the number is part of the id.

        Raises:
            InvalidEvent: it holds neither, or a value that cannot be.
        """
        features = self._features(document)
        outcome = self._value(document)
        found = []
        if features or self._answered(document):
            found.append(self._decision(features, self._envelope_of(document), row))
        if outcome not in (ABSENT, None):
            found.append(self._outcome_of(document, outcome))
        if not found:
            raise InvalidEvent(
                "empty",
                "The document has neither a field, a score or a decision, nor an outcome.",
                f"Expected what the mapping of {self.mapping.decision_point} names.",
                "Compare both with `harness sidecar map --sample`.",
            )
        return found

    def decision(self, document: dict[str, Any], *, row: int = 0) -> Event:
        """Return the decision that a document is, whatever of it is there.

        Raises:
            InvalidEvent: it has no id or time, or a value that cannot be.
        """
        found = (
            None if hotpath.fill is None else hotpath.fill(self._entries, self._template, document, ABSENT)
        )
        features, envelope = found or (self._features(document), self._envelope_of(document))
        return self._decision(features, envelope, row)

    def outcome(self, document: dict[str, Any]) -> Event:
        """Return the outcome that a document is.

        Raises:
            InvalidEvent: the mapping declares none, or it has no id, time or value.
        """
        value = self._value(document)
        if value is ABSENT:
            raise InvalidEvent(
                "unmapped",
                "The document has no outcome's value.",
                f"Expected what [outcome] of the mapping of {self.mapping.decision_point} names.",
                "Declare [outcome] with label and value.",
            )
        return self._outcome_of(document, value)

    def _fixed(self) -> tuple[list[Any], list[tuple[int, type | None, Callable[[Any], Any]]]]:
        """Return the envelope with what is the same in every document, and what has to be looked for."""
        template: list[Any] = [1.0 if key == "inclusion" else None for key in DECISION_KEYS]
        moving = []
        for place, (key, plain, _, cast) in enumerate(self._envelope):
            pick = self.mapping.decision.get(key, Pick())
            if not pick.paths and pick.value is not None:
                with contextlib.suppress(InvalidEvent):  # else each document is refused for it
                    template[place] = cast(pick.value)
                    continue
            if pick.paths or pick.value is not None or key in _NEEDED:
                moving.append((place, plain, cast))
        return template, moving

    def _listed(self) -> tuple[hotpath.Entry, ...]:
        """Return all that `_features` and `_envelope_of` do, as one list (recorders/_picks.c)."""
        fields = [
            (pick, name, plain, cast, False)
            for pick, (name, plain, cast) in zip(self._field_picks.plan, self._fields, strict=True)
        ]
        envelope = [
            (pick, place, plain, cast, DECISION_KEYS[place] in _NEEDED)
            for pick, (place, plain, cast) in zip(self._moving_picks.plan, self._moving, strict=True)
        ]
        return (*fields, *envelope)

    def _features(self, document: dict[str, Any]) -> dict[str, Any]:
        features = {}
        for (name, plain, cast), value in zip(self._fields, self._field_picks.find(document), strict=True):
            if type(value) is plain or value is None:
                features[name] = value
            elif value is not ABSENT:
                features[name] = cast(value)
        return features

    def _answered(self, document: dict[str, Any]) -> bool:
        return any(
            key in ("score", "decision") and find(document) not in (ABSENT, None)
            for key, _, find, _ in self._envelope
        )

    def _envelope_of(self, document: dict[str, Any]) -> tuple[Any, ...]:
        envelope = [*self._template]
        for (place, plain, cast), value in zip(self._moving, self._moving_picks.find(document), strict=True):
            if type(value) is plain:
                envelope[place] = value
            elif value is not ABSENT and value is not None:
                envelope[place] = cast(value)
            elif DECISION_KEYS[place] in _NEEDED:
                raise _incomplete(DECISION_KEYS[place], self.mapping)
        return tuple(envelope)

    def _decision(self, features: dict[str, Any], envelope: tuple[Any, ...], row: int) -> Event:
        if row:
            envelope = (f"{envelope[0]}/{row}", *envelope[1:])
        return Event("decision", self._encode(features, envelope, None))

    def _value(self, document: dict[str, Any]) -> Any:
        if not self._outcome:
            return ABSENT
        find, cast = self._outcome["value"]
        value = find(document)
        if value is ABSENT or value is None or type(value) is bool:
            return value
        return cast(value)

    def _outcome_of(self, document: dict[str, Any], value: Any) -> Event:
        found = {}
        for key in ("decision_id", "label", "occurred_at"):
            find, cast = self._outcome[key]
            stated = find(document)
            if stated is ABSENT or stated is None:
                raise _incomplete(key, self.mapping)
            found[key] = cast(stated)
        data = encode_outcome(found["decision_id"], found["label"], value, found["occurred_at"])
        return Event("outcome", data)


def _incomplete(key: str, mapping: Mapping) -> InvalidEvent:
    return InvalidEvent(
        "incomplete",
        f"The document has no {key}.",
        f"Expected it where the mapping of {mapping.decision_point} looks.",
        "Correct the path, or give a `value` that stands for all.",
    )
