"""Reopening: what an inbox's segments say when it is opened, damaged ones as far as they can be read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID

from recorders.sidecar import segment
from recorders.sidecar.carried import EVERY, Carried
from recorders.sidecar.marks import Mark
from recorders.sidecar.place import INBOX, Place
from recorders.sidecar.report import own_frame, sidecar_loss
from recorders.sidecar.salvage import QUARANTINE, Salvaged, Stored, quarantine_damaged, salvage


class Reopened(NamedTuple):
    """An inbox as its segments tell it.

    `rows` are what the segment `next_ordinal` begins with: frames of damaged segments, and reports of what is
    gone. `empty` are the segments that nothing ever came into.
    """

    next_ordinal: int
    rows: list[Stored]
    end: Place
    empty: list[Path]
    salvaged: list[Salvaged]
    quarantined: int
    gone_back: int


def reopen(
    folder: Path, carried: Carried, composed: Place, sql: dict[str, str], *, owner: UUID, now: float
) -> Reopened:
    """Return the inbox of a folder, after damaged segments were put aside. `carried` learns what they say.

    `owner` names the spool in what it reports of an earlier start.

    Raises:
        OSError, sqlite3.Error: the disk refuses.
    """
    segment.sweep(folder, INBOX)
    segment.settle(folder, INBOX)
    quarantined = len(quarantine_damaged(folder, INBOX))
    segments = segment.numbered(folder, INBOX)
    for _, path in segments:
        carried.learn(path, sql)
    found = {ordinal: carried.learn_frames(ordinal, path, sql) for ordinal, path in segments}
    aside = segment.numbered(folder / QUARANTINE, INBOX)

    def told(reason: str, count: int | None, **details: Any) -> Stored:
        frame = own_frame(sidecar_loss(owner, owner, reason, count, **details))
        carried.marks.setdefault(frame.writer, Mark(0, now)).advance(frame.sequence, frame.digest, now)
        return Stored(0, 0, frame, now)

    rows: list[Stored] = []
    salvaged = _settle(aside, carried, composed, sql)
    for one, lost in salvaged:
        details = {"file": one.name, "bytes": one.size_bytes, "what": one.what}
        counts = {"salvaged": len(one.frames), "unreadable": one.unreadable}
        rows += [*one.frames, told("spool_damaged", lost, **details, **counts)]
    gone = carried.missed(found, composed, [number for number, _ in aside])
    for back in gone:
        name, frames = segment.name_of(INBOX, back.segment), back.last_id - back.first_id + 1
        rows.append(told("spool_rewound", back.events, file=name, frames=frames))
    ends = [Place(number, held.last_id) for number, held in found.items() if held.last_id]
    highest = max([composed.segment, *(ordinal for ordinal, _ in (*segments, *aside))])
    empty = [path for ordinal, path in segments if not found[ordinal].last_id]
    return Reopened(
        highest + 1,
        rows,
        max([composed, *ends]),
        empty,
        [one for one, _ in salvaged],
        quarantined,
        len(gone),
    )


def _settle(
    aside: Sequence[tuple[int, Path]], carried: Carried, composed: Place, sql: dict[str, str]
) -> list[tuple[Salvaged, int | None]]:
    """Return what nobody has counted yet of quarantined segments and no batch holds, and the events lost."""
    found = []
    for ordinal, path in aside:
        if path.name in carried.settled:
            continue
        after = composed.id if ordinal == composed.segment else 0
        after = EVERY if ordinal < composed.segment else after
        one = salvage(path, ordinal, after, carried.limit(ordinal), sql)
        found.append((one, carried.lost_of(ordinal, after, one.frames)))
        carried.take_over(one)
    return found
