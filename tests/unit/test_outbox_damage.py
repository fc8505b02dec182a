"""Rows of the outbox that are damaged after they were written: told, kept where they can be, and passed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from recorders.frame import Frame
from recorders.sidecar.house import House, ship_all
from recorders.sidecar.records import Identity
from recorders.sidecar.salvage import QUARANTINE, quarantine
from tests.support.ahead import NOW_S, dated, event_log
from tests.support.fake_log import FakeLog
from tests.support.recording import HeldClock
from tests.support.sidecars import FEATURES, arrived, decisions, names, new_writer, settings_in

SCHEMA = (bytes.fromhex(FEATURES.digest), FEATURES.canonical())


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


@pytest.fixture
def house(tmp_path: Path, log: FakeLog) -> Iterator[House]:
    opened = House(settings_in(tmp_path / "s", durability="process", segment_bytes=2**24), log.door)
    opened.shipper.draining = True
    yield opened
    opened.close()


def composed(house: House, count: int) -> list[Frame]:
    """Return frames of as many writers, each a batch of its own in the outbox."""
    frames = [decisions(new_writer(), 1) for _ in range(count)]
    for frame in frames:
        house.spool.commit([arrived(frame)], [SCHEMA])
        house.shipper._rounds.compose()
    return frames


def altered(house: House, ordinal: int, column: str, value: object) -> None:
    """Alter a row of the outbox, as a disk does that flips bits."""
    connection = house.outbox._file.connection
    connection.execute(f"update batch set {column} = ? where ordinal = ?", (value, ordinal))


def told(log: FakeLog, reason: str = "batch_damaged") -> list[dict[str, Any]]:
    """Return what the log was told for that reason."""
    events = [msgspec.json.decode(batch.payload)["body"] for batch in log.batches if batch.kind == "control"]
    return [event for event in events if event["reason"] == reason]


DAMAGES = [
    ("writer", b"short"),
    ("writer", "a text of 16 ..."),
    ("sequence", "two"),
    ("sequence", -2),
    ("sequence", 2.5),
    ("kind", b"decision"),
    ("decision_point", b"shop"),
    ("schema_digest", b"\x00" * 32),
    ("events", "many"),
    ("occurred_min", 2**62),
    ("occurred_max", -(2**62)),
    ("occurred_max", "noon"),
]


@pytest.mark.parametrize(("column", "value"), DAMAGES)
def test_a_row_that_no_batch_has_is_put_aside_and_told(
    house: House, log: FakeLog, column: str, value: object
) -> None:
    frames = composed(house, 4)
    payload = house.outbox.read(2).batch.payload
    altered(house, 2, column, value)
    assert ship_all(house, timeout_s=30), house.shipper.reason
    assert sorted(log.held()) == sorted(names([frames[0], *frames[2:]]))
    (event,) = told(log)
    assert (event["ordinal"], event["batches"], event["count"]) == (2, 1, None)
    assert (house.settings.path / QUARANTINE / event["file"]).read_bytes() == payload
    assert house.status()["ship"]["missing"] == 1


@pytest.mark.parametrize(("column", "value"), [("payload", b"other"), ("payload", "text"), ("digest", b"00")])
def test_a_payload_that_nothing_proves_is_told(
    house: House, log: FakeLog, column: str, value: object
) -> None:
    frames = composed(house, 3)
    altered(house, 2, column, value)
    assert ship_all(house, timeout_s=30), house.shipper.reason
    assert log.held() == names([frames[0], frames[2]])
    assert len(told(log)) == 1
    assert not (house.settings.path / QUARANTINE).exists()


@pytest.mark.parametrize("sequence", [1, 2, 4, 5, 2**40])
def test_a_wrong_sequence_costs_no_event(house: House, log: FakeLog, sequence: int) -> None:
    """Neither does it look like another history."""
    frames = composed(house, 5)
    for _ in range(2):
        house.shipper.step()
    assert house.outbox.state.shipped_ordinal == 2
    altered(house, 3, "sequence", sequence)
    assert ship_all(house, timeout_s=30), house.shipper.reason
    assert sorted(log.held()) == sorted(names(frames))


@pytest.mark.parametrize("ordinal", [1, 3])
def test_a_wrong_writer_costs_no_event(house: House, log: FakeLog, ordinal: int) -> None:
    frames = composed(house, 4)
    altered(house, ordinal, "writer", uuid4().bytes)
    assert ship_all(house, timeout_s=30), house.shipper.reason
    assert sorted(log.held()) == sorted(names(frames))


def test_going_back_for_what_is_damaged_ends(house: House, log: FakeLog) -> None:
    """The first batch of a second writer, behind some of the first one's that are kept."""
    frames = composed(house, 2)
    assert ship_all(house, timeout_s=30)
    house.outbox.identities.append(Identity(2, uuid4().bytes, 0, "copied", 0.0))
    frames += composed(house, 3)
    altered(house, 3, "payload", b"other")
    assert ship_all(house, timeout_s=30), house.shipper.reason
    assert sorted(log.held()) == sorted(names([*frames[:2], *frames[3:]]))
    assert len(told(log)) == 1


