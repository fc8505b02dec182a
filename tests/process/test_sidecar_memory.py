"""SIGKILL hits crash-proof services and their sidecar: the log has every accepted event, once."""

import collections
import mmap
import random
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from harness.log.log import Log
from tests.support.sidecars import ROOT, Running, decision_ids, until

KILLS = 6
BYTES = 4 * 2**20
ENTRY = 28
SETTINGS = "[ship]\nlinger_s = 0.05\nbackoff_s = 0.05\n[door]\nmemory = '{}'\n"
# Records until it is killed. What its callers were told stands in a mapped file, which outlives it.
SERVICE = f"""
import mmap, sys, time
from pathlib import Path
from recorders import Limits, Recorder
from recorders.socket_link import SocketLink
from tests.support.sidecars import FEATURES, POINT

link = SocketLink(sys.argv[1], [FEATURES])
limits = Limits(linger_s=0.01, frame_events=100, backoff_s=0.01, backoff_max_s=0.05)
recorder = Recorder(
    POINT, FEATURES, link, model="m", model_version="1", limits=limits, crash_proof=Path(sys.argv[2])
)
with open(sys.argv[3], "w+b") as file:
    file.truncate({BYTES})
    told = mmap.mmap(file.fileno(), {BYTES})
print("ready", flush=True)
for at in range(0, {BYTES} - {ENTRY}, {ENTRY}):
    name = recorder.record({{"amount": 1.0, "country": "NZ"}})
    assert name is not None, recorder.counters
    told[at : at + {ENTRY}] = name.ljust({ENTRY}).encode()
    if at // {ENTRY} % 5 == 0:
        time.sleep(0.002)
"""

# Has a queue of ten and no sidecar; says how many events it dropped, and waits.
DROPS = """
import sys, time
from pathlib import Path
from recorders import Limits, Recorder
from recorders.socket_link import SocketLink
from tests.support.sidecars import FEATURES, POINT

link = SocketLink(sys.argv[1], [FEATURES])
limits = Limits(queue_slots=10, loss_every_s=3_600.0)
recorder = Recorder(
    POINT, FEATURES, link, model="m", model_version="1", limits=limits, crash_proof=Path(sys.argv[2])
)
told = [recorder.record({"amount": 1.0, "country": "NZ"}) for _ in range(50)]
print(told.count(None), flush=True)
time.sleep(600)
"""


class Service:
    """A process that records, and the file of what it accepted."""

    def __init__(self, sidecar: Running, memory: Path, told: Path) -> None:
        self._told = told
        command = [sys.executable, "-c", SERVICE, sidecar.address, str(memory), str(told)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def has_told(self, count: int) -> bool:
        with self._told.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as told:
            return told[(count - 1) * ENTRY : count * ENTRY] != bytes(ENTRY)

    def kill(self) -> list[str]:
        """Return what it had accepted when it died."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        return self._told.read_bytes().rstrip(b"\x00").decode().split()


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    folder = tmp_path / "memory"
    folder.mkdir()
    return folder


def test_nothing_accepted_is_lost_or_doubled_whoever_is_killed(
    fresh_log: Log, tmp_path: Path, memory: Path
) -> None:
    chance = random.Random(7)
    accepted: list[str] = []
    with Running(tmp_path / "s", fresh_log.url, SETTINGS.format(memory)) as sidecar:
        for kill in range(KILLS):
            service = Service(sidecar, memory, tmp_path / f"told{kill}")
            until(lambda service=service: service.has_told(300))
            time.sleep(chance.uniform(0.0, 0.2))
            if kill % 4 == 1:  # the sidecar first: the service's last words have nowhere to go
                sidecar.kill()
                time.sleep(chance.uniform(0.0, 0.1))
            accepted += service.kill()
            if kill % 4 == 2:  # the sidecar while it takes over what the service left
                time.sleep(chance.uniform(0.0, 1.5))
                sidecar.kill()
            if sidecar.process is None or sidecar.process.poll() is not None:
                sidecar.start()
        until(lambda: list(memory.iterdir()) == [], 60)
        assert sidecar.run("drain").returncode == 0
    held = decision_ids(fresh_log)
    assert set(accepted) - set(held) == set()
    assert [name for name, count in collections.Counter(held).items() if count > 1] == []
    assert len(held) <= len(accepted) + KILLS, "of each, at most the one whose caller was not told yet"
    assert len(accepted) > 300 * KILLS
    assert fresh_log.controls("recorder.loss") == []


def test_a_service_that_died_before_the_sidecar_first_ran_is_known_by_its_files(
    fresh_log: Log, tmp_path: Path, memory: Path
) -> None:
    sidecar = Running(tmp_path / "s", fresh_log.url, SETTINGS.format(memory))
    service = Service(sidecar, memory, tmp_path / "told")
    until(lambda: service.has_told(300))
    accepted = service.kill()
    with sidecar:
        until(lambda: list(memory.iterdir()) == [], 60)
        assert sidecar.run("drain").returncode == 0
    held = decision_ids(fresh_log)
    assert held[: len(accepted)] == accepted
    assert len(held) <= len(accepted) + 1


def test_what_a_killed_service_had_dropped_and_not_reported_is_in_the_log(
    fresh_log: Log, tmp_path: Path, memory: Path
) -> None:
    sidecar = Running(tmp_path / "s", fresh_log.url, SETTINGS.format(memory))
    command = [sys.executable, "-c", DROPS, sidecar.address, str(memory)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as service:
        assert service.stdout is not None
        dropped = int(service.stdout.readline())
        assert 0 < dropped < 50
        (file,) = memory.iterdir()
        said = msgspec.msgpack.encode("full") + msgspec.msgpack.encode(dropped)
        until(lambda: said in file.read_bytes(), 60)
        service.kill()
    with sidecar:
        until(lambda: list(memory.iterdir()) == [], 60)
        assert sidecar.run("drain").returncode == 0
    assert len(decision_ids(fresh_log)) == 50 - dropped
    losses = [event.body for event in fresh_log.controls("recorder.loss")]
    assert [(body["reason"], body["count"]) for body in losses] == [("full", dropped)]
