"""Router: which mapping a document belongs to, and what becomes of it."""

from collections.abc import Sequence
from typing import Any

import msgspec

from recorders.doors import pairing
from recorders.doors.bodies import parse_json, rows_of
from recorders.doors.cloudevents import CloudEvent, opened
from recorders.doors.errors import Unreadable
from recorders.doors.mapping import Mapping
from recorders.doors.pairing import Half, Pair
from recorders.doors.translate import Event, Translator
from recorders.errors import InvalidEvent


class Routed(msgspec.Struct, frozen=True):
    """An event and its decision point. `schema` is the digest of its feature set, "" for outcomes."""

    decision_point: str
    schema: str
    event: Event


class Router:
    """Knows all mappings of a door.

    The first one of a source whose `match` holds takes a document; those without `match` come last.
    """

    def __init__(self, mappings: Sequence[Mapping]) -> None:
        self._by_source: dict[str, list[Translator]] = {}
        for mapping in sorted(mappings, key=lambda mapping: not mapping.match):
            self._by_source.setdefault(mapping.source, []).append(Translator(mapping))
        # Where the first one takes all, nothing has to be looked at.
        self._only = {
            source: every[0] for source, every in self._by_source.items() if not every[0].mapping.match
        }

    def translator(self, source: str, document: dict[str, Any]) -> Translator:
        """Return what translates a document of a source.

        Raises:
            InvalidEvent: no mapping is for it.
        """
        for translator in self._by_source.get(source, ()):
            if translator.applies(document):
                return translator
        raise InvalidEvent(
            "unmapped",
            f"No mapping is for this document of {source}.",
            f"Expected one with source = {source!r} whose match holds.",
            "Write one, or widen `match`; see docs/doors.md.",
        )

    def document(self, source: str, document: dict[str, Any], *, row: int = 0) -> list[Routed]:
        """Return the decision and the outcome that a document holds.

        Raises:
            InvalidEvent: no mapping is for it, or a value that cannot be.
        """
        translator = self.translator(source, document)
        try:
            return _routed(translator, translator.events(document, row=row))
        except InvalidEvent as error:
            error.decision_point = translator.decision_point  # it was going there
            raise

    def readable(self, family: str, event: CloudEvent | Half) -> None:
        """Refuse a half that nobody can read, or is for nobody, now and not when the other one comes.

        Raises:
            InvalidEvent: no mapping is for it, or a body that cannot be read.
        """
        translator = self._only.get(family) or self.translator(family, {"event": event.attributes})
        try:
            parse_json(event.data)
        except InvalidEvent as error:
            error.decision_point = translator.decision_point  # it was going there
            raise

    def pair(self, pair: Pair) -> list[Routed]:
        """Return the decisions of a pair, one a row.

        Raises:
            InvalidEvent: no mapping is for it, a body that cannot be read, or a value that cannot be.
        """
        half = pair.request or pair.response
        assert half is not None, "a pair has a half"
        family = half.family
        translator = self._only.get(family) or self.translator(family, {"event": half.attributes})
        point, schema = translator.decision_point, translator.schema
        try:
            return [
                Routed(point, schema, translator.decision(document, row=row))
                for row, document in enumerate(pairing.documents(pair))
            ]
        except InvalidEvent as error:
            error.decision_point = point
            raise

    def feedback(self, event: CloudEvent) -> list[Routed]:
        """Return the outcome of a Seldon feedback, of `event`, `feedback` (its body) and `truth` (its row).

        Raises:
            InvalidEvent: no mapping is for it or has an [outcome], or a value that cannot be.
        """
        translator = self.translator("seldon", {"event": event.attributes})
        try:
            body = parse_json(event.data)
            if type(body) is not dict:
                raise Unreadable("a feedback is an object")
            document: dict[str, Any] = {"event": opened(event.attributes), "feedback": body}
            if type(body.get("truth")) is dict:
                rows = rows_of(body["truth"])
                document["truth"] = rows[0] if len(rows) == 1 else rows
            return _routed(translator, [translator.outcome(document)])
        except InvalidEvent as error:
            error.decision_point = translator.decision_point
            raise

    def event(self, event: CloudEvent) -> list[Routed]:
        """Return what any other CloudEvent holds, as `event` and `data`.

        Raises:
            InvalidEvent: no mapping is for it, or a value that cannot be.
        """
        document = {"event": opened(event.attributes), "data": parse_json(event.data) if event.data else None}
        return self.document("cloudevents", document)


def _routed(translator: Translator, events: list[Event]) -> list[Routed]:
    point, schema = translator.decision_point, translator.schema
    return [Routed(point, schema if event.kind == "decision" else "", event) for event in events]
