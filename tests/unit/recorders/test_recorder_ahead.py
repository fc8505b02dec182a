"""A recorder straight before a log of the event clock: what is ahead is counted, all else goes on."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from recorders.abandoned import drain
from recorders.errors import AppendError, EventAhead, LinkUnavailable
from recorders.frame import Frame
from recorders.limits import Limits
from recorders.losses import Loss
from tests.support.recording import PLAIN, TWO, HeldClock, MemoryLink, StillRecorder

NOW = datetime(2026, 9, 21, 12, 0, 0, tzinfo=UTC)
NEXT_YEAR = NOW + timedelta(days=365)


def refuses_ahead(clock: Callable[[], datetime] = lambda: NOW) -> Callable[[Frame], None]:
    """Return what a log of the event clock answers."""

    def answer(frame: Frame) -> None:
        place = {"decision": 1, "outcome": 3}.get(frame.kind)
        if place is not None:
            last_us = max(row[place] for row in msgspec.msgpack.decode(frame.payload))
            if last_us > (clock() + timedelta(days=1)).timestamp() * 1e6:
                raise EventAhead(f"{last_us}", clock().isoformat())

    return answer


def made(link: MemoryLink, *, crash_proof: Path | bool = False, **limits: int) -> StillRecorder:
    clock = HeldClock()
    clock.seconds = NOW.timestamp()
    bounds = Limits(frame_events=10, **limits)
    return StillRecorder(
        "fraud", TWO, link, model="m", model_version="1", limits=bounds, clock=clock, crash_proof=crash_proof
    )


def names(link: MemoryLink) -> list[str]:
    kept = [frame for frame in link.frames if frame.kind != "loss"]
    return [row[0] for frame in kept for row in msgspec.msgpack.decode(frame.payload)]


def losses(link: MemoryLink) -> list[tuple[str, int]]:
    told = [frame for frame in link.frames if frame.kind == "loss"]
    found = [msgspec.msgpack.decode(frame.payload, type=list[Loss])[0] for frame in told]
    return [(loss.reason, loss.count) for loss in found]


def test_one_event_ahead_is_counted_and_all_else_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    link = MemoryLink(refuses_ahead())
    recorder = made(link)
    for name, at in (("a", NOW), ("b", NEXT_YEAR), ("c", NOW + timedelta(hours=23))):
        assert recorder.record(PLAIN, decision_id=name, occurred_at=at) == name
    recorder.outcome("a", "late", 1, occurred_at=NEXT_YEAR)
    recorder.outcome("c", "late", 1, occurred_at=NOW)
    with caplog.at_level(logging.ERROR, "recorders"):
        recorder.carry_all()
    assert recorder.record(PLAIN, decision_id="d", occurred_at=NOW) == "d", "it was not stopped"
    recorder.carry_all()
    assert sorted(names(link)) == ["a", "c", "c", "d"]
    assert [frame.sequence for frame in link.frames] == list(range(1, len(link.frames) + 1))
    assert recorder.counters.dropped == {"ahead": 2}
    assert (recorder.counters.accepted, recorder.counters.acked) == (6, 4)
    assert sum(count for reason, count in losses(link) if reason == "ahead") == 2
    assert sum("1 events of writer" in line.getMessage() for line in caplog.records) == 2
    assert recorder.outbox.drained
    assert recorder.outbox.gave_up, "flush and close must not say that the log holds all"


def test_a_frame_of_nothing_else_leaves_its_sequence_to_the_next() -> None:
    link = MemoryLink(refuses_ahead())
    recorder = made(link)
    recorder.record(PLAIN, decision_id="a", occurred_at=NEXT_YEAR)
    recorder.carry_all()
    recorder.record(PLAIN, decision_id="b", occurred_at=NOW)
    recorder.carry_all()
    assert names(link) == ["b"]
    assert [frame.sequence for frame in link.frames] == list(range(1, len(link.frames) + 1))
    assert losses(link) == [("ahead", 1)]


def test_what_is_left_is_sent_again_as_it_was() -> None:
    """Its reply is lost: the same bytes under the same sequence come again."""
    sent: list[Frame] = []

    def deaf(frame: Frame) -> None:
        refuses_ahead()(frame)
        sent.append(frame)
        if len(sent) < 3:
            raise LinkUnavailable("the reply was lost")

    recorder = made(MemoryLink(deaf))
    for name, at in (("a", NOW), ("b", NEXT_YEAR)):
        recorder.record(PLAIN, decision_id=name, occurred_at=at)
    recorder.carry_all()
    assert len({(frame.sequence, frame.digest) for frame in sent[:3]}) == 1
    assert recorder.counters.dropped == {"ahead": 1}


def test_where_the_clocks_are_apart_everything_waits_and_nothing_is_lost() -> None:
    """The log's is two days behind: what it takes for ahead is of today."""
    clock = [NOW - timedelta(days=2)]
    link = MemoryLink(refuses_ahead(lambda: clock[0]))
    recorder = made(link)
    for name in "ab":
        recorder.record(PLAIN, decision_id=name, occurred_at=NOW)
    for _ in range(5):
        recorder.carry()
        recorder.outbox.hurry()
    assert (names(link), recorder.counters.dropped, recorder.outbox.stopped) == ([], {}, "")
    clock[0] = NOW
    recorder.carry_all()
    assert (names(link), recorder.counters.dropped) == (["a", "b"], {})


