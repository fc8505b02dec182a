"""A follower: one tail's next scores, appended exactly once, however often it is killed (docs/adr/0032)."""

from collections.abc import Iterator
from contextlib import suppress

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from harness.log.events import ControlEvent
from harness.log.log import Log
from harness.replay_batches import GROUP_ROWS, RUN, batch_of, group_of, groups
from harness.replay_errors import TrainedInRange
from harness.replays import check_inputs, replayed_parts, scored_parts
from harness.tail.tails import (
    NO_END,
    REACHED,
    RESUMED,
    SHED,
    STARTED,
    Parts,
    Tail,
    find_tail,
    tail_id,
    without,
)
from recorders.errors import Rewound, SequenceGap, WriterForked
from replay.model import Model
from replay.ranges import gaps
from replay.score import BLOCK_ROWS, columns_for, score_blocks

# After this many rows a tail says how far it is, so that whoever resumes it need not read all of its scores.
MILESTONE_ROWS = 1_000_000


class Place(msgspec.Struct, frozen=True):
    """How far a tail is: `sequence` batches are stored, and every decision up to `through` is accounted for.

    `rows` were scored in all, `failed` of them without a score, `shed` decisions were left out.
    """

    sequence: int
    through: int
    rows: int = 0
    failed: int = 0
    shed: int = 0


def begin(log: Log, model: Model, reference: str, decision_point: str, start: int) -> Tail:
    """Return the tail of a model from `start` on; what it scores is fixed when it first begins.

    Raises:
        TrainedInRange: the model was trained on positions from `start` on.
    """
    info = model.info
    if info.trained_until is not None and start <= info.trained_until:
        raise TrainedInRange(reference, info.trained_until, start, NO_END)
    subject = tail_id(info.digest, info.adapter, decision_point, start)
    stored = find_tail(log, subject)
    if stored is not None:
        return stored
    parts = gaps(start, NO_END, scored_parts(log, info.digest, decision_point))
    body = {
        "model": reference,
        "model_digest": info.digest,
        "decision_point": decision_point,
        "start": start,
        "parts": [[first, None if after == NO_END else after] for first, after in parts],
        "block_rows": BLOCK_ROWS,
    }
    with suppress(WriterForked):  # another worker began it since we looked: its parts stand
        log.control(STARTED, subject, body, key=f"tail:{subject}:started")
    begun = find_tail(log, subject)
    assert begun is not None, "it was just begun"
    return begun


def place_of(log: Log, tail: Tail) -> Place:
    """Return how far a tail is by what the log holds."""
    known = [event for event in log.controls("tail.*", tail.id) if event.type in (REACHED, RESUMED, SHED)]
    stored = log.writer_high_water(tail.writer)
    for event in (*known[-1:], None):
        before = Place(0, tail.start - 1) if event is None else _said(event)
        since = tail.started_at if event is None else event.position
        batches, place = _add(log, tail, before, since, stored)
        # A worker that had lost its lease may have said what another had gone beyond: then all is read.
        if event is None or before.sequence + batches == stored:
            return msgspec.structs.replace(place, shed=_shed(log, tail))
    raise AssertionError("the last turn returns")


def parts_left(log: Log, tail: Tail) -> Parts:
    """Return the parts of a tail without what replays have scored, also since it began."""
    return without(tail.parts, replayed_parts(log, tail.model_digest, tail.decision_point))


def first_waiting(log: Log, tail: Tail, parts: Parts, place: Place, head: int) -> int | None:
    """Return where the first decision up to `head` is that a tail has yet to score; None: none waits.

    What was left out, and what replays have scored, is in none of its `parts` and does not wait for it.
    """
    for first, after in parts:
        start, stop = max(first, place.through + 1), min(after, head + 1)
        of = {"kind": "decision", "decision_point": tail.decision_point, "start": start, "stop": stop}
        if start < stop and (found := log.rows("first_of_point", **of)):
            return int(found[0][0])
    return None


def say(log: Log, tail: Tail, place: Place, type_: str, **more: object) -> None:
    """Append a control event of a tail with its place."""
    log.control(type_, tail.id, {**_plain(place), **more})


def _said(event: ControlEvent) -> Place:
    body = event.body
    return Place(body["sequence"], body["through"], body["rows"], body["failed"])


def _add(log: Log, tail: Tail, place: Place, since: int, stored: int) -> tuple[int, Place]:
    """Return the place with the scores that were appended after position `since`, and in how many batches."""
    batches, through, rows, failed = 0, place.through, place.rows, place.failed
    names = ["decision_position", "error"]
    stop = log.head().position + 1
    for batch in log.read(since, stop, kind="score", decision_point=tail.decision_point, columns=names):
        if (batch.schema.metadata or {}).get(RUN) == tail.id.encode():
            batches += 1
            rows += batch.num_rows
            failed += batch.num_rows - batch.column("error").null_count
            through = max(through, pc.max(batch.column("decision_position")).as_py())
    return batches, Place(stored, through, rows, failed)


