"""Batches that the log calls unusable, for ever: they are kept and told, and all else goes on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from recorders.append import Batch
from recorders.canonical import digest
from recorders.columns import decode_batch
from recorders.fields import FeatureSet, Field
from recorders.frame import Frame, payload_of
from recorders.sidecar.house import House, ship_all
from recorders.sidecar.salvage import QUARANTINE
from tests.support.fake_log import FakeLog
from tests.support.sidecars import FEATURES, arrived, decisions, names, new_writer, outcomes, settings_in

SCHEMA = (bytes.fromhex(FEATURES.digest), FEATURES.canonical())


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


@pytest.fixture
def house(tmp_path: Path, log: FakeLog) -> Iterator[House]:
    opened = House(settings_in(tmp_path / "s", durability="process"), log.door)
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
    """Alter what a batch in the outbox says of itself, as a disk does that flips bits."""
    connection = house.outbox._file.connection
    connection.execute(f"update batch set {column} = ? where ordinal = ?", (value, ordinal))


def told(log: FakeLog) -> list[dict[str, Any]]:
    events = [msgspec.json.decode(batch.payload)["body"] for batch in log.batches if batch.kind == "control"]
    return [event for event in events if event["reason"] == "refused"]


def header_refused(batch: Batch) -> str:
    """Say what harness.check_batch says of a header."""
    if not 1 <= batch.events <= 1_000_000:
        return f"it has {batch.events} events (1 to 1000000)"
    return "" if len(batch.decision_point.encode()) <= 200 else "its decision point has over 200 bytes"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("events", 0),
        ("events", 7_000_000),
        ("schema_digest", "00"),
        ("kind", "decisiom"),
        ("occurred_max", 5),
    ],
)
def test_a_header_that_is_damaged_is_written_anew_from_the_payload(
    house: House, log: FakeLog, column: str, value: object
) -> None:
    frames = composed(house, 3)
    true = house.outbox.read(2).batch
    altered(house, 2, column, value)
    wrong = house.outbox.read(2).batch
    log.refuses = lambda batch: "damaged" if getattr(batch, column) == getattr(wrong, column) else ""
    assert ship_all(house, timeout_s=20), house.shipper.reason
    assert log.held() == names(frames)
    again = log.batches[1]
    assert (again.kind, again.events, again.schema_digest) == (true.kind, true.events, true.schema_digest)
    assert (again.occurred_min, again.occurred_max) == (true.occurred_min, true.occurred_max)
    assert (told(log), house.status()["ship"]["refused"]) == ([], 0)


def test_what_stays_refused_is_put_aside_counted_and_told(house: House, log: FakeLog) -> None:
    frames = composed(house, 3)
    payload = house.outbox.read(2).batch.payload
    altered(house, 2, "decision_point", "p" * 201)
    log.refuses = header_refused
    assert ship_all(house, timeout_s=20), house.shipper.reason
    assert log.held() == names([frames[0], frames[2]])
    (one,) = told(log)
    assert (one["count"], one["decision_point"]) == (frames[1].events, "")
    assert one["why"] == "its decision point has over 200 bytes"
    assert (house.settings.path / QUARANTINE / one["file"]).read_bytes() == payload
    assert decode_batch(payload).column("decision_id").to_pylist() == names(frames[1:2])
    status = house.status()["ship"]
    assert (status["refused"], status["state"], len(house.outbox.identities)) == (1, "shipping", 1)


def test_it_is_told_once_though_a_restored_log_is_shipped_all_again(house: House, log: FakeLog) -> None:
    frames = composed(house, 3)
    bad = house.outbox.read(2).batch.digest
    log.refuses = lambda batch: "poisoned" if batch.digest == bad else ""
    assert ship_all(house, timeout_s=20)
    log.restore(1)
    house.shipper._asked = False
    assert ship_all(house, timeout_s=20)
    assert log.held() == names([frames[0], frames[2]])
    assert (len(told(log)), house.status()["ship"]["refused"]) == (1, 1)


def test_one_after_another_is_not_the_batches_and_stops(house: House, log: FakeLog) -> None:
    """A log of another version, say: the spool is not emptied into its quarantine."""
    frames = composed(house, 6)
    log.refuses = lambda batch: "its kind is 'decision'" if batch.kind == "decision" else ""
    for _ in range(30):
        house.shipper.step()
    assert house.shipper.state == "stopped"
    assert "refused 3 batches after each other" in house.shipper.reason
    assert "harness doctor" in house.shipper.reason
    assert (len(told(log)), log.held()) == (3, [])
    log.refuses = lambda _: ""
    house.shipper._retry_at = 1e-9  # half a minute later
    assert ship_all(house, timeout_s=20)
    assert log.held() == names(frames[3:])


def test_a_value_of_megabytes_makes_no_report_that_no_log_takes(house: House, log: FakeLog) -> None:
    """The reason quoted it whole, five letters a byte: 78 MB of control event, refused for ever."""
    bad, good = new_writer(), decisions(new_writer(), 1)
    payload = payload_of([msgspec.msgpack.encode(("d", "late", bytes(15 * 2**20), 1))])
    frame = msgspec.structs.replace(outcomes(bad, 1, 1), payload=payload, digest=digest(payload))
    house.spool.commit([arrived(frame), arrived(good)], [SCHEMA])
    assert ship_all(house, timeout_s=60)
    assert log.held() == names([good])
    (event,) = [msgspec.json.decode(batch.payload) for batch in log.batches if batch.kind == "control"]
    assert (event["body"]["reason"], event["body"]["count"]) == ("unusable", 1)
    assert len(event["body"]["why"]) <= 256
    assert max(len(batch.payload) for batch in log.batches) < 65_536
    assert (house.settings.path / QUARANTINE / f"unusable-{bad}-1.msgpack").stat().st_size == len(payload)


def test_columns_that_nobody_could_read_back_are_cut(house: House, log: FakeLog) -> None:
    """Absent numbers are a byte each in a frame, and eight in a column."""
    wide = FeatureSet("wide", 1, tuple(Field(f"f{number}", "float64") for number in range(256)))
    envelope = (1, None, "m", "1", None, None, None, 1.0, None, None)
    rows = [
        msgspec.msgpack.encode((str(number), *envelope, *(None,) * 256, None)) for number in range(48_000)
    ]
    payload = payload_of(rows)
    whole = msgspec.structs.replace(
        decisions(new_writer(), 1), schema_digest=wide.digest, events=len(rows), payload=payload
    )
    frame = msgspec.structs.replace(whole, digest=digest(payload))
    house.spool.commit([arrived(frame)], [(bytes.fromhex(wide.digest), wide.canonical())])
    assert ship_all(house, timeout_s=60)
    assert log.held() == [str(number) for number in range(48_000)]
    assert [batch.events for batch in log.batches] == [24_000, 24_000]