def test_a_log_that_calls_ahead_what_is_not_is_waited_for() -> None:
    def wrongly(_: Frame) -> None:
        raise EventAhead(NOW.isoformat(), NOW.isoformat())

    recorder = made(MemoryLink(wrongly))
    recorder.record(PLAIN, occurred_at=NOW)
    recorder.outbox.hurry()
    recorder.carry()
    assert recorder.counters.dropped == {}
    assert recorder.outbox._attempts == 1


def test_it_is_counted_once_though_the_frame_was_given_up_meanwhile() -> None:
    recorder = made(MemoryLink())
    recorder.record(PLAIN, occurred_at=NEXT_YEAR)
    recorder.outbox.hurry()
    frame = recorder.outbox.next_frame()
    assert frame is not None
    recorder.outbox.abandon()
    assert recorder.outbox.leave_out(frame, EventAhead("later", NOW.isoformat())) == 0
    assert recorder.counters.dropped == {"exit": 1}


def test_apart_clocks_say_both_times() -> None:
    recorder = made(MemoryLink())
    recorder.record(PLAIN, occurred_at=NEXT_YEAR)
    recorder.outbox.hurry()
    frame = recorder.outbox.next_frame()
    assert frame is not None
    with pytest.raises(AppendError, match="Expected two clocks within an hour of each other"):
        recorder.outbox.leave_out(frame, EventAhead("later", (NOW - timedelta(hours=2)).isoformat()))


def test_what_was_left_out_is_not_owed_after_a_kill(tmp_path: Path) -> None:
    link = MemoryLink(refuses_ahead())
    recorder = made(link, crash_proof=tmp_path)
    recorder.record(PLAIN, decision_id="a", occurred_at=NEXT_YEAR)
    recorder.record(PLAIN, decision_id="b", occurred_at=NOW + timedelta(days=2))
    recorder.carry_all()
    recorder.record(PLAIN, decision_id="c", occurred_at=NOW)
    journal = recorder.outbox.journal
    assert journal is not None
    journal.disown()  # as a kill does: the kernel gives the locks back
    (owed,) = drain(tmp_path)
    rows = [msgspec.msgpack.decode(frame.payload) for frame in owed.frames if frame.kind == "decision"]
    assert [row[0] for frame in rows for row in frame] == ["c"]
    assert losses(link) == [("ahead", 2)]
