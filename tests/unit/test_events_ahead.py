"""Events of days that are still to come, before a log of the event clock: they alone are put aside."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recorders.columns import decode_batch
from recorders.sidecar.house import House, ship_all
from recorders.sidecar.salvage import QUARANTINE
from tests.support.ahead import DAY_S, NOW_S, dated, event_log, losses
from tests.support.fake_log import FakeLog
from tests.support.recording import HeldClock
from tests.support.sidecars import FEATURES, arrived, decisions, names, new_writer, outcomes, settings_in

SCHEMA = (bytes.fromhex(FEATURES.digest), FEATURES.canonical())


def opened(folder: Path, log: FakeLog, clock: HeldClock) -> House:
    house = House(settings_in(folder, durability="process"), log.door, clock=clock)
    house.shipper.draining = True
    return house


@pytest.fixture
def log() -> FakeLog:
    return event_log()


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock(NOW_S - 1_000.0)


@pytest.fixture
def house(tmp_path: Path, log: FakeLog, clock: HeldClock) -> Iterator[House]:
    house = opened(tmp_path / "s", log, clock)
    yield house
    house.close()


def put_aside(house: House) -> list[str]:
    """Return the ids of the decisions in the quarantine."""
    found: list[str] = []
    for path in sorted((house.settings.path / QUARANTINE).glob("ahead-*.arrow")):
        found += decode_batch(path.read_bytes()).column("decision_id").to_pylist()
    return found


def test_one_event_ahead_is_put_aside_and_all_else_goes_on(house: House, log: FakeLog) -> None:
    good, bad = new_writer(), new_writer()
    frames = [
        dated(decisions(good, 1, 2), -1, 0.9),
        dated(decisions(bad, 1, 3), 0, 1.1, 0.5),
        dated(decisions(good, 2, 2), 0, 0),
    ]
    house.spool.commit([arrived(frame) for frame in frames], [SCHEMA])
    assert ship_all(house, timeout_s=20)
    ahead = f"{bad}/1/1"
    assert log.held() == [name for name in names(frames) if name != ahead]
    assert put_aside(house) == [ahead]
    (told,) = losses(log)
    assert (told["count"], told["decision_point"], told["kind"]) == (1, "shop.checkout", "decision")
    assert (house.settings.path / QUARANTINE / told["file"]).exists()
    assert told["occurred"] == ["2026-09-22T16:37:20+00:00"] * 2
    status = house.status()["ship"]
    assert (status["ahead"], status["unusable"], status["state"]) == (1, 0, "shipping")


def test_what_was_refused_once_is_composed_without_from_then_on(house: House, log: FakeLog) -> None:
    writer, refused = new_writer(), 0
    frames = [dated(decisions(writer, 1, 2), 0, 400)]
    house.spool.commit([arrived(frames[0])], [SCHEMA])
    assert ship_all(house, timeout_s=20)
    rewritten = house.shipper.counts.rewritten
    for sequence in range(2, 12):
        frames.append(dated(decisions(writer, sequence, 2), 0, 400))
        house.spool.commit([arrived(frames[-1])])
        assert ship_all(house, timeout_s=20)
        refused += house.shipper.counts.rewritten - rewritten
    assert refused == 0
    assert len(house.outbox.identities) == 1, "a sequence that was refused is free"
    assert log.held() == [name for name in names(frames) if name.endswith("/0")]
    assert sorted(put_aside(house)) == sorted(name for name in names(frames) if name.endswith("/1"))
    assert [(one["count"], one["writer"]) for one in losses(log)[1:]] == [(1, str(writer))] * 10
    assert house.status()["ship"]["ahead"] == 11


def test_a_batch_of_nothing_else_becomes_its_report(house: House, log: FakeLog) -> None:
    house.spool.commit([arrived(dated(decisions(new_writer(), 1, 4), 2, 3, 4, 5))], [SCHEMA])
    house.spool.commit([arrived(dated(outcomes(new_writer(), 1, 2), 9, 9))])
    assert ship_all(house, timeout_s=20)
    house.spool.commit([arrived(dated(outcomes(new_writer(), 1, 2), 9, 0))])
    assert ship_all(house, timeout_s=20)
    assert [(one.kind, one.events) for one in log.batches if one.kind != "control"] == [("outcome", 1)]
    assert [(one["kind"], one["count"]) for one in losses(log)] == [
        ("decision", 4), ("outcome", 2), ("outcome", 1)
    ]  # fmt: skip


def test_the_border_moves_with_the_time(house: House, log: FakeLog, clock: HeldClock) -> None:
    writer = new_writer()
    house.spool.commit([arrived(dated(decisions(writer, 1, 1), 3))], [SCHEMA])
    assert ship_all(house, timeout_s=20)
    clock.seconds += DAY_S
    clock.set_by_s += 7 * DAY_S  # which moves nothing
    log.clock = datetime.fromtimestamp(NOW_S + DAY_S, UTC)
    later = dated(decisions(writer, 2, 2), 1.9, 2.1)
    house.spool.commit([arrived(later)])
    assert ship_all(house, timeout_s=20)
    assert log.held() == names([later])[:1]


def test_where_the_clocks_are_apart_nothing_is_put_aside(house: House, log: FakeLog) -> None:
    """The log's is two days behind: what it takes for ahead is of today."""
    log.clock = datetime.fromtimestamp(NOW_S - 2 * DAY_S, UTC)
    frames = [dated(decisions(new_writer(), 1, 2), 0, 0)]
    house.spool.commit([arrived(frames[0])], [SCHEMA])
    for _ in range(5):
        house.shipper.step()
    assert house.shipper.state == "stopped"
    assert "Expected two clocks within an hour of each other" in house.shipper.reason
    assert (log.held(), put_aside(house)) == ([], [])
    log.clock = datetime.fromtimestamp(NOW_S, UTC)
    house.shipper._retry_at = 1e-9  # half a minute later
    assert ship_all(house, timeout_s=20)
    assert log.held() == names(frames)


def test_a_quarantine_that_cannot_be_written_is_waited_for(house: House, log: FakeLog) -> None:
    frames = [dated(decisions(new_writer(), 1, 2), 0, 4)]
    house.spool.commit([arrived(frames[0])], [SCHEMA])
    aside = house.settings.path / QUARANTINE
    aside.write_text("no folder")
    for _ in range(4):
        house.shipper.step()
    assert house.shipper.state == "waiting"
    assert log.held() == []
    aside.unlink()
    house.shipper._retry_at = 1e-9
    assert ship_all(house, timeout_s=20)
    assert (log.held(), put_aside(house)) == (names(frames)[:1], names(frames)[1:])
