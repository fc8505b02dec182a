"""Somebody sets the clock of the machine that the log is on back, over a reply that was lost.

What was not ahead when the log took it is ahead by then. It is the log's all the same.
"""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from harness.database import create_log
from harness.log.gaps import find
from harness.log.log import Log
from recorders import Recorder
from recorders.append import Appender, Batch
from recorders.canonical import digest
from recorders.errors import EventAhead, LinkUnavailable
from recorders.frame import Frame, Receipt
from recorders.inprocess import InProcessLink
from recorders.sidecar.house import House, ship_all
from tests.support import servers
from tests.support.batches import raw
from tests.support.interposed import SetClock
from tests.support.sidecars import (
    FEATURES,
    POINT,
    arrived,
    decision_ids,
    decisions,
    names,
    new_writer,
    settings_in,
)

SCHEMA = (bytes.fromhex(FEATURES.digest), FEATURES.canonical())
FORWARD_S = 7_200
# A day after ours and an hour: ahead of a clock that is right, and not of one that is two hours fast.
AHEAD = timedelta(hours=25)


@pytest.fixture
def clock() -> Iterator[SetClock]:
    # Not below pytest's own folder, which is closed to the account that runs a server for root.
    with tempfile.TemporaryDirectory(prefix="harness-test-") as folder:
        Path(folder).chmod(0o755)
        yield SetClock(Path(folder))


@pytest.fixture
def log(clock: SetClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Log]:
    """A log of the event clock on a server of its own, which is two hours fast."""
    with monkeypatch.context() as started:
        for name, value in clock.environment.items():
            started.setenv(name, value)
        server = servers.embedded()
        url = server.__enter__()
    try:
        clock.set(FORWARD_S)
        with create_log(url=url, clock="event") as log:
            log.register_feature_set(FEATURES)
            yield log
    finally:
        server.__exit__(None, None, None)


class Deaf:
    """A door whose reply to one batch is lost; what happens then is `meanwhile`."""

    def __init__(self, log: Log, clock: SetClock) -> None:
        self.lost = 0
        self._door = Appender(log.url, log_id=log.head().log_id)
        self._clock = clock

    def append(self, batch: Batch) -> Receipt:
        receipt = self._door.append(batch)
        if batch.kind == "decision" and not self.lost:
            self.lost += 1
            self._clock.set(0)
            raise LinkUnavailable("the reply was lost")
        return receipt

    def close(self) -> None:
        self._door.close()


def ahead(frame: Frame) -> Frame:
    """Return a frame whose last event is ahead of a clock that is right."""
    rows = msgspec.msgpack.decode(frame.payload)
    rows[-1][1] = round((datetime.now(UTC) + AHEAD).timestamp() * 1e6)
    payload = msgspec.msgpack.encode(rows)
    return msgspec.structs.replace(frame, payload=payload, digest=digest(payload))


def test_a_batch_that_the_log_has_is_answered_as_a_duplicate(log: Log, clock: SetClock) -> None:
    writer, at = new_writer(), datetime.now(UTC) + AHEAD
    first = log.append(raw(writer, 1, at=at))
    clock.set(0)
    with pytest.raises(EventAhead):
        log.append(raw(writer, 2, at=at))
    assert log.append(raw(writer, 1, at=at)) == msgspec.structs.replace(first, duplicate=True)


def test_a_sidecar_ships_on(log: Log, clock: SetClock, tmp_path: Path) -> None:
    deaf, writer = Deaf(log, clock), new_writer()
    house = House(settings_in(tmp_path / "s"), lambda _: deaf)
    house.outbox.bind(str(log.head().log_id))
    sent = [ahead(decisions(writer, 1)), decisions(writer, 2)]
    for frame in sent:
        house.spool.commit([arrived(frame)], [SCHEMA])
        house.shipper._rounds.compose()
    assert ship_all(house, timeout_s=60), house.shipper.reason
    assert deaf.lost == house.shipper.counts.duplicates == 1
    assert decision_ids(log) == names(sent)
    assert house.status()["ship"]["ahead"] == 0
    assert not (tmp_path / "s" / "quarantine").exists()
    house.close()


def test_a_sidecar_that_asks_is_told(log: Log, clock: SetClock, tmp_path: Path) -> None:
    """Whether the log has the last batch that it acknowledged: as each start and each long stop does."""
    writer, settings = new_writer(), settings_in(tmp_path / "s", log.url)
    house = House(settings)
    house.spool.commit([arrived(ahead(decisions(writer, 1)))], [SCHEMA])
    assert ship_all(house, timeout_s=60)
    house.close()
    clock.set(0)
    house = House(settings)
    assert ship_all(house, timeout_s=60), house.shipper.reason
    assert house.shipper.counts.asked == 1
    house.close()


def test_a_recorder_before_the_log_goes_on(log: Log, clock: SetClock) -> None:
    link = InProcessLink(log.url, [FEATURES])
    link._appender = deaf = Deaf(log, clock)  # type: ignore[assignment]  # in the place of one without a fault
    with Recorder(POINT, FEATURES, link, model="m", model_version="1") as recorder:
        for name, at in (("a", datetime.now(UTC)), ("b", datetime.now(UTC) + AHEAD)):
            recorder.record({"amount": 1.0, "country": "NZ"}, decision_id=name, occurred_at=at)
        assert recorder.flush(60)
        assert recorder.record({"amount": 1.0, "country": "NZ"}, decision_id="c") == "c"
        assert recorder.flush(60)
    assert deaf.lost == 1
    assert recorder.counters.dropped == {}
    assert decision_ids(log) == ["a", "b", "c"]
    assert find(log.controls(), 1, log.head().position + 1).gaps == ()
