"""The outbox: framing, bounds, resends, backoff, losses, and what stops it."""

import hashlib

import msgspec
import pytest

from recorders.errors import AppendError, LinkUnavailable, WriterForked
from recorders.frame import Frame
from recorders.losses import Loss
from tests.support.recording import PLAIN, MemoryLink, StillRecorder, down, still


def losses(link: MemoryLink) -> dict[str, int]:
    counts: dict[str, int] = {}
    for frame in link.frames:
        if frame.kind == "loss":
            (loss,) = msgspec.msgpack.decode(frame.payload, type=list[Loss])
            counts[loss.reason] = counts.get(loss.reason, 0) + loss.count
    return counts


def record(recorder: StillRecorder, count: int) -> list[str | None]:
    return [recorder.record(PLAIN) for _ in range(count)]


def test_frames_are_numbered_without_gap_over_all_kinds() -> None:
    link = MemoryLink()
    recorder = still(link, frame_events=3)
    record(recorder, 7)
    for _ in range(4):
        recorder.outcome("d", "late", 1)
    recorder.carry_all()
    assert [frame.sequence for frame in link.frames] == [1, 2, 3, 4, 5]
    assert sorted((frame.kind, frame.events) for frame in link.frames) == [
        ("decision", 1),
        ("decision", 3),
        ("decision", 3),
        ("outcome", 1),
        ("outcome", 3),
    ]
    assert {frame.writer for frame in link.frames} == {recorder.outbox.writer}
    assert all(hashlib.sha256(frame.payload).hexdigest() == frame.digest for frame in link.frames)
    assert [frame.schema_digest != "" for frame in link.frames] == [f.kind == "decision" for f in link.frames]


def test_a_frame_waits_for_company_but_not_long() -> None:
    link = MemoryLink()
    recorder = still(link, frame_events=3, linger_s=0.5)
    record(recorder, 2)
    assert not recorder.carry()
    recorder.clock.seconds += 0.4
    assert not recorder.carry()
    recorder.clock.seconds += 0.2
    assert recorder.carry()
    record(recorder, 3)
    assert recorder.carry(), "a full frame leaves at once"


def test_a_frame_is_bounded_by_bytes_and_always_takes_one_event() -> None:
    link = MemoryLink()
    recorder = still(link, frame_bytes=1)
    record(recorder, 3)
    recorder.carry_all()
    assert [frame.events for frame in link.frames] == [1, 1, 1]


# More than a KiB of event: two slots of the queue.
LARGE = dict.fromkeys(("decision_id", "unit", "trace_id", "decision", "model"), "x" * 250)


@pytest.mark.parametrize(
    "bounds", [{"frame_events": 1}, {"frame_events": 3}, {"frame_bytes": 1_500}, {"frame_bytes": 3_000}]
)
def test_a_large_event_at_a_frames_end_leaves_no_frame_without_events(bounds: dict[str, int]) -> None:
    link = MemoryLink()
    recorder = still(link, **bounds)
    for count in (1, 3, 4):
        for _ in range(count):
            assert recorder.record(PLAIN, **LARGE)  # type: ignore[arg-type]
        recorder.carry_all()
    assert all(frame.events for frame in link.frames)
    assert link.events() == 8
    assert recorder.outbox.drained


def test_the_queue_is_bounded_by_events_and_by_kibibytes() -> None:
    link = MemoryLink()
    recorder = still(link, queue_slots=10)
    ids = [recorder.record(PLAIN, **LARGE) for _ in range(7)]  # type: ignore[arg-type]
    assert sum(accepted is not None for accepted in ids) == 5, "two slots each"
    assert recorder.counters.dropped == {"full": 2}
    recorder.carry_all()
    assert link.events() == 5
    assert losses(link) == {"full": 2}
    assert record(recorder, 1) != [None], "there is room again"


