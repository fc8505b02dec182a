"""A service that is killed: what it had on the way is lost, bounded, and named in the log."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.log.gaps import find
from harness.log.log import Log
from recorders.socket_link import SocketLink
from tests.support.sidecars import FEATURES, ROOT, Running, decision_ids, decisions, new_writer, until

SETTINGS = "[ship]\nlinger_s = 0.05\n[door]\nlost_s = 0.5\n"
# Records 2,000 a second, says how many every tenth of a second, and is killed, or ends when it reads a line.
SERVICE = """
import sys, threading, time
from recorders.recorder import Recorder
from recorders.socket_link import SocketLink
from tests.support.sidecars import FEATURES, POINT

recorder = Recorder(POINT, FEATURES, SocketLink(sys.argv[1], [FEATURES]), model="m", model_version="1")
stopping = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stopping.set()), daemon=True).start()
number, started = 0, time.monotonic()
while not stopping.is_set():
    while number < (time.monotonic() - started) * 2_000:
        assert recorder.record({"amount": 1.0, "country": "NZ"}, decision_id=f"d{number}")
        number += 1
        if number % 200 == 0:
            print(number, flush=True)
    time.sleep(0.001)
sys.exit(0 if recorder.close() else 1)
"""
# What may be under way: a tenth of a second in the queue, and a frame whose answer is not there yet. The
# rest is patience with a machine that does other things as well.
BOUND = 2_000
PATIENCE_S = 120.0


def service(sidecar: Running) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", SERVICE, sidecar.address]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen(command, cwd=ROOT, text=True, **pipes)


def recorded(process: subprocess.Popen[str], count: int) -> int:
    """Return how many events a service says it has recorded, at least `count`."""
    assert process.stdout is not None
    for line in process.stdout:
        if int(line) >= count:
            return int(line)
    raise AssertionError("the service ended")


def gone(process: subprocess.Popen[str]) -> int:
    code = process.wait(30)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    return code


@pytest.fixture
def sidecar(fresh_log: Log, tmp_path: Path) -> Running:
    with Running(tmp_path / "s", fresh_log.url, SETTINGS) as running:
        yield running


def test_a_killed_service_is_a_gap_with_a_name_and_a_bound(fresh_log: Log, sidecar: Running) -> None:
    process = service(sidecar)
    count = recorded(process, 2_000)
    process.kill()
    assert gone(process) == -signal.SIGKILL
    until(lambda: fresh_log.controls("recorder.loss"), PATIENCE_S)
    held = decision_ids(fresh_log)
    assert held == [f"d{number}" for number in range(len(held))]  # what is missing is the end
    assert len(held) > count - BOUND
    found = find(fresh_log.controls(), 1, fresh_log.head().position + 1)
    (gap,) = found.gaps
    assert (gap.reason, gap.count, found.uncounted) == ("writer_lost", None, 1)
    assert gap.known["after"] >= 1
    assert gap.first < gap.last


def test_a_service_that_ends_or_comes_back_is_no_gap(fresh_log: Log, sidecar: Running) -> None:
    link, writer = SocketLink(sidecar.address, [FEATURES]), new_writer()
    link.send(decisions(writer, 1))
    link._drop()  # as a cut connection looks from the other side
    link.send(decisions(writer, 2))
    process = service(sidecar)
    recorded(process, 400)
    assert process.stdin is not None
    process.stdin.write("end\n")
    process.stdin.flush()
    assert gone(process) == 0
    time.sleep(2.0)  # more than the half second after which a writer is missed, and the second between looks
    link.close()
    assert sidecar.run("drain").returncode == 0
    assert fresh_log.controls("recorder.loss") == []


# Is ended by SIGTERM with its default action, once a refusal waits to be reported and an event to be sent.
ENDED = """
import os, signal, sys
from recorders.limits import Limits
from recorders.recorder import Recorder
from recorders.socket_link import SocketLink
from tests.support.sidecars import FEATURES, POINT

limits = Limits(linger_s=0.0, loss_every_s=60.0)
link = SocketLink(sys.argv[1], [FEATURES])
recorder = Recorder(POINT, FEATURES, link, model="m", model_version="1", limits=limits)
assert recorder.record({"amount": 1.0, "country": "NZ"}, decision_id="first")
assert recorder.record({"amonut": 1.0, "country": "NZ"}) is None
assert recorder.flush(30)
assert recorder.record({"amonut": 1.0, "country": "NZ"}) is None
if sys.argv[2] == "own":  # a handler of the service's own, which goes on for a while and ends by no exit
    from recorders.exits import flush_on_sigterm
    signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
    flush_on_sigterm()
os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.parametrize(("handler", "code"), [("default", -signal.SIGTERM), ("own", 7)])
def test_a_service_that_is_ended_says_goodbye_and_what_it_refused(
    fresh_log: Log, sidecar: Running, handler: str, code: int
) -> None:
    """It was missed like a killed one, for a loss of nobody knew how many, and its last refusals untold."""
    done = subprocess.run([sys.executable, "-c", ENDED, sidecar.address, handler], cwd=ROOT, check=False)
    assert done.returncode == code
    time.sleep(2.0)  # as above
    assert sidecar.run("drain").returncode == 0
    assert decision_ids(fresh_log) == ["first"]
    told = [event.body for event in fresh_log.controls("recorder.loss")]
    assert {loss["reason"] for loss in told} == {"rejected.undeclared"}
    assert sum(loss["count"] for loss in told) == 2
