"""Carried: what each segment of the inbox says of those before it, so that they can go, or be missed."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NamedTuple

from recorders.sidecar import segment
from recorders.sidecar.marks import Mark
from recorders.sidecar.salvage import Salvaged, Stored

EVERY: Final = 2**62


class Held(NamedTuple):
    """How far a segment went when a later one began: its last id, and the events up to there."""

    last_id: int
    events: int


class Gone(NamedTuple):
    """Frames that a segment held when a later one began, and does not hold now.

    `events` is None where some of them are in batches already: nobody can know how many the others hold.
    """

    segment: int
    first_id: int
    last_id: int
    events: int | None


class Carried:
    """What a spool knows beside its frames.

    `voids` are the last ids that count in frozen segments, `settled` the quarantined files that are counted,
    `held` how far each segment went that is there still, by what the newest one says.
    """

    def __init__(self) -> None:
        self.marks: dict[bytes, Mark] = {}
        self.feature_sets: dict[bytes, bytes] = {}
        self.voids: dict[int, int] = {}
        self.settled: set[str] = set()
        self.held: dict[int, Held] = {}

    def limit(self, ordinal: int) -> int:
        """Return the last id of a segment that may count."""
        return self.voids.get(ordinal, EVERY)

    def learn(self, path: Path, sql: dict[str, str]) -> None:
        """Take in what a segment says of others; a later one knows more."""
        with contextlib.closing(segment.open_reader(path)) as connection:
            self.voids |= dict(connection.execute(sql["voids"]).fetchall())
            self.settled |= {name for (name,) in connection.execute(sql["settled"])}
            self.feature_sets |= dict(connection.execute(sql["feature_sets"]).fetchall())
            self.held = {}
            if connection.execute(sql["tells_held"]).fetchone():
                self.held = {ordinal: Held(*rest) for ordinal, *rest in connection.execute(sql["held"])}
            for writer, *values in connection.execute(sql["marks"]):
                self._meet(writer, Mark.from_row(*values))

    def learn_frames(self, ordinal: int, path: Path, sql: dict[str, str]) -> Held:
        """Take in the frames of a segment, and return how far it goes."""
        limit = self.limit(ordinal)
        with contextlib.closing(segment.open_reader(path)) as connection:
            for writer, sequence, digest, received_at in connection.execute(sql["sequences"], (limit,)):
                mark = self.marks.setdefault(writer, Mark(0, received_at))
                mark.advance(sequence, digest, received_at)
            _, events, last_id, _, _ = connection.execute(sql["census"], (limit,)).fetchone()
        return Held(last_id, events)

    def take_over(self, found: Salvaged) -> None:
        """Take in what could be read of a damaged segment."""
        self.feature_sets |= found.feature_sets
        for writer, mark in found.marks.items():
            self._meet(writer, mark)
        for stored in found.frames:
            frame = stored.frame
            mark = self.marks.setdefault(frame.writer, Mark(0, stored.received_at))
            mark.advance(frame.sequence, frame.digest, stored.received_at)
        self.settled.add(found.name)

    def lost_of(self, ordinal: int, after: int, salvaged: list[Stored]) -> int | None:
        """Return how many events of a damaged segment behind id `after` are not among what was salvaged.

        None where nobody can know it: no later segment says how far it went, or some of it is in batches.
        """
        if after == EVERY:
            return 0
        held = self.held.get(ordinal)
        if held is None or after:
            return None
        return max(0, held.events - sum(stored.frame.events for stored in salvaged))

    def missed(self, found: dict[int, Held], composed: tuple[int, int], aside: Iterable[int]) -> list[Gone]:
        """Return what the segments held and do not hold any more, but for what is composed or put aside.

        From now on they are held as they are.
        """
        gone = []
        apart = set(aside)
        for ordinal, held in sorted(self.held.items()):
            now = found.get(ordinal, Held(0, 0))
            taken = composed[1] if ordinal == composed[0] else EVERY if ordinal < composed[0] else 0
            if ordinal not in apart and held.last_id > max(now.last_id, taken):
                events = held.events - now.events if taken <= now.last_id else None
                gone.append(Gone(ordinal, max(now.last_id, taken) + 1, held.last_id, events))
        self.held = dict(found)
        return gone

    def filler(
        self, sql: dict[str, str], marks: dict[bytes, Mark], voids: dict[int, int], held: dict[int, Held]
    ) -> Callable[[sqlite3.Connection], None]:
        """Return what writes this, with the given parts of it, into a new segment."""

        def fill(connection: sqlite3.Connection) -> None:
            for statement in sql["tables"].split(";"):
                connection.execute(statement)
            carried = [(w, m.sequence, m.seen_at, b"".join(m.digests)) for w, m in marks.items()]
            connection.executemany(sql["insert_mark"], carried)
            connection.executemany(sql["insert_feature_set"], self.feature_sets.items())
            connection.executemany(sql["insert_void"], voids.items())
            connection.executemany(sql["insert_settled"], [(name,) for name in sorted(self.settled)])
            connection.executemany(sql["insert_held"], [(ordinal, *rest) for ordinal, rest in held.items()])

        return fill

    def _meet(self, writer: bytes, mark: Mark) -> None:
        if writer not in self.marks or self.marks[writer].sequence < mark.sequence:
            self.marks[writer] = mark
