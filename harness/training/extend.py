"""Extend: the same set, continued to a later place of the log."""

from datetime import datetime

import msgspec
import pyarrow as pa

from harness.log.log import Log
from harness.training.errors import NotAnExtension
from harness.training.folder import TrainingSet
from harness.training.registry import get_training_set
from harness.training.sets import Place, build_training_set
from harness.training.spec import spec_of


def extend_training_set(
    log: Log,
    name: str,
    *,
    to: int | None = None,
    as_of: int | str | datetime | None = None,
    place: Place | None = None,
    backfill: pa.Table | None = None,
) -> TrainingSet:
    """Return the set of the same specification with the range up to `to`, as known at `as_of`; both the end.

    Features and feature set stay those that were resolved: snapshots of a newer one are excluded and counted.
    Old decisions that matured, and outcomes that came or were corrected since, are as known at the new place:
    it is the set that a build from nothing gives, which is how it is made (docs/adr/0026).

    Raises:
        NotAnExtension: the place or the range would end earlier than the set does.
    """
    registered = get_training_set(log, name).body
    spec, at = spec_of(registered["cut"]), log.as_of(as_of)
    stop = at.position + 1 if to is None else to
    known = int(registered["as_of"]["position"])
    if at.position < known:
        raise NotAnExtension(
            name, f"it is known at position {known}.", f"Expected a place there or later, not {at.position}."
        )
    if stop < spec.stop:
        raise NotAnExtension(
            name, f"its range stops at {spec.stop}.", f"Expected an end there or later, not {stop}."
        )
    longer = msgspec.structs.replace(spec, stop=stop)
    return build_training_set(log, longer, as_of=at.position, place=place, backfill=backfill)
