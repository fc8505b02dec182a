"""Erase a person: find what holds their events, destroy their keys, and say so in the log for ever."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import UsageError
from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.models import REGISTERED as MODEL
from harness.training.erased import touches
from harness.training.registry import CREATED as TRAINING_SET
from recorders.canonical import digest
from recorders.columns import SEALED
from recorders.errors import WriterForked
from recorders.sealing import ID_BYTES

ERASED, REAPPLIED = "subject.erased", "subject.erased_again"


class KeyStore(Protocol):
    """Where keys of subjects can be found by name, and destroyed."""

    def ids_of(self, subject: str) -> dict[bytes, bool]:
        """Return the id of every key that a subject ever had, and whether it is destroyed."""

    def destroy(self, identifiers: Iterable[bytes]) -> int:
        """Destroy keys, and return how many of them lived."""


def erase(
    log: Log, keys: KeyStore, subject: str, progress: Callable[[int], None] = lambda _: None
) -> ControlEvent:
    """Return the receipt of erasing a subject: their keys' ids, and what held their events. Once is enough.

    The receipt does not name the subject. What died between destroying and the receipt is done again, and
    ends with the same receipt; what died after it, before it looked once more, looks when it is done again.
    What came while it searched is on it too: events that were under way, and a set that was registered
    meanwhile; one that is registered after it is refused by whoever cuts it
    (`harness.training.erased`). `progress` is called with how many decisions were searched for theirs.

    Raises:
        UsageError: nobody of that name ever had a key here.
        LinkUnavailable: the key store does not answer; nothing is destroyed.
    """
    receipt, pending = _sought(log, keys, subject)
    if receipt is not None:
        return receipt if _names_all(log, receipt) else _whole(log, receipt, progress)
    found = Search(log, pending)
    found.go_on(progress)
    keys.destroy(pending)
    found.go_on(progress)
    named = {"keys": [one.hex() for one in pending]}
    subject_key, name = pending[0].hex(), f"erase:{digest(b''.join(pending))}"
    body = named | found.told()
    try:
        receipt = log.control(ERASED, subject_key, body, key=name)
    except WriterForked:  # somebody erases the same person at this moment, and was first
        receipt, _none = _sought(log, keys, subject)
        assert receipt is not None, "who was first left a receipt"
        return receipt
    whole = named | found.told(up_to=receipt.position)
    return receipt if whole == body else log.control(ERASED, subject_key, whole, key=f"{name}:whole")


def _names_all(log: Log, receipt: ControlEvent) -> bool:
    """Return whether nothing registered before a receipt can hold the subject beside what it names.

    By the ranges on the receipt, without a search. One that was completed is not looked at: what came after
    the first of the two was refused by whoever cut it.
    """
    body, points = receipt.body, receipt.body["decision_points"]
    if sum(other.body["keys"] == body["keys"] for other in log.controls(ERASED)) > 1 or not points:
        return True
    sets, models = (log.controls(kind, up_to=receipt.position) for kind in (TRAINING_SET, MODEL))
    first = min(each["first"] for each in points.values())
    named = {*body["training_sets"], *body["models"]}
    touched = {one.subject for one in sets if touches(points, _cut(one))}
    touched |= {one.subject for one in models if (one.body.get("trained_until") or 0) >= first}
    return touched <= named


def _whole(log: Log, receipt: ControlEvent, progress: Callable[[int], None]) -> ControlEvent:
    """Return the receipt with all that was registered before it: who erased died before they could say so."""
    identifiers = [bytes.fromhex(one) for one in receipt.body["keys"]]
    found = Search(log, identifiers)
    found.go_on(progress)
    told = found.told(up_to=receipt.position)
    if all({*told[kind]} <= {*receipt.body[kind]} for kind in ("training_sets", "models")):
        return receipt
    whole = {"keys": receipt.body["keys"], **told}
    key = f"erase:{digest(b''.join(identifiers))}:whole"
    try:
        return log.control(ERASED, receipt.subject, whole, key=key)
    except WriterForked:  # somebody completes it at this moment, and was first
        return log.controls(ERASED, receipt.subject)[-1]


def foresee(
    log: Log, keys: KeyStore, subject: str, progress: Callable[[int], None] = lambda _: None
) -> tuple[int | None, dict[str, Any]]:
    """Return the position and the body of the receipt that erasing a subject would give; nothing is changed.

    The position is None until the subject is erased.

    Raises:
        UsageError, LinkUnavailable: as of `erase`.
    """
    receipt, pending = _sought(log, keys, subject)
    return (
        (None, _held_under(log, pending, progress)) if receipt is None else (receipt.position, receipt.body)
    )


def _sought(log: Log, keys: KeyStore, subject: str) -> tuple[ControlEvent | None, list[bytes]]:
    """Return the receipt of a subject who is erased, or the keys that no receipt names yet."""
    known = keys.ids_of(subject)
    if not known:
        raise UsageError(
            "No key was ever made for this subject.",
            "Expected the value of a field with subject = true, as the services recorded it.",
            "Check its spelling; a subject without a key has no sensitive values in this log.",
        )
    receipts = log.controls(ERASED)
    told = {one for receipt in receipts for one in receipt.body["keys"]}
    pending = sorted(one for one in known if one.hex() not in told)
    if pending:
        return None, pending
    theirs = {one.hex() for one in known}
    return next(receipt for receipt in reversed(receipts) if {*receipt.body["keys"]} & theirs), []


def _held_under(log: Log, pending: list[bytes], progress: Callable[[int], None]) -> dict[str, Any]:
    found = Search(log, pending)
    found.go_on(progress)
    return {"keys": [one.hex() for one in pending], **found.told()}


def reapply(log: Log, keys: KeyStore) -> int:
    """Destroy again what the log says is destroyed, after a restore; return how much had come back."""
    gone = [bytes.fromhex(one) for receipt in log.controls(ERASED) for one in receipt.body["keys"]]
    count = keys.destroy(gone)
    if count:
        log.control(REAPPLIED, "key-store", {"keys": count})
    return count


class Search:
    """What holds events that are sealed with these keys, and how many.

    A training set counts if its range has one. A model counts if its training reached the first of them:
    nobody else knows what it learnt.
    """

    def __init__(self, log: Log, identifiers: Sequence[bytes]) -> None:
        self._log = log
        self._identifiers = identifiers
        self._found: dict[str, list[int]] = {}
        self._stop = 1
        self._searched = 0

    def go_on(self, progress: Callable[[int], None] = lambda _: None) -> None:
        """Search what the log has now and was not searched; `progress` is told of all decisions so far."""

        def told(rows: int) -> None:
            self._searched += rows
            progress(self._searched)

        start, self._stop = self._stop, self._log.head().position + 1
        for kind, point, *_ in self._log.rows("stats"):
            if kind == "decision":
                there = self._found.setdefault(point, [])
                there += positions(self._log, (start, self._stop), point, self._identifiers, told)

    def told(self, *, up_to: int | None = None) -> dict[str, Any]:
        """Return what a receipt says of it, with what was registered up to a position, by default by now."""
        places = sorted(place for some in self._found.values() for place in some)
        sets = self._log.controls(TRAINING_SET, up_to=up_to)
        models = self._log.controls(MODEL, up_to=up_to)
        return {
            "rows": len(places),
            "decision_points": {
                point: {"rows": len(some), "first": some[0], "last": some[-1]}
                for point, some in self._found.items()
                if some
            },
            "segments": [
                f"{one.first}-{one.stop - 1}"
                for one in self._log.sealed.segments()
                if _within(places, one.first, one.stop)
            ],
            "training_sets": [one.subject for one in sets if self._holds(_cut(one))],
            "models": [
                one.subject for one in models if places and (one.body.get("trained_until") or 0) >= places[0]
            ],
        }

    def _holds(self, cut: dict[str, Any]) -> bool:
        return _within(self._found.get(cut["decision_point"], []), cut["start"], cut["stop"])


def _cut(training_set: ControlEvent) -> dict[str, Any]:
    cut: dict[str, Any] = training_set.body["cut"]
    return cut


def positions(
    log: Log,
    span: tuple[int, int],
    point: str,
    identifiers: Sequence[bytes],
    told: Callable[[int], None] = lambda _: None,
) -> list[int]:
    """Return where the events of a decision point in a range are that are sealed with one of these keys.

    `told` is called with the rows of each batch.
    """
    wanted = pa.array(identifiers, pa.binary())
    found: list[int] = []
    for batch in log.read(*span, kind="decision", decision_point=point, columns=[SEALED]):
        told(batch.num_rows)
        if SEALED in batch.schema.names:
            keys = pc.binary_slice(batch.column(SEALED), 1, 1 + ID_BYTES)
            mask = np.asarray(pc.is_in(keys, wanted))
            found += batch.column("position").filter(pa.array(mask)).to_pylist()
    return found


def _within(places: Sequence[int], start: int, stop: int) -> bool:
    return bisect_right(places, stop - 1) > bisect_right(places, start - 1)
