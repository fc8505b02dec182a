"""The doors as a process of their own, before a real sidecar and a real log."""

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from harness.log.log import Log
from tests.support.sidecars import ROOT, Running, until

MAPPING = """
source = "kserve"
decision_point = "iris.kind"
[feature_set]
name = "iris"
version = 1
fields = [{ name = "a", type = "float64" }, { name = "b", type = "float64" }]
[decision]
score = "output"
[fields]
a = "input[0]"
b = "input[1]"
"""


class DoorsProcess:
    """`python -m recorders.doors` in a folder."""

    def __init__(self, folder: Path, sidecar: str) -> None:
        self.folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        (folder / "kserve.toml").write_text(MAPPING)
        (folder / "doors.toml").write_text(
            f'http = "127.0.0.1:{self.port}"\nsidecar = "{sidecar}"\nmappings = ["kserve.toml"]\n'
            "pair_wait_s = 1.0\nrequest_s = 1.0\nconnections = 20\n"
        )

    def start(self) -> None:
        command = [sys.executable, "-m", "recorders.doors", "--config", str(self.folder / "doors.toml")]
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("ready: 127.0.0.1")

    def end(self, *, kill: bool) -> int:
        if self.process.poll() is None:
            (self.process.kill if kill else self.process.terminate)()
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def doors(tmp_path: Path, fresh_log: Log) -> Iterator[tuple[DoorsProcess, Running]]:
    with Running(tmp_path / "spool", fresh_log.url, "[ship]\nlinger_s = 0.05\n") as sidecar:
        process = DoorsProcess(tmp_path, sidecar.address)
        process.start()
        yield process, sidecar
        process.end(kill=True)


def half(connection: http.client.HTTPConnection, number: str, side: str) -> bool:
    body = {"instances": [[1.5, 2]]} if side == "request" else {"predictions": [0.25]}
    headers = {
        "Content-Type": "application/json", "Ce-Specversion": "1.0", "Ce-Id": number, "Ce-Source": "/",
        "Ce-Type": f"org.kubeflow.serving.inference.{side}", "Ce-Time": "2026-05-04T10:00:00Z",
        "Ce-Inferenceservicename": "iris",
    }  # fmt: skip
    connection.request("POST", "/", json.dumps(body), headers)
    answer = connection.getresponse()
    answer.read()
    return answer.status == 200


def in_log(log: Log) -> dict[str, float | None]:
    """Return the score of each decision, the first one of an id."""
    found: dict[str, float | None] = {}
    for batch in log.read(1, log.head().position + 1, kind="decision", columns=["decision_id", "score"]):
        for one in batch.to_pylist():
            found.setdefault(one["decision_id"], one["score"])
    return found


def test_what_was_answered_is_in_the_log_though_the_doors_are_killed(
    doors: tuple[DoorsProcess, Running], fresh_log: Log
) -> None:
    process, _ = doors
    answered: dict[str, set[str]] = {}
    ended = threading.Event()

    def serve(worker: int) -> None:
        number = 0
        while not ended.is_set():
            try:
                with closing(http.client.HTTPConnection("127.0.0.1", process.port, timeout=10)) as connection:
                    while not ended.is_set():
                        name = f"{worker}-{number}"
                        number += 1
                        for side in ("request", "response"):
                            if half(connection, name, side):
                                answered.setdefault(name, set()).add(side)
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)

    workers = [threading.Thread(target=serve, args=(worker,)) for worker in range(5)]
    for worker in workers:
        worker.start()
    for _ in range(3):
        time.sleep(0.7)
        process.end(kill=True)
        process.start()
    time.sleep(0.7)
    ended.set()
    for worker in workers:
        worker.join()
    until(lambda: set(answered) <= set(in_log(fresh_log)), 30.0)
    found = in_log(fresh_log)
    assert len(answered) > 50
    assert {name for name, sides in answered.items() if len(sides) == 2 and found[name] is None} == set()
    assert process.end(kill=False) == 0


def refuses(stranger: socket.socket, data: bytes, times: int) -> bool:
    """Return whether the other side ends the connection while it is sent so much."""
    try:
        for _ in range(times):
            stranger.sendall(data)
    except OSError:
        return True
    return gone(stranger, within_s=5.0)


def gone(stranger: socket.socket, within_s: float) -> bool:
    """Return whether the other side ends the connection in time."""
    stranger.settimeout(within_s)
    try:
        return stranger.recv(100) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def test_strangers_are_cut_off(doors: tuple[DoorsProcess, Running]) -> None:
    process, sidecar = doors

    def opened() -> socket.socket:
        return socket.create_connection(("127.0.0.1", process.port), timeout=10)

    with opened() as slow, opened() as silent, opened() as slow_body:
        slow.sendall(b"POST / HTTP/1.1\r\nHost: x\r\n")
        slow_body.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n123")
        with opened() as endless:
            endless.sendall(b"POST / HTTP/1.1\r\n")
            assert refuses(endless, b"X-Header: " + b"a" * 1_000 + b"\r\n", times=2_000)
        crowd = [opened() for _ in range(25)]
        turned_away = sum(gone(one, within_s=0.2) for one in crowd)
        assert turned_away >= 5
        for one in crowd:
            one.close()
        assert all(gone(one, within_s=10.0) for one in (slow, silent))
        slow_body.settimeout(10.0)
        assert slow_body.recv(100)[:12] in (b"", b"HTTP/1.1 408")
    connection = http.client.HTTPConnection("127.0.0.1", process.port, timeout=10)
    assert half(connection, "after", "request")
    sidecar.kill()
    assert not half(connection, "after", "response")
    connection.close()


def test_an_address_that_others_reach_needs_a_token(tmp_path: Path) -> None:
    (tmp_path / "doors.toml").write_text('http = "0.0.0.0:0"\n')
    done = subprocess.run(
        [sys.executable, "-m", "recorders.doors", "--config", str(tmp_path / "doors.toml")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "HARNESS_SIDECAR_TOKEN" in done.stderr