def _shed(log: Log, tail: Tail) -> int:
    return sum(event.body["decisions"] for event in log.controls(SHED, tail.id))


class Follower:
    """Scores what a tail has not scored yet, a step at a time. For one thread; the model is its own."""

    def __init__(self, log: Log, model: Model, tail: Tail) -> None:
        self._log, self._model, self.tail = log, model, tail
        self._columns = columns_for(model.info)
        self._checked = False
        self._milestone = 0
        self._parts = tail.parts
        self.failed_in_a_row = 0
        self.place = self.resume()

    def resume(self) -> Place:
        """Return how far the tail is, read anew from the log."""
        self.place = place_of(self._log, self.tail)
        self._parts = parts_left(self._log, self.tail)
        self._milestone = self.place.rows + MILESTONE_ROWS
        return self.place

    def pass_over(self) -> None:
        """Take note of the replays that were completed meanwhile: what they scored is not scored again."""
        of = (self._log, self.tail.model_digest, self.tail.decision_point)
        self._parts = without(self._parts, replayed_parts(*of, unfinished=False))

    def step(self, head: int) -> int:
        """Return how many decisions up to position `head` were scored now: at most GROUP_ROWS, 0 if none.

        Raises:
            LinkUnavailable, DatabaseUnavailable: it may be stored; `resume`, then go on.
            ModelError: the model cannot score what is there.
        """
        for first, after in self._parts:
            start, stop = max(first, self.place.through + 1), min(after, head + 1)
            if start >= stop:
                continue
            scores = next(groups(score_blocks(self._model, self._waiting(start, stop))), None)
            if scores is not None:
                return self._append(scores, stop)
            self.place = msgspec.structs.replace(self.place, through=stop - 1)
        # Also where the last of them are a replay's: who waits for this position would wait for ever.
        self.place = msgspec.structs.replace(self.place, through=max(self.place.through, head))
        return 0

    def lag(self, head: int) -> int:
        """Return how many positions there are from the first decision that waits up to `head`; 0: none waits.

        They are no fewer than the decisions that wait.
        """
        if head <= self.place.through:
            return 0
        first = first_waiting(self._log, self.tail, self._parts, self.place, head)
        return 0 if first is None else head + 1 - first

    def shed(self, head: int) -> int:
        """Leave out what waits up to position `head`, say so in the log, and return how many decisions."""
        start, stop = self.place.through + 1, head + 1
        left_out = 0
        for first, after in self._parts:
            at, end = max(first, start), min(after, stop)
            if at < end:
                left_out += sum(batch.num_rows for batch in self._read(at, end, ("decision_id",)))
        place = msgspec.structs.replace(self.place, through=head, shed=self.place.shed + left_out)
        body = {"start": start, "stop": stop, "decisions": left_out, **_plain(place)}
        self._log.control(SHED, self.tail.id, body, key=f"tail:{self.tail.id}:shed:{start}:{stop}")
        tail = find_tail(self._log, self.tail.id)
        assert tail is not None, "it sheds what it follows"
        self.tail, self.place = tail, place
        self._parts = without(self._parts, [(start, stop)])
        return left_out

    def say(self, type_: str, **more: object) -> None:
        """Append a control event of this tail with its place."""
        say(self._log, self.tail, self.place, type_, **more)

    def _waiting(self, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Yield at most GROUP_ROWS decisions of [start, stop)."""
        rows = GROUP_ROWS
        for batch in self._read(start, stop, self._columns):
            if not self._checked:
                check_inputs(self._log, self._model.info, self.tail.decision_point, start, stop)
                self._checked = True
            yield batch.slice(0, rows)
            rows -= batch.num_rows
            if rows <= 0:
                return

    def _read(self, start: int, stop: int, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        point = self.tail.decision_point
        return self._log.read(start, stop, kind="decision", decision_point=point, columns=columns)

    def _append(self, scores: pa.RecordBatch, stop: int) -> int:
        batch = batch_of(
            group_of(scores, self.tail.id),
            decision_point=self.tail.decision_point,
            writer=self.tail.writer,
            sequence=self.place.sequence + 1,
        )
        try:
            self._log.append(batch)
        except (WriterForked, SequenceGap, Rewound):
            # Another worker scored these rows, or the log was restored: what it holds now is what counts.
            self.resume()
            return 0
        failed = scores.num_rows - scores.column("error").null_count
        self.failed_in_a_row = 0 if failed < scores.num_rows else self.failed_in_a_row + failed
        all_read = scores.num_rows < GROUP_ROWS
        last = stop - 1 if all_read else scores.column("decision_position")[-1].as_py()
        self.place = Place(
            batch.sequence,
            last,
            self.place.rows + scores.num_rows,
            self.place.failed + failed,
            self.place.shed,
        )
        if self.place.rows >= self._milestone:
            self._milestone = self.place.rows + MILESTONE_ROWS
            self.say(REACHED)
        return int(scores.num_rows)


def _plain(place: Place) -> dict[str, int]:
    return {"sequence": place.sequence, "through": place.through, "rows": place.rows, "failed": place.failed}
