"""Spool: keeps frames on disk until they are composed. Acknowledge only what `commit` has answered for."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID

from recorders.clock import Clock, LastingClock
from recorders.sidecar import segment, taking
from recorders.sidecar.carried import Carried, Held
from recorders.sidecar.disk import Disk
from recorders.sidecar.marks import Answer, Mark, judge
from recorders.sidecar.place import INBOX, Place
from recorders.sidecar.recent import Recent
from recorders.sidecar.reopening import reopen
from recorders.sidecar.report import own_frame, sidecar_loss
from recorders.sidecar.salvage import Salvaged, Stored
from recorders.sidecar.silence import Silence
from recorders.sidecar.wire import Arrived, Known

SQL: Final = segment.statements(Path(__file__).with_suffix(".sql"))
SEGMENT_BYTES: Final = 16 * 2**20


class Rules(NamedTuple):
    """How a spool writes.

    `durability` "power" survives a power cut, "process" the death of the process alone.
    """

    durability: str = "power"
    segment_bytes: int = SEGMENT_BYTES
    segment_age_s: float = 600.0


class Counts:
    """What a spool did since it was opened."""

    def __init__(self) -> None:
        self.frames = self.events = self.commits = self.duplicates = self.forked = self.full = self.held = 0
        self.io_errors = self.frozen = self.unlinked = self.quarantined = self.gone_back = 0
        self.sync_seconds = 0.0


class Spool:
    """The inbox of one folder, whose lock the caller holds.

    `commit`, `tick` and `close` belong to one thread, `read` and `release` to another; the rest to any.
    `owner` names the spool in what it reports itself. `composed` is the place up to which the outbox has
    taken frames over: salvage leaves those out.
    """

    def __init__(
        self,
        folder: Path,
        disk: Disk,
        rules: Rules,
        *,
        owner: UUID,
        composed: Place,
        clock: Clock = LastingClock(),  # noqa: B008  # a constant
    ) -> None:
        self.folder = folder
        self.counts = Counts()
        self.salvaged: list[Salvaged] = []
        self.refusal = ""
        self.owner = owner
        self._disk = disk
        self._rules = rules
        self._clock = clock
        self._lock = threading.Lock()
        self._carried = Carried()
        self._silence = Silence()
        self._untouched: list[sqlite3.Connection] = []
        self._connection: sqlite3.Connection | None = None
        self._ordinal = self._last_id = self._events = 0
        self._end = composed
        self._open(composed)
        self._recent = Recent(self._end)

    def marks(self, writers: Sequence[bytes]) -> list[Known]:
        """Return how far the spool holds each writer; 0 for one that it does not know. They are heard of."""
        with self._lock:
            found = [(writer, self._carried.marks.get(writer) or Mark(0, 0.0)) for writer in writers]
            self._silence.heard((w for w, mark in found if mark.sequence), self._clock.monotonic())
            return [Known(writer, mark.sequence, mark.last) for writer, mark in found]

    def holds(self, digest: bytes) -> bool:
        """Whether a frame of that digest is among the last of any writer."""
        with self._lock:
            return any(digest in mark.digests for mark in self._carried.marks.values())

    def seen_at(self, writer: bytes) -> float:
        """Return when a writer's last frame came, in seconds since 1970; 0 for one that is not known."""
        with self._lock:
            mark = self._carried.marks.get(writer)
            return mark.seen_at if mark else 0.0

    def feature_set(self, digest: bytes) -> bytes | None:
        """Return the canonical JSON of a feature set that a service announced."""
        return self._carried.feature_sets.get(digest)

    @property
    def writers(self) -> int:
        """How many writers the spool remembers."""
        return len(self._carried.marks)

    @property
    def end(self) -> Place:
        """The place of the last frame that was kept, and is kept still or composed."""
        return self._end

    @property
    def current(self) -> int:
        """The number of the segment that is written."""
        return self._ordinal

    def report(self, reason: str, subject: UUID, count: int | None, **details: Any) -> Arrived:
        """Return the frame that takes a loss through the spool into the log, like any other."""
        return own_frame(sidecar_loss(self.owner, subject, reason, count, **details))

    # One thread: keep.

    def commit(self, frames: Sequence[Arrived], schemas: Sequence[tuple[bytes, bytes]] = ()) -> list[Answer]:
        """Return what became of each frame, after the disk has it. All of one call are one transaction."""
        new_schemas = [pair for pair in schemas if pair[0] not in self._carried.feature_sets]
        answers, keep, marks = judge(frames, self._carried.marks, self._now())
        self.counts.duplicates += sum(answer.duplicate for answer in answers)
        self.counts.forked += sum(answer.reason == "forked" for answer in answers)
        if not keep and not new_schemas:
            return answers
        self.refusal = self._disk.look().refusal or self._write(keep, new_schemas)
        if self.refusal:
            self.counts.full += len(keep)
            return [self._refused(answer) for answer in answers]
        with self._lock:
            self._carried.marks.update(marks)
            self._silence.heard(marks, self._clock.monotonic())
            self._carried.feature_sets.update(new_schemas)
            self._recent.add(self._as_stored(keep))
            self._last_id += len(keep)
            self._events += sum(frame.events for frame in keep)
            self._end = Place(self._ordinal, self._last_id) if keep else self._end
        self.counts.frames += len(keep)
        self.counts.events += sum(frame.events for frame in keep)
        self._rotate_if_due()
        return answers

    def tick(self) -> None:
        """Do what must be done without traffic: lay the ballast in again, begin a new segment in time.

        Where there is no room: close the segment that is written, so that it can go (docs/adr/0082).
        """
        self.refusal = self._disk.look().refusal
        if not self.refusal:
            self._disk.take_ballast()
            self._rotate_if_due()
        elif self._last_id:
            self._rotate()

    def drop_ballast(self) -> bool:
        """Give the ballast back to a full disk; False when it is gone already. From any thread."""
        return self._disk.drop_ballast()

    def close(self) -> None:
        """Close the file that is written, and those that were frozen. Safe to call twice."""
        for connection in (self._connection, *self._untouched):
            if connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.close()

    # Another thread: take.

    def read(self, after: Place, *, events: int, payload_bytes: int) -> list[Stored]:
        """Return the frames after a place, in order of arrival, until one of the limits is passed.

        Raises:
            sqlite3.Error: a file cannot be read; the next open puts it aside.
        """
        recent = self._recent.after(after, events=events, payload_bytes=payload_bytes)
        if recent is not None:
            return recent
        return taking.read(self.folder, self._carried, after, SQL, events=events, payload_bytes=payload_bytes)

    def release(self, composed: Place) -> None:
        """Unlink every closed segment whose frames are all composed."""
        self.counts.unlinked += taking.release(self.folder, self._carried, self._ordinal, composed, SQL)

    # Inside.

    def _now(self) -> float:
        """Return what is written down as the time: seconds since 1970, as the machine has them."""
        return self._clock.now_us() / 1e6

    def _as_stored(self, keep: Sequence[Arrived]) -> list[Stored]:
        now, first = self._now(), self._last_id + 1
        return [Stored(self._ordinal, first + place, frame, now) for place, frame in enumerate(keep)]

    def _refused(self, answer: Answer) -> Answer:
        if not answer.kept or answer.duplicate:
            return answer
        return Answer(kept=False, duplicate=False, reason="full", have=answer.have - 1, text=self.refusal)

    def _write(self, keep: Sequence[Arrived], schemas: Sequence[tuple[bytes, bytes]]) -> str:
        """Return "" once the disk has them, else why not.

        A file that failed to sync is never trusted again.
        """
        problem = ""
        for _ in range(2):
            try:
                self._transact(keep, schemas)
            except sqlite3.Error as error:
                self._roll_back()
                problem = str(error)
                if segment.no_room(error):
                    self._disk.drop_ballast()
                    return problem
                self.counts.io_errors += 1
                refused = self._freeze()
                if refused:
                    return f"{problem}; {refused}"
            else:
                return ""
        return problem

    def _transact(self, keep: Sequence[Arrived], schemas: Sequence[tuple[bytes, bytes]]) -> None:
        connection = self._connection
        assert connection is not None, "the spool is open"
        connection.execute("begin immediate")
        connection.executemany(SQL["insert_feature_set"], schemas)
        connection.executemany(SQL["insert_frame"], _rows(keep, self._now()))
        started = time.perf_counter()
        connection.execute("commit")
        self.counts.sync_seconds += time.perf_counter() - started
        self.counts.commits += 1

    def _roll_back(self) -> None:
        # After some errors SQLite has rolled back by itself; then there is nothing to do.
        if self._connection is not None and self._connection.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("rollback")

    def _freeze(self) -> str:
        """Leave the segment as it is and begin another. Return "" or what stood in the way.

        What the failed transaction left in it was never acknowledged and will come again: it is void. The
        connection stays open as long as the spool: closing would checkpoint, on a disk that just failed.
        """
        frozen, old = self._connection, (self._ordinal, self._last_id)
        problem = self._begin(self._ordinal + 1, void=old)
        if not problem and frozen is not None:
            self._untouched.append(frozen)
            self.counts.frozen += 1
        return problem

    def _rotate_if_due(self) -> None:
        if self._last_id == 0:
            return
        size = segment.bytes_of(self.folder / segment.name_of(INBOX, self._ordinal)) - self._born_bytes
        age_s = self._clock.monotonic() - self._begun_at
        if size >= self._rules.segment_bytes or age_s >= self._rules.segment_age_s:
            self._rotate()

    def _rotate(self) -> None:
        old = self._connection
        # On a disk too full for a new segment the old one goes on; the next commit tries again.
        if not self._begin(self._ordinal + 1) and old is not None:
            with contextlib.suppress(sqlite3.Error):
                old.close()

    def _begin(
        self, ordinal: int, *, void: tuple[int, int] | None = None, rows: Sequence[Stored] = ()
    ) -> str:
        """Begin a segment that carries what the spool knows. Return "" or what stood in the way."""
        with self._lock:
            gone = self._silence.gone(self._clock.monotonic())
        marks = {writer: mark for writer, mark in self._carried.marks.items() if writer not in gone}
        present = {number for number, _ in segment.numbered(self.folder, INBOX)}
        voids = {number: last for number, last in self._carried.voids.items() if number in present}
        voids |= dict([void] if void else [])
        held = {number: how for number, how in self._carried.held.items() if number in present}
        if self._last_id:
            held[self._ordinal] = Held(self._last_id, self._events)
        carry = self._carried.filler(SQL, marks, voids, held)

        def fill(connection: sqlite3.Connection) -> None:
            carry(connection)
            for stored in rows:
                connection.executemany(SQL["insert_frame"], _rows([stored.frame], stored.received_at))

        try:
            path = self.folder / segment.name_of(INBOX, ordinal)
            opened = segment.create(path, fill, self._rules.durability)
        except (OSError, sqlite3.Error) as error:
            return f"no new segment can be made ({error})"
        with self._lock:
            self._connection, self._ordinal, self._last_id = opened, ordinal, len(rows)
            self._events = sum(stored.frame.events for stored in rows)
            self._carried.marks, self._carried.voids, self._carried.held = marks, voids, held
            self._silence.forget(gone)
            self._end = Place(ordinal, len(rows)) if rows else self._end
        self._begun_at, self._born_bytes = self._clock.monotonic(), segment.bytes_of(path)
        return ""

    def _open(self, composed: Place) -> None:
        found = reopen(self.folder, self._carried, composed, SQL, owner=self.owner, now=self._now())
        self._silence.learn(self._carried.marks, self._now(), self._clock.monotonic())
        self.salvaged = found.salvaged
        self.counts.quarantined, self.counts.gone_back = found.quarantined, found.gone_back
        self._end = max(self._end, found.end)
        problem = self._begin(found.next_ordinal, rows=found.rows)
        if problem:
            raise OSError(problem)
        for path in found.empty:  # each start makes one; where nothing comes nothing else removes it
            self.counts.unlinked += segment.let_go(path)


def _rows(frames: Sequence[Arrived], now: float) -> list[tuple[object, ...]]:
    return [(*frame[:-1], now, frame.payload) for frame in frames]
