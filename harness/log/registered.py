"""Registered: the feature sets of a log, as its control events have them."""

from collections.abc import Iterable
from typing import Final

import msgspec

from harness.log.events import ControlEvent
from recorders.errors import FeatureSetError
from recorders.fields import FeatureSet

REGISTERED: Final = "feature_set.registered"


class Registered:
    """The feature sets of one log. Each event is read once: what was said at a position never changes."""

    def __init__(self) -> None:
        self._read: dict[int, tuple[str, FeatureSet]] = {}

    def by_digest(self, events: Iterable[ControlEvent]) -> dict[str, FeatureSet]:
        """Return the feature sets that events of this log register, by digest."""
        return dict(self._read.get(event.position) or self._added(event) for event in events)

    def _added(self, event: ControlEvent) -> tuple[str, FeatureSet]:
        feature_set = msgspec.convert(event.body, FeatureSet)
        self._read[event.position] = feature_set.digest, feature_set
        return self._read[event.position]


def registering(events: Iterable[ControlEvent], feature_set: FeatureSet) -> ControlEvent | None:
    """Return which of the events of its name and version registers `feature_set`, None where there is none.

    Raises:
        FeatureSetError: another schema stands under this name and version.
    """
    for event in events:
        if msgspec.convert(event.body, FeatureSet).digest != feature_set.digest:
            raise FeatureSetError(
                f"Feature set {event.subject} is registered with another schema.",
                "Expected one schema for one version.",
                f"Declare the new schema as {feature_set.name}:{feature_set.version + 1}.",
            )
        return event
    return None