def test_a_resend_is_the_same_frame_after_a_wait_that_doubles_up_to_its_bound() -> None:
    sent: list[Frame] = []

    def answer(frame: Frame) -> None:
        sent.append(frame)
        if len(sent) < 12:
            raise LinkUnavailable("connection refused")

    link = MemoryLink(answer)
    recorder = still(link, backoff_s=0.1, backoff_max_s=5.0)
    record(recorder, 3)
    recorder.outbox.hurry()
    waits = []
    while not link.frames:
        before = recorder.clock.seconds
        while not recorder.carry():
            recorder.clock.seconds += 0.01
        waits.append(recorder.clock.seconds - before)
    assert all(frame is sent[0] for frame in sent)
    assert all(0.04 <= wait <= 5.02 for wait in waits[1:])
    assert waits[-1] > 2.4
    assert waits[1] <= 0.12
    assert recorder.counters.resent == 3 * 11
    assert recorder.counters.sent == recorder.counters.acked == 3


@pytest.mark.parametrize("error", [AppendError("It was refused.", "Expected.", "Do.")])
def test_a_refusal_stops_counts_and_reports_under_another_writer(error: AppendError) -> None:
    def answer(frame: Frame) -> None:
        if frame.kind != "loss" and frame.sequence == 2:
            raise WriterForked(frame.writer, frame.sequence)

    link = MemoryLink(answer)
    recorder = still(link, frame_events=2, loss_every_s=0.001)
    writer = recorder.outbox.writer
    record(recorder, 7)
    recorder.carry_all()
    assert record(recorder, 2) == [None, None]
    recorder.clock.seconds += 1
    recorder.carry_all()
    counters = recorder.counters
    assert (counters.accepted, counters.acked) == (7, 2)
    assert counters.dropped == {"refused": 5, "stopped": 2}
    assert losses(link) == {"refused": 5, "stopped": 2}
    reports = [frame for frame in link.frames if frame.kind == "loss"]
    assert all(frame.writer != writer for frame in reports)
    assert [frame.sequence for frame in reports] == [1, 2]
    (loss,) = msgspec.msgpack.decode(reports[0].payload, type=list[Loss])
    assert loss.writer == writer
    assert loss.first_us <= loss.last_us
    assert recorder.flush(0.0) is False


def test_a_log_that_refuses_the_report_too_is_left_alone() -> None:
    attempts: list[Frame] = []

    def refuse(frame: Frame) -> None:
        attempts.append(frame)
        raise WriterForked(frame.writer, frame.sequence)

    recorder = still(MemoryLink(refuse))
    record(recorder, 3)
    recorder.carry_all()
    assert len(attempts) == 2
    assert recorder.counters.dropped == {"refused": 3}
    assert not recorder.carry()


def test_losses_are_reported_only_when_the_link_works_again() -> None:
    link = MemoryLink(down)
    recorder = still(link, queue_slots=2)
    record(recorder, 5)
    for _ in range(50):
        recorder.carry()
        recorder.clock.seconds += 1
    assert link.frames == []
    link.answer = None
    recorder.clock.seconds += 20
    recorder.carry_all()
    assert losses(link) == {"full": 3}
    assert link.events() == 2


def test_rejections_are_reported_too() -> None:
    link = MemoryLink()
    recorder = still(link)
    recorder.record({"age": "x", "amount": 1.0})
    recorder.carry_all()
    assert losses(link) == {"rejected.type": 1}


def test_a_fork_without_hooks_is_seen_by_the_pid_and_counted() -> None:
    link = MemoryLink()
    recorder = still(link)
    record(recorder, 3)
    writer = recorder.outbox.writer
    recorder._pid = -1  # as if the process had been forked behind Python's back
    assert recorder.outcome("d", "late", 1)
    assert recorder.outbox.writer != writer
    assert recorder.counters.dropped == {"fork": 3}
    recorder.carry_all()
    assert link.events() == 0, "what was queued is the parent's to send"
    assert link.events("outcome") == 1


def test_promote_names_the_model_of_later_records() -> None:
    link = MemoryLink()
    recorder = still(link)
    recorder.record(PLAIN)
    recorder.promote("gb", "7")
    recorder.record(PLAIN)
    recorder.record(PLAIN, model="other", model_version="2")
    recorder.carry_all()
    events = msgspec.msgpack.decode(link.frames[0].payload)
    assert [tuple(event[3:5]) for event in events] == [("m", "1"), ("gb", "7"), ("other", "2")]