def test_what_is_damaged_behind_a_loss_is_told_as_well(house: House, log: FakeLog) -> None:
    frames = composed(house, 5)
    altered(house, 2, "payload", b"other")
    altered(house, 4, "payload", b"other")  # is written on under another writer with all that waits
    assert ship_all(house, timeout_s=30), house.shipper.reason
    assert sorted(log.held()) == sorted(names([frames[0], frames[2], frames[4]]))
    assert sorted(event["ordinal"] for event in told(log)) == [2, 4]


@pytest.mark.parametrize(
    ("column", "value"), [("sequence", 1), ("decision_point", "other"), ("writer", b"?")]
)
def test_who_asks_is_not_misled_by_what_was_damaged_since(
    house: House, log: FakeLog, column: str, value: object
) -> None:
    frames = composed(house, 3)
    assert ship_all(house, timeout_s=30)
    altered(house, 3, column, value)
    house.shipper._asked = False
    assert ship_all(house, timeout_s=30), house.shipper.reason
    assert log.held() == names(frames)


def test_a_lost_reply_to_a_batch_that_is_called_otherwise_since(house: House, log: FakeLog) -> None:
    frames = composed(house, 3)
    log.losing = True
    house.shipper.step()
    altered(house, 1, "decision_point", "other")
    assert ship_all(house, timeout_s=30), house.shipper.reason
    assert log.held() == names(frames)


def test_another_history_stops_as_before(house: House, log: FakeLog) -> None:
    composed(house, 2)
    house.shipper.step()
    other = house.outbox.read(2).batch
    log.batches.append(msgspec.structs.replace(other, digest="00" * 32))
    assert not ship_all(house, timeout_s=30)
    assert "sent other bytes under sequence 2" in house.shipper.reason


def test_a_time_that_is_damaged_takes_no_event_out(tmp_path: Path) -> None:
    log, clock = event_log(), HeldClock(set_by_s=NOW_S - 1_000.0)
    house = House(settings_in(tmp_path / "s"), log.door, clock=clock)
    house.shipper.draining = True
    frame = dated(decisions(new_writer(), 1, 3), 0.0, 0.0, 0.0)
    house.spool.commit([arrived(frame)], [SCHEMA])
    house.shipper._rounds.compose()
    far = house.outbox.read(1).batch.occurred_max
    assert far is not None
    altered(house, 1, "occurred_max", int(far.timestamp() * 1e6) + 2**55)
    assert ship_all(house, timeout_s=30), house.shipper.reason
    house.close()
    assert log.held() == names([frame])
    assert (log.batches[0].occurred_max, len(log.batches)) == (far, 1)


@pytest.mark.parametrize("frames", [b"\xc1", "text", b"\x93\x01\x02\x03", b"\x91\xa1x"])
def test_a_composition_that_cannot_be_read_keeps_no_outbox_closed(
    tmp_path: Path, log: FakeLog, frames: object
) -> None:
    """Nor does a time that none is, in a file that was put aside."""
    settings = settings_in(tmp_path / "s", durability="process", segment_bytes=2**24)
    house = House(settings, log.door)
    sent = composed(house, 3)
    altered(house, 2, "frames", frames)
    altered(house, 3, "occurred_max", 2**62)
    house.close()
    quarantine(tmp_path / "s" / "outbox-00000001.db")
    house = House(settings, log.door)
    assert ship_all(house, timeout_s=30), house.shipper.reason
    house.close()
    assert log.held() == names(sent[:2])
    assert [event["salvaged"] for event in told(log, "outbox_damaged")] == [2]
