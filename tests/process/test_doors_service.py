"""The doors of a real sidecar, before a real log."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from harness.log.log import Log
from tests.support.sidecars import Running, free_port, until

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


def with_doors(folder: Path, url: str, settings: str = "") -> tuple[Running, int]:
    """Return a sidecar with doors, and their port."""
    port = free_port()
    (folder / "kserve.toml").write_text(MAPPING)
    doors = f'[doors]\nhttp = "127.0.0.1:{port}"\nmappings = ["kserve.toml"]\n'
    limits = "pair_wait_s = 1.0\nrequest_s = 1.0\nconnections = 20\n"
    sidecar = Running(folder / "spool", url, f"[ship]\nlinger_s = 0.05\n{settings}{doors}{limits}")
    return sidecar, port


@pytest.fixture
def doors(tmp_path: Path, fresh_log: Log) -> Iterator[tuple[Running, int]]:
    sidecar, port = with_doors(tmp_path, fresh_log.url)
    with sidecar:
        yield sidecar, port


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


def reached(answered: dict[str, set[str]], least: int) -> bool:
    return len(answered) >= least


def test_what_was_answered_is_in_the_log_though_the_sidecar_is_killed(
    doors: tuple[Running, int], fresh_log: Log
) -> None:
    sidecar, port = doors
    answered: dict[str, set[str]] = {}
    ended = threading.Event()

    def serve(worker: int) -> None:
        number = 0
        while not ended.is_set():
            try:
                with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
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
    for least in (25, 50, 75):
        until(partial(reached, answered, least), 120.0)
        sidecar.kill()
        sidecar.start()
    until(partial(reached, answered, 100), 120.0)
    ended.set()
    for worker in workers:
        worker.join()
    until(lambda: set(answered) <= set(in_log(fresh_log)), 120.0)
    found = in_log(fresh_log)
    assert {name for name, sides in answered.items() if len(sides) == 2 and found[name] is None} == set()
    sidecar.stop()


def refuses(stranger: socket.socket, data: bytes, times: int) -> bool:
    """Return whether the other side ends the connection while it is sent so much."""
    try:
        for _ in range(times):
            stranger.sendall(data)
    except OSError:
        return True
    return gone(stranger, within_s=5.0)


def gone(stranger: socket.socket, within_s: float) -> bool:
    """Return whether the other side ends the connection in time, whatever it says before."""
    stranger.settimeout(within_s)
    try:
        while stranger.recv(4_096):
            continue
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def test_strangers_are_cut_off(doors: tuple[Running, int]) -> None:
    sidecar, port = doors

    def opened() -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), timeout=10)

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
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    assert half(connection, "after", "request")
    connection.close()
    found = json.loads(sidecar.run("status").stdout)["doors"]["counts"]
    assert found["turned_away"] >= 5
    assert found["timeouts"] >= 3


def test_a_spool_without_room_is_a_503_and_nothing_was_taken(tmp_path: Path, fresh_log: Log) -> None:
    sidecar, port = with_doors(tmp_path, fresh_log.url, f"[spool]\nfree_bytes_min = {2**62}\n")
    with sidecar, closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        assert half(connection, "1", "request")  # it waits for the other one, in the doors' own file
        assert not half(connection, "1", "response")
        connection.request("POST", "/v1/logs", b"{}", {"Content-Type": "application/json"})
        assert connection.getresponse().read() is not None  # nothing in it, nothing to keep
        answer = refused(connection)
        assert answer.status == 503
        assert int(answer.headers["Retry-After"]) > 0
    assert in_log(fresh_log) == {}


def refused(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    """Return the answer to the other half, sent again."""
    headers = {
        "Ce-Specversion": "1.0", "Ce-Id": "1", "Ce-Source": "/", "Ce-Inferenceservicename": "iris",
        "Ce-Type": "org.kubeflow.serving.inference.response", "Ce-Time": "2026-05-04T10:00:00Z",
    }  # fmt: skip
    connection.request("POST", "/", b'{"predictions": [0.25]}', headers)
    answer = connection.getresponse()
    answer.read()
    return answer


def test_a_drain_lets_nothing_wait_at_the_doors(doors: tuple[Running, int], fresh_log: Log) -> None:
    sidecar, port = doors
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        assert half(connection, "1", "request")
    done = sidecar.run("drain")
    assert done.returncode == 0, done.stderr
    assert in_log(fresh_log) == {"1": None}


def test_an_address_that_is_taken_is_said(doors: tuple[Running, int], fresh_log: Log, tmp_path: Path) -> None:
    _, port = doors
    other = Running(tmp_path / "other", fresh_log.url, f'[doors]\nhttp = "127.0.0.1:{port}"\n')
    done = other.run("run")
    assert done.returncode == 2
    assert "Choose another port" in done.stderr
