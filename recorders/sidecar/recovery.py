"""Recovery: what the files of an outbox say when it is opened, damaged ones as far as they can be read."""

import contextlib
from pathlib import Path
from typing import Any, Final

import msgspec

from recorders.sidecar import segment
from recorders.sidecar.records import File, Identity, RowDamaged, State, Witness, ready_of
from recorders.sidecar.salvage import QUARANTINE, quarantine_damaged, readable_rows

OUTBOX: Final = "outbox-"


class Recovered(msgspec.Struct):
    """An outbox as its files tell it.

    `rows` are batches to write again; `damaged` names files and rows kept.
    """

    state: State
    identities: list[Identity]
    receipts: list[Witness]
    settled: set[str]
    files: dict[int, File]
    rows: list[tuple[Any, ...]]
    damaged: list[tuple[str, int]]
    last_number: int


def recover(folder: Path, sql: dict[str, str]) -> Recovered:
    """Return the outbox of a folder, after damaged files were put aside."""
    quarantine_damaged(folder, OUTBOX)
    numbered = segment.numbered(folder, OUTBOX)
    aside = segment.numbered(folder / QUARANTINE, OUTBOX)
    last = max((number for number, _ in [*numbered, *aside]), default=0)
    found = Recovered(State(), [], [], set(), {}, [], [], last)
    if numbered:
        _learn(found, numbered[-1][1], sql)
    found.files = {number: _measured(number, path, found.files, sql) for number, path in numbered}
    _settle(found, [path for _, path in aside], sql)
    return found


def _learn(found: Recovered, path: Path, sql: dict[str, str]) -> None:
    """Take in the state that the newest whole file holds."""
    with contextlib.closing(segment.open_reader(path)) as connection:
        found.state = State(*connection.execute(sql["state"]).fetchone())
        found.identities = [Identity(*row) for row in connection.execute(sql["identities"])]
        found.receipts = [Witness(*row) for row in connection.execute(sql["receipts"])]
        found.settled = {name for (name,) in connection.execute(sql["settled"])}
        found.files = {row[0]: File(*row) for row in connection.execute(sql["files"])}


def _measured(number: int, path: Path, files: dict[int, File], sql: dict[str, str]) -> File:
    with contextlib.closing(segment.open_reader(path)) as connection:
        first, last = connection.execute(sql["range"]).fetchone()
    known = files.get(number, File(number, 1, 0))
    return msgspec.structs.replace(known, first_ordinal=first or 1, last_ordinal=last or 0)


def _settle(found: Recovered, aside: list[Path], sql: dict[str, str]) -> None:
    """Take over what can be read of damaged files: batches that are proven and not known shipped.

    The state that such a file holds counts as far as it can be read: it is newer than that of the file
    before.
    """
    for path in aside:
        if path.name in found.settled:
            continue
        for values in readable_rows(path, sql["state_at"], 1):
            state = _state(values)
            if state is not None and state.shipped_ordinal >= found.state.shipped_ordinal:
                found.state = state
        rows = [row for row in readable_rows(path, sql["batch"], 1) if _proven(row)]
        for place in (place for row in rows for place in _composed(row[11])):
            reached = max((found.state.composed_segment, found.state.composed_id), place)
            found.state.composed_segment, found.state.composed_id = reached
        rows = [row for row in rows if row[0] > found.state.shipped_ordinal]
        found.damaged.append((path.name, len(rows)))
        found.settled.add(path.name)
        found.rows += rows
    if found.damaged:
        whole = max((file.last_ordinal for file in found.files.values()), default=0)
        last = max(whole, found.state.shipped_ordinal)
        found.rows = [(last + place, *row[1:]) for place, row in enumerate(found.rows, start=1)]
        found.state.last_ordinal = last + len(found.rows)


def _proven(row: tuple[Any, ...]) -> bool:
    try:
        ready_of(row)
    except RowDamaged:
        return False
    return True


def _state(values: tuple[Any, ...]) -> State | None:
    try:
        return msgspec.convert(dict(zip(State.__struct_fields__, values, strict=True)), State)
    except msgspec.ValidationError:
        return None


def _composed(frames: Any) -> list[tuple[int, int]]:
    """Return the places in the inbox that a batch was composed of; none where they cannot be read.

    Those frames are composed again then, if the inbox still has them.
    """
    try:
        found = msgspec.msgpack.decode(frames, type=list[tuple[int, int, bytes, int]])
    except (msgspec.DecodeError, TypeError):
        return []
    return [(number, place) for number, place, _, _ in found]
