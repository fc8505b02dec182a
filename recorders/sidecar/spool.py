"""Spool: keeps frames on disk until they are composed. Acknowledge only what `commit` has answered for."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid4

from recorders.sidecar import segment
from recorders.sidecar.disk import Disk
from recorders.sidecar.marks import Answer, Mark, judge
from recorders.sidecar.report import own_frame, sidecar_loss
from recorders.sidecar.salvage import QUARANTINE, Salvaged, Stored, quarantine_damaged, salvage
from recorders.sidecar.wire import Arrived, Known

SQL: Final = segment.statements(Path(__file__).with_suffix(".sql"))
INBOX: Final = "inbox-"
# A writer that was silent for this long is forgotten; if it comes back it takes a new writer.
SILENT_S: Final = 30 * 86_400.0
SEGMENT_BYTES: Final = 16 * 2**20
_EVERY: Final = 2**62


class Place(NamedTuple):
    """A place in the inbox: a segment's number and a frame's id in it. Places are in order of arrival."""

    segment: int
    id: int


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
        self.io_errors = self.frozen = self.unlinked = self.quarantined = 0
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
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder = folder
        self.counts = Counts()
        self.salvaged: list[Salvaged] = []
        self.refusal = ""
        self.owner = owner
        self._own_writer, self._own_sequence = uuid4().bytes, 0
        self._disk = disk
        self._rules = rules
        self._clock = clock
        self._lock = threading.Lock()
        self._marks: dict[bytes, Mark] = {}
        self._feature_sets: dict[bytes, bytes] = {}
        self._voids: dict[int, int] = {}
        self._settled: set[str] = set()
        self._untouched: list[sqlite3.Connection] = []
        self._connection: sqlite3.Connection | None = None
        self._ordinal = self._last_id = 0
        self._end = composed
        self._open(composed)

    def marks(self, writers: Sequence[bytes]) -> list[Known]:
        """Return how far the spool holds each writer; 0 for one that it does not know."""
        with self._lock:
            found = [(writer, self._marks.get(writer) or Mark(0, 0.0)) for writer in writers]
            return [Known(writer, mark.sequence, mark.last) for writer, mark in found]

    def holds(self, digest: bytes) -> bool:
        """Whether a frame of that digest is among the last of any writer."""
        with self._lock:
            return any(digest in mark.digests for mark in self._marks.values())

    def seen_at(self, writer: bytes) -> float:
        """Return when a writer's last frame came, in seconds since 1970; 0 for one that is not known."""
        with self._lock:
            mark = self._marks.get(writer)
            return mark.seen_at if mark else 0.0

    def feature_set(self, digest: bytes) -> bytes | None:
        """Return the canonical JSON of a feature set that a service announced."""
        return self._feature_sets.get(digest)

    @property
    def writers(self) -> int:
        """How many writers the spool remembers."""
        return len(self._marks)

    @property
    def end(self) -> Place:
        """The place of the last frame that was kept, and is kept still or composed."""
        return self._end

    @property
    def current(self) -> int:
        """The number of the segment that is written."""
        return self._ordinal

    def report(self, reason: str, subject: UUID, count: int | None, **details: Any) -> Arrived:
        """Return the frame that takes a loss through the spool into the log, like any other.

        For one thread.
        """
        self._own_sequence += 1
        event = sidecar_loss(self.owner, subject, reason, count, **details)
        return own_frame(self._own_writer, self._own_sequence, event)

    # One thread: keep.

    def commit(self, frames: Sequence[Arrived], schemas: Sequence[tuple[bytes, bytes]] = ()) -> list[Answer]:
        """Return what became of each frame, after the disk has it. All of one call are one transaction."""
        new_schemas = [pair for pair in schemas if pair[0] not in self._feature_sets]
        answers, keep, marks = judge(frames, self._marks, self._clock())
        self.counts.duplicates += sum(answer.duplicate for answer in answers)
        self.counts.forked += sum(answer.reason == "forked" for answer in answers)
        if not keep and not new_schemas:
            return answers
        self.refusal = self._disk.look().refusal or self._write(keep, new_schemas)
        if self.refusal:
            self.counts.full += len(keep)
            return [self._refused(answer) for answer in answers]
        with self._lock:
            self._marks.update(marks)
            self._feature_sets.update(new_schemas)
            self._last_id += len(keep)
            self._end = Place(self._ordinal, self._last_id) if keep else self._end
        self.counts.frames += len(keep)
        self.counts.events += sum(frame.events for frame in keep)
        self._rotate_if_due()
        return answers

    def tick(self) -> None:
        """Do what must be done without traffic: lay the ballast in again, begin a new segment in time."""
        self.refusal = self._disk.look().refusal
        if not self.refusal:
            self._disk.take_ballast()
            self._rotate_if_due()

    def drop_ballast(self) -> bool:
        """Give the ballast back to a full disk; False when it is gone already. From any thread."""
        return self._disk.drop_ballast()

    def close(self) -> None:
        """Close the file that is written. Safe to call twice."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()

    # Another thread: take.

    def read(self, after: Place, *, events: int, payload_bytes: int) -> list[Stored]:
        """Return the frames after a place, in order of arrival, until one of the limits is passed.

        Raises:
            sqlite3.Error: a file cannot be read; the next open puts it aside.
        """
        found: list[Stored] = []
        for ordinal, path in segment.numbered(self.folder, INBOX):
            if ordinal < after.segment:
                continue
            start = after.id if ordinal == after.segment else 0
            with contextlib.closing(segment.open_reader(path)) as connection:
                for row in connection.execute(SQL["frames"], (start, self._limit(ordinal))):
                    found.append(Stored.from_row(ordinal, row))
                    events -= found[-1].frame.events
                    payload_bytes -= len(found[-1].frame.payload)
                    if events <= 0 or payload_bytes <= 0:
                        return found
        return found

    def release(self, composed: Place) -> None:
        """Unlink every closed segment whose frames are all composed."""
        current = self._ordinal
        for ordinal, path in segment.numbered(self.folder, INBOX):
            if ordinal >= current or ordinal > composed.segment:
                return
            if ordinal == composed.segment and self._last_in(ordinal, path) > composed.id:
                return
            if not segment.let_go(path):
                return
            self.counts.unlinked += 1

    def _last_in(self, ordinal: int, path: Path) -> int:
        with contextlib.closing(segment.open_reader(path)) as connection:
            (last,) = connection.execute(SQL["last_id"]).fetchone()
            return min(int(last), self._limit(ordinal))

    def _limit(self, ordinal: int) -> int:
        return self._voids.get(ordinal, _EVERY)

    # Inside.

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
        connection.executemany(SQL["insert_frame"], _rows(keep, self._clock()))
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
        connection stays open, because closing would checkpoint into a file that cannot be trusted.
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
        if size < self._rules.segment_bytes and self._clock() - self._begun_at < self._rules.segment_age_s:
            return
        old = self._connection
        # On a disk too full for a new segment the old one goes on; the next commit tries again.
        if not self._begin(self._ordinal + 1) and old is not None:
            with contextlib.suppress(sqlite3.Error):
                old.close()

    def _begin(
        self, ordinal: int, *, void: tuple[int, int] | None = None, rows: Sequence[Stored] = ()
    ) -> str:
        """Begin a segment that carries what the spool knows. Return "" or what stood in the way."""
        oldest = self._clock() - SILENT_S
        marks = {writer: mark for writer, mark in self._marks.items() if mark.seen_at >= oldest}
        present = {number for number, _ in segment.numbered(self.folder, INBOX)}
        voids = {number: last for number, last in self._voids.items() if number in present}
        voids |= dict([void] if void else [])

        def fill(connection: sqlite3.Connection) -> None:
            for statement in SQL["tables"].split(";"):
                connection.execute(statement)
            carried = [(w, m.sequence, m.seen_at, b"".join(m.digests)) for w, m in marks.items()]
            connection.executemany(SQL["insert_mark"], carried)
            connection.executemany(SQL["insert_feature_set"], self._feature_sets.items())
            connection.executemany(SQL["insert_void"], voids.items())
            connection.executemany(SQL["insert_settled"], [(name,) for name in sorted(self._settled)])
            for stored in rows:
                connection.executemany(SQL["insert_frame"], _rows([stored.frame], stored.received_at))

        try:
            path = self.folder / segment.name_of(INBOX, ordinal)
            opened = segment.create(path, fill, self._rules.durability)
        except (OSError, sqlite3.Error) as error:
            return f"no new segment can be made ({error})"
        with self._lock:
            self._connection, self._ordinal, self._last_id = opened, ordinal, len(rows)
            self._marks, self._voids = marks, voids
            self._end = Place(ordinal, len(rows)) if rows else self._end
        self._begun_at, self._born_bytes = self._clock(), segment.bytes_of(path)
        return ""

    def _open(self, composed: Place) -> None:
        segment.sweep(self.folder, INBOX)
        self.counts.quarantined = len(quarantine_damaged(self.folder, INBOX))
        segments = segment.numbered(self.folder, INBOX)
        for _, path in segments:
            self._learn(path)
        for ordinal, path in segments:
            self._learn_sequences(ordinal, path)
        rows = self._settle(composed)
        aside = segment.numbered(self.folder / QUARANTINE, INBOX)
        highest = max((ordinal for ordinal, _ in [*segments, *aside]), default=composed.segment)
        problem = self._begin(max(highest, composed.segment) + 1, rows=rows)
        if problem:
            raise OSError(problem)

    def _settle(self, composed: Place) -> list[Stored]:
        """Return the frames of quarantined segments that nobody has counted yet and no batch holds."""
        rows: list[Stored] = []
        for ordinal, path in segment.numbered(self.folder / QUARANTINE, INBOX):
            if path.name in self._settled:
                continue
            after = composed.id if ordinal == composed.segment else 0
            after = _EVERY if ordinal < composed.segment else after
            found = salvage(path, ordinal, after, self._limit(ordinal), SQL)
            self.salvaged.append(found)
            self._feature_sets |= found.feature_sets
            for writer, mark in found.marks.items():
                if writer not in self._marks or self._marks[writer].sequence < mark.sequence:
                    self._marks[writer] = mark
            for stored in found.frames:
                frame, mark = (
                    stored.frame,
                    self._marks.setdefault(stored.frame.writer, Mark(0, stored.received_at)),
                )
                mark.advance(frame.sequence, frame.digest, stored.received_at)
            self._settled.add(path.name)
            rows += [*found.frames, self._told(found)]
        return rows

    def _told(self, found: Salvaged) -> Stored:
        """Return the report of a damaged file as a frame to keep."""
        details = {"file": found.name, "bytes": found.size_bytes, "what": found.what}
        counts = {"salvaged": len(found.frames), "unreadable": found.unreadable}
        frame = self.report("spool_damaged", self.owner, None, **details, **counts)
        self._marks.setdefault(frame.writer, Mark(0, self._clock())).advance(
            frame.sequence, frame.digest, self._clock()
        )
        return Stored(0, 0, frame, self._clock())

    def _learn(self, path: Path) -> None:
        """Take in what a segment says of others; a later one knows more."""
        with contextlib.closing(segment.open_reader(path)) as connection:
            self._voids |= dict(connection.execute(SQL["voids"]).fetchall())
            self._settled |= {name for (name,) in connection.execute(SQL["settled"])}
            self._feature_sets |= dict(connection.execute(SQL["feature_sets"]).fetchall())
            for writer, *values in connection.execute(SQL["marks"]):
                if writer not in self._marks or self._marks[writer].sequence < values[0]:
                    self._marks[writer] = Mark.from_row(*values)

    def _learn_sequences(self, ordinal: int, path: Path) -> None:
        with contextlib.closing(segment.open_reader(path)) as connection:
            rows = connection.execute(SQL["sequences"], (self._limit(ordinal),))
            for writer, sequence, digest, received_at in rows:
                mark = self._marks.setdefault(writer, Mark(0, received_at))
                mark.advance(sequence, digest, received_at)
            (last,) = connection.execute(SQL["last_id"]).fetchone()
        last = min(last, self._limit(ordinal))
        self._end = max(self._end, Place(ordinal, last)) if last else self._end


def _rows(frames: Sequence[Arrived], now: float) -> list[tuple[object, ...]]:
    return [(*frame[:-1], now, frame.payload) for frame in frames]
