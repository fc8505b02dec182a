"""The in-process link on the real log: losses, unknown schemas, copies, lost replies, an absent database."""

import logging
import time
import uuid
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from harness.database import open_log
from harness.log.gaps import find
from harness.log.log import Log
from recorders.errors import AppendError, LinkUnavailable, WriterForked
from recorders.fields import FeatureSet, Field
from recorders.frame import Frame, Receipt
from recorders.inprocess import InProcessLink
from recorders.limits import Limits
from recorders.recorder import Recorder
from tests.support.recording import NOON, PLAIN, TWO, HeldClock, MemoryLink, StillRecorder
from tests.support.servers import with_database


def frames(count: int, seed: int) -> list[Frame]:
    """Return decision frames of one writer, two events each."""
    link = MemoryLink()
    recorder = StillRecorder(
        "fraud", TWO, link, model="m", model_version="1", limits=Limits(frame_events=2), seed=seed
    )
    for number in range(2 * count):
        recorder.record(PLAIN, occurred_at=NOON + timedelta(seconds=number))
    recorder.carry_all()
    return link.frames


def test_a_service_records_and_the_log_reads_it_back(log_url: str) -> None:
    link = InProcessLink(log_url, [TWO])
    with Recorder("checkout", TWO, link, model="m", model_version="1") as recorder:
        ids = [recorder.record(PLAIN) for _ in range(100)]
        assert recorder.outcome(str(ids[0]), "late", True)
        assert recorder.flush(20)
        assert recorder.counters.acked == 101
    with open_log(url=log_url) as log:
        stop = log.head().position + 1
        decisions = list(log.read(1, stop, kind="decision", decision_point="checkout"))
        outcomes = list(log.read(1, stop, kind="outcome", decision_point="checkout"))
    assert [name for batch in decisions for name in batch.column("decision_id").to_pylist()] == ids
    assert [batch.column("value").to_pylist() for batch in outcomes] == [[1.0]]


def test_a_duplicate_frame_is_stored_once_and_answered_the_same(log_url: str) -> None:
    link = InProcessLink(log_url, [TWO])
    (frame,) = frames(1, seed=1)
    first, again = link.send(frame), link.send(frame)
    link.close()
    assert (first.duplicate, again.duplicate) == (False, True)
    assert first.position == again.position


def test_a_lost_reply_costs_nothing(log_url: str) -> None:
    class Deaf(InProcessLink):
        lost = 0

        def send(self, frame: Frame) -> Receipt:
            receipt = super().send(frame)
            if self.lost < 3:
                self.lost += 1
                raise LinkUnavailable("the reply was lost")
            return receipt

    link = Deaf(log_url, [TWO])
    recorder = Recorder("deaf", TWO, link, model="m", model_version="1", limits=Limits(backoff_s=0.01))
    ids = [recorder.record(PLAIN) for _ in range(10)]
    assert recorder.flush(20)
    recorder.close()
    with open_log(url=log_url) as log:
        (batch,) = log.read(1, log.head().position + 1, kind="decision", decision_point="deaf")
    assert batch.column("decision_id").to_pylist() == ids
    assert recorder.counters.resent == 30


def test_a_copied_process_is_told_apart_and_what_it_loses_is_in_the_log(log_url: str) -> None:
    original, copy = frames(2, seed=2), frames(2, seed=2)
    other = msgspec.structs.replace(copy[1], payload=frames(3, seed=3)[2].payload)
    other = msgspec.structs.replace(other, digest=frames(3, seed=3)[2].digest)
    link = InProcessLink(log_url, [TWO])
    for frame in original:
        link.send(frame)
    with pytest.raises(WriterForked) as caught:
        link.send(other)
    link.close()
    assert (caught.value.writer, caught.value.sequence) == (other.writer, 2)


def test_drops_and_rejections_become_control_events(log_url: str) -> None:
    link = InProcessLink(log_url, [TWO])
    clock = HeldClock()
    clock.seconds = NOON.timestamp()
    limits = Limits(queue_slots=2)
    recorder = StillRecorder("p", TWO, link, model="m", model_version="1", limits=limits, clock=clock)
    for _ in range(5):
        recorder.record(PLAIN)
    recorder.record({"age": "x", "amount": 1.0})
    recorder.carry_all()
    recorder.record({"age": "x", "amount": 1.0})
    clock.seconds += 60
    recorder.carry_all()
    link.close()
    with open_log(url=log_url) as log:
        events = log.controls("recorder.loss", str(recorder.outbox.writer))
    assert [(event.body["reason"], event.body["count"]) for event in events] == [
        ("full", 4),
        ("rejected.type", 1),
    ]
    assert all(event.body["first"] <= event.body["last"] for event in events)
    assert events[0].body["first"].startswith("2026-01-01T12:00")
    assert events[0].actor == "recorder:p"


def test_a_schema_that_the_link_was_not_given_is_refused_by_name(log_url: str) -> None:
    other = FeatureSet("other", 1, (Field("x", "bool"),))
    (frame,) = frames(1, seed=4)
    with pytest.raises(AppendError, match="other:1"):
        InProcessLink(log_url, [other]).send(frame)


def test_a_frame_whose_bytes_changed_is_refused(log_url: str) -> None:
    (frame,) = frames(1, seed=5)
    with pytest.raises(AppendError, match="not what its digest names"):
        InProcessLink(log_url, [TWO]).send(msgspec.structs.replace(frame, payload=frame.payload + b"\x00"))


def test_a_database_that_is_away_is_waited_for(log_url: str, caplog: pytest.LogCaptureFixture) -> None:
    away = with_database(log_url, "nowhere_" + uuid.uuid4().hex[:8])
    link = InProcessLink(away, [TWO])
    limits = Limits(backoff_s=0.01, backoff_max_s=0.05)
    recorder = Recorder("away", TWO, link, model="m", model_version="1", limits=limits)
    with caplog.at_level(logging.WARNING, "recorders"):
        ids = [recorder.record(PLAIN) for _ in range(5)]
        assert recorder.flush(0.3) is False
    assert "harness doctor" in caplog.text
    link._url = log_url  # it comes back
    if link._appender is not None:
        link._appender._url = log_url
    deadline = time.monotonic() + 20
    while not recorder.flush(1) and time.monotonic() < deadline:
        pass
    recorder.close()
    assert recorder.counters.acked == len(ids) == 5
    assert recorder.counters.resent > 0


def test_an_event_of_next_year_stops_nothing_on_a_log_of_the_event_clock(event_log: Log) -> None:
    now = datetime.now(UTC)
    link = InProcessLink(event_log.url, [TWO])
    recorder = Recorder("ahead", TWO, link, model="m", model_version="1", limits=Limits(loss_every_s=0.01))
    ids = [
        str(recorder.record(PLAIN, occurred_at=now + timedelta(days=days, seconds=number)))
        for number, days in enumerate((0, 365, 0))
    ]
    assert recorder.flush(20) is False, "one of them the log does not hold"
    ids.append(str(recorder.record(PLAIN, occurred_at=now + timedelta(seconds=9))))
    recorder.close(20)
    end = event_log.head().position + 1
    batches = event_log.read(1, end, kind="decision", decision_point="ahead")
    held = [name for batch in batches for name in batch.column("decision_id").to_pylist()]
    assert held == [ids[0], *ids[2:]]
    assert [(gap.reason, gap.count) for gap in find(event_log.controls(), 1, end).gaps] == [("ahead", 1)]
    assert recorder.counters.dropped == {"ahead": 1}
