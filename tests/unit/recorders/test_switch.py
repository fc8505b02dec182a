"""The kill switch: off within a second, nothing lost uncounted, and on again."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from recorders.limits import Limits
from recorders.recorder import Recorder
from recorders.switch import OFF_FILE_VARIABLE, OFF_VARIABLE
from tests.support.recording import PLAIN, TWO, MemoryLink

QUICK = Limits(switch_s=0.01, linger_s=0.0, loss_every_s=0.0)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_services_own_switch_turns_recording_off_and_on() -> None:
    state = {"off": True}
    link = MemoryLink()
    recorder = Recorder(
        "p", TWO, link, model="m", model_version="1", limits=QUICK, switch=lambda: state["off"]
    )
    assert recorder.record(PLAIN) is None
    assert recorder.outcome("d", "late", 1) is False
    assert recorder.counters.dropped == {"off": 2}
    state["off"] = False
    until(lambda: recorder.record(PLAIN) is not None)
    state["off"] = True
    until(lambda: recorder.record(PLAIN) is None)
    assert recorder.flush(5)
    counters = recorder.counters
    assert counters.accepted == counters.acked == link.events() >= 1
    assert set(counters.dropped) == {"off"}
    until(lambda: any(frame.kind == "loss" for frame in link.frames))
    assert recorder.close(5)
    state["off"] = False
    time.sleep(0.05)
    assert recorder.record(PLAIN) is None, "closed is closed"
    assert recorder.counters.dropped["stopped"] == 1


@pytest.mark.parametrize(("value", "off"), [("1", True), ("TRUE", True), ("0", False), ("no", False)])
def test_the_environment_turns_it_off(value: str, off: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(OFF_VARIABLE, value)
    with Recorder("p", TWO, MemoryLink(), model="m", model_version="1") as recorder:
        assert (recorder.record(PLAIN) is None) == off


def test_a_file_turns_it_off_while_it_exists(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "off"
    monkeypatch.setenv(OFF_FILE_VARIABLE, str(file))
    with Recorder("p", TWO, MemoryLink(), model="m", model_version="1", limits=QUICK) as recorder:
        assert recorder.record(PLAIN)
        file.touch()
        until(lambda: recorder.record(PLAIN) is None)
        file.unlink()
        until(lambda: recorder.record(PLAIN) is not None)


def test_a_switch_that_raises_leaves_things_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> bool:
        raise ZeroDivisionError

    with Recorder("p", TWO, MemoryLink(), model="m", model_version="1", limits=QUICK, switch=broken) as r:
        assert r.record(PLAIN)
        time.sleep(0.1)
        assert r.record(PLAIN)
        assert r.flush(5)
    assert "raised ZeroDivisionError" in caplog.text


def test_a_link_that_hangs_does_not_hold_the_switch_up() -> None:
    """The thread that waited for the sidecar was the one that read the switch: for up to fifteen seconds."""
    hanging, under_way, state = threading.Event(), threading.Event(), {"off": False}

    def hang(_: object) -> None:
        under_way.set()
        assert hanging.wait(60)

    recorder = Recorder(
        "p", TWO, MemoryLink(hang), model="m", model_version="1", limits=QUICK, switch=lambda: state["off"]
    )
    assert recorder.record(PLAIN)
    assert under_way.wait(10)
    state["off"] = True
    until(lambda: recorder.record(PLAIN) is None)
    assert recorder.counters.dropped == {"off": 1}
    state["off"] = False
    until(lambda: recorder.record(PLAIN) is not None)
    hanging.set()
    assert recorder.close(10)


def test_a_switch_that_hangs_does_not_hold_up_what_was_accepted() -> None:
    hanging, asked = threading.Event(), threading.Event()

    def switch() -> bool:
        if threading.current_thread() is not threading.main_thread():
            asked.set()
            assert hanging.wait(60)
        return False

    link = MemoryLink()
    recorder = Recorder("p", TWO, link, model="m", model_version="1", limits=QUICK, switch=switch)
    assert recorder.record(PLAIN)
    assert asked.wait(10)
    assert recorder.record(PLAIN)
    assert recorder.flush(10)
    hanging.set()
    assert recorder.close(10)
    assert link.events() == 2
