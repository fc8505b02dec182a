"""The registered training sets: what the log says of them, and their rows cut from it again."""

from collections.abc import Callable, Mapping
from typing import Any

import pyarrow as pa

from harness.errors import NotFound
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.recovery.invalid import refuse_lost
from harness.replay_errors import TrainingSetDiffers
from harness.training.erased import explained
from harness.training.rows import Rows, cut_rows
from harness.training.spec import spec_of
from recorders.errors import WriterForked
from replay.columns import mask_of
from replay.digest import canonical_digest

CREATED = "training_set.created"
NAMED = 10


def list_training_sets(log: Log) -> list[ControlEvent]:
    """Return the registrations in the order of the log."""
    return log.controls(CREATED)


def get_training_set(log: Log, name: str) -> ControlEvent:
    """Return the registration of a set by its id.

    Raises:
        ReferenceLost: there was one, and the log lost it.
        NotFound: there is none; the nearest ids are named.
    """
    found = log.controls(CREATED, name)
    if not found:
        refuse_lost(log, name, [CREATED])
        raise NotFound("training set", name, {event.subject for event in log.controls(CREATED)})
    return found[0]


def verify_training_set(
    log: Log,
    name: str,
    *,
    backfill: pa.Table | None = None,
    files: Callable[[], pa.Table] | None = None,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Return the account of a rebuild: the registered set is cut from the log again and compared.

    `files` gives its rows as they were written. With them a set of which rows were erased since still holds,
    when the log gives all others; `erased` says how many there are, and the ids of some.

    Raises:
        TrainingSetDiffers: the log's history or values at that place are not those of the registration.
        ErasedSince: rows were erased, and there are no files.
    """
    registered = get_training_set(log, name).body
    rows = recut(log, name, registered, backfill, progress)
    found = canonical_digest(rows.batches())
    account = {"id": name, "rows": rows.size, "digest": registered["digest"], "holds": True}
    if found != registered["digest"]:
        written = None if files is None else files()
        gone = explained(log, name, rows, written, (registered["digest"], found))
        names = rows.own["decision_id"].filter(mask_of(gone)).slice(0, NAMED)
        account |= {"erased": int(gone.sum()), "erased_ids": names.to_pylist()}
    return account


def recut(
    log: Log,
    name: str,
    registered: Mapping[str, Any],
    backfill: pa.Table | None = None,
    progress: Callable[[int], None] | None = None,
) -> Rows:
    """Return the rows of a registered set, cut anew from the history that it names.

    Raises:
        TrainingSetDiffers: the log has another history there.
    """
    place = log.as_of(int(registered["as_of"]["position"]))
    if (place.epoch, place.digest) != (registered["as_of"]["epoch"], registered["as_of"]["digest"]):
        raise TrainingSetDiffers(name, "The log's history", registered["as_of"]["digest"], place.digest)
    return cut_rows(log, spec_of(registered["cut"]), place, backfill=backfill, progress=progress)


def readings(log: Log, name: str) -> int:
    """Return how many positions are read to cut a registered set again: each of its range twice."""
    cut = get_training_set(log, name).body["cut"]
    return 2 * (int(cut["stop"]) - int(cut["start"]))


def rows_of(log: Log, name: str) -> pa.Table:
    """Return the rows of a registered set; memory: the rows."""
    return recut(log, name, get_training_set(log, name).body).table()


def register(log: Log, core: dict[str, Any]) -> None:
    """Register what a set is, once; its id names its values."""
    if log.heard(CREATED, core["id"]):
        return
    try:
        log.say(CREATED, core["id"], core, key=f"training_set:{core['id']}")
    except WriterForked:  # somebody registered it since we looked: its id names the same values
        get_training_set(log, core["id"])
