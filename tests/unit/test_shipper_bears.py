"""What the shipper bears, and how a sidecar ends whose shipper met what it does not know."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorders.errors import AppendError, LinkUnavailable
from recorders.sidecar.errors import ShipperBroke
from recorders.sidecar.house import House, ship_all
from recorders.sidecar.salvage import QUARANTINE
from recorders.sidecar.service import serve
from recorders.sidecar.ship import Shipper
from tests.support.fake_log import FakeLog
from tests.support.sidecars import FEATURES, arrived, decisions, names, new_writer, settings_in, until

SCHEMA = (bytes.fromhex(FEATURES.digest), FEATURES.canonical())


@pytest.fixture
def log() -> FakeLog:
    return FakeLog()


@pytest.fixture
def house(tmp_path: Path, log: FakeLog) -> Iterator[House]:
    opened = House(settings_in(tmp_path / "s"), log.door)
    yield opened
    opened.close()


def test_a_quarantine_that_cannot_be_written_is_waited_for(house: House, log: FakeLog) -> None:
    good, bad = decisions(new_writer(), 1), new_writer()
    house.spool.commit([arrived(decisions(bad, 1))._replace(payload=b"\xdd\x00\x00\x00\x04junk")], [SCHEMA])
    house.spool.commit([arrived(good)])
    aside = house.settings.path / QUARANTINE
    aside.write_text("no folder")
    assert house.shipper.step() > 0
    assert house.shipper.state == "waiting"
    assert QUARANTINE in house.shipper.reason
    assert log.batches == []
    aside.unlink()
    assert ship_all(house, timeout_s=30)
    assert log.held() == names([good])
    assert [path.name for path in aside.iterdir()] == [f"unusable-{bad}-1.msgpack"]
    assert house.status()["ship"]["unusable"] == 1


def test_each_reason_to_wait_or_stop_is_logged_once_and_so_is_the_end(
    house: House, log: FakeLog, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house.spool.commit([arrived(decisions(new_writer(), 1))], [SCHEMA])
    refusals = ["away", "away", "no schema", "restored", "restored"]

    def refuse(*_: object) -> None:
        what = refusals.pop(0)
        raise LinkUnavailable(what) if what == "away" else AppendError(what, "Expected a log.", "Mend it.")

    with monkeypatch.context() as patched:
        patched.setattr(Shipper, "_connect", refuse)
        while refusals:
            house.shipper._retry_at = house.shipper._retry_at and 1e-9
            house.shipper.step()
    house.shipper._retry_at = 1e-9
    with caplog.at_level("INFO"):
        assert ship_all(house, timeout_s=30)
    told = [line.getMessage().partition(" Expected")[0] for line in caplog.records]
    assert told == [
        "Shipping waits: away",
        "Shipping stopped: no schema",
        "Shipping stopped: restored",
        "Shipping goes on",
    ]


def test_a_house_that_cannot_be_opened_gives_back_what_it_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "s"
    with monkeypatch.context() as patched:
        patched.setattr("recorders.sidecar.house.Shipper", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            House(settings_in(folder))
    assert not list(folder.glob("*-wal")), "a file is open still"
    House(settings_in(folder)).close()


def test_a_shipper_that_breaks_is_no_orderly_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[BaseException | None] = []

    def breaks(_: Shipper) -> float:
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(Shipper, "step", breaks)
    monkeypatch.setattr(threading, "excepthook", lambda about: told.append(about.exc_value))
    with pytest.raises(ShipperBroke, match="Start it again"):
        serve(settings_in(tmp_path / "s", "postgresql://nobody@127.0.0.1:1/none"))
    until(lambda: bool(told))
    assert str(told[0]) == "planted"
