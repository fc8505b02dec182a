"""What an operator sees and does: metrics, health, status, drain, ship, inspect, settings, deployment."""

import collections
import contextlib
import http.client
import json
import random
import re
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.log.log import Log
from recorders.errors import LinkUnavailable
from recorders.sidecar import commands
from recorders.sidecar.errors import ExtraMissing, SettingsError, SidecarForeign, SidecarUnreachable
from recorders.sidecar.metrics import SERIES
from recorders.sidecar.settings import DoorsSettings, Settings, load
from recorders.socket_link import SocketLink
from tests.support.doors import post, sent_of
from tests.support.houses import kept, opened
from tests.support.sidecars import (
    FEATURES,
    Running,
    decision_ids,
    decisions,
    free_port,
    names,
    new_writer,
    until,
)

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "examples" / "deploy"
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


def get(port: int, path: str, token: str = "", method: str = "GET") -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def test_metrics_health_and_readiness(tmp_path: Path) -> None:
    port = random.randrange(30_000, 40_000)
    with Running(tmp_path / "s", NOWHERE, f'[ops]\nhttp = "127.0.0.1:{port}"\n') as sidecar:
        link = SocketLink(sidecar.address, [FEATURES])
        link.send(decisions(new_writer(), 1))
        code, text = get(port, "/metrics")
        assert code == 200
        assert "harness_sidecar_spool_frames_total 1\n" in text
        assert text.count("# TYPE ") == len(SERIES)
        assert get(port, "/healthz") == (200, "alive\n")
        assert get(port, "/readyz") == (200, "ready\n")
        check_metrics(text)
        assert get(port, "/nothing")[0] == 404
        assert get(port, "/drain", method="POST")[0] == 405
        with socket.create_connection(("127.0.0.1", port)) as slow:
            slow.sendall(b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 20_000)
            slow.settimeout(5)
            with contextlib.suppress(ConnectionResetError):
                assert slow.recv(100) == b""
        link.close()


def test_health_is_true_while_the_log_is_away_files_lie_aside_and_the_quota_is_full(
    tmp_path: Path,
) -> None:
    """What lay in quarantine was told until the next start alone, and that shipping waits by no gauge."""
    with opened(tmp_path / "s", NOWHERE) as house:
        kept(house, [decisions(new_writer(), 1)])
    (inbox,) = (tmp_path / "s").glob("inbox-*.db")
    inbox.write_bytes(b"torn")
    port = free_port()
    settings = f'[ops]\nhttp = "127.0.0.1:{port}"\n[spool]\nquota_bytes = 1_500_000\n'
    for quarantined in (1, 0):
        with Running(tmp_path / "s", NOWHERE, settings) as sidecar:
            until(lambda: "harness_sidecar_ship_waiting 1\n" in get(port, "/metrics")[1])
            text = get(port, "/metrics")[1]
            assert f"harness_sidecar_spool_quarantined_total {quarantined}\n" in text
            assert "harness_sidecar_quarantine_files 1\n" in text
            assert "harness_sidecar_quarantine_bytes 4\n" in text
            assert get(port, "/readyz") == (200, "ready\n")
            command = [
                Path(sys.executable).with_name("harness"),
                "sidecar",
                "status",
                "--config",
                sidecar.config,
            ]
            shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            assert "aside      1 files in quarantine/" in shown
            assert sidecar.stop() == 0
    with Running(tmp_path / "s", NOWHERE, settings) as sidecar:
        link, writer = SocketLink(sidecar.address, [FEATURES]), new_writer()
        frames = (decisions(writer, n, 20, padding=2_000) for n in range(1, 1_000))
        with pytest.raises(LinkUnavailable, match="of its quota"):
            collections.deque(map(link.send, frames), maxlen=0)
        link.close()
        assert "harness_sidecar_spool_refusing 1\n" in get(port, "/metrics")[1]
        code, reason = get(port, "/readyz")
        assert code == 503
        assert reason.startswith("nothing can be kept: the spool takes ")
        assert get(port, "/healthz") == (200, "alive\n")


def check_metrics(text: str) -> None:
    """Fail unless each series is told once, with help and type, and named as collectors take its type.

    Some of them leave the ending `_total` of a counter out, so that what remains must be of one series.
    """
    lines = text.splitlines()
    families = [line.split(" ", 3)[2:] for line in lines if line.startswith("# TYPE ")]
    assert len({name.removesuffix("_total") for name, _ in families}) == len(families)
    for name, kind in families:
        assert re.fullmatch(r"harness_(sidecar|doors)_[a-z_]+", name)
        assert (kind == "counter") == name.endswith("_total")
        assert lines[lines.index(f"# TYPE {name} {kind}") - 1].startswith(f"# HELP {name} ")
    named = {name for name, _ in families}
    values = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r'([a-z_]+)(\{what="[a-z_.]+"\})? [0-9.e+-]+', line) for line in values)
    assert {re.split("[{ ]", line)[0] for line in values} <= named


def test_the_doors_tell_their_counts_as_collectors_take_them(tmp_path: Path) -> None:
    port = free_port()
    mapping = Path(__file__).parents[1] / "golden" / "doors" / "lines" / "mapping.toml"
    doors = f'[doors]\nhttp = "127.0.0.1:{port}"\nmappings = ["{mapping}"]\n'
    with Running(tmp_path / "s", NOWHERE, doors):
        check_metrics(get(port, "/metrics")[1])
        post(port, sent_of(mapping.parent)[0], packed=False)
        text = get(port, "/metrics")[1]
        check_metrics(text)
        assert 'harness_doors_total{what="rejected.naive"} 1\n' in text


def test_a_sidecar_that_was_killed_while_it_was_drained_is_not_drained(tmp_path: Path) -> None:
    with Running(tmp_path / "s", NOWHERE) as sidecar:
        link = SocketLink(sidecar.address, [FEATURES])
        link.send(decisions(new_writer(), 1))
        with ThreadPoolExecutor(1) as thread:
            draining = thread.submit(sidecar.run, "drain")
            until(lambda: json.loads(sidecar.run("status").stdout)["draining"])
            sidecar.kill()
            done = draining.result()
        link.close()
        assert done.returncode == 1
        assert "ended before it was drained" in done.stderr
        assert "`python -m recorders.sidecar ship`" in done.stderr
        assert "No sidecar answers" in sidecar.run("status").stderr


def test_a_sidecar_that_ended_drained_is_said_to_be_drained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had answered before its end was told: one batch waits, and it is not drained."""

    def ask(path: Path, method: str, _resource: str) -> dict[str, Any]:
        if method == "GET":
            raise SidecarUnreachable(str(path), "gone")
        return {"ship": {"drained": False, "waiting": 1, "state": "shipping"}}

    monkeypatch.setattr(commands.ops, "ask", ask)
    with Running(tmp_path / "s", NOWHERE):
        pass
    settings = msgspec.structs.replace(load(None, {}), folder=str(tmp_path / "s"))
    done = commands.drain(settings, timeout_s=5.0)
    assert (done["ended"], done["ship"]) == (True, {"drained": True, "waiting": 0, "state": "shipping"})


def test_a_folder_that_is_not_there_is_not_shipped(tmp_path: Path) -> None:
    """It was made, and of a name that was mistyped it was said that the log has all."""
    settings = load(None, {"HARNESS_DATABASE_URL": NOWHERE})
    folder = tmp_path / "mistyped"
    with pytest.raises(SettingsError, match="is no folder"):
        commands.ship(msgspec.structs.replace(settings, folder=str(folder)), timeout_s=1.0)
    assert not folder.exists()


def test_a_sidecar_that_is_stopped_is_said_to_be_silent(tmp_path: Path) -> None:
    with Running(tmp_path / "s", NOWHERE) as sidecar:
        assert sidecar.process is not None
        sidecar.process.send_signal(signal.SIGSTOP)
        done = sidecar.run("status")
        assert done.returncode == 1
        assert "has not answered for 5 s" in done.stderr
        sidecar.process.send_signal(signal.SIGCONT)
        assert sidecar.run("status").returncode == 0


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", "has no 'disk'"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"spool": 1}', "has no 'disk'"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<ok>", "no JSON"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answers 404"),
        (b"SSH-2.0-none\r\n", "no HTTP"),
    ],
)
def test_what_answers_and_is_no_sidecar_that_is_known_is_named(
    answer: bytes, told: str, tmp_path: Path
) -> None:
    settings = Settings(folder=str(tmp_path))

    def serve(door: socket.socket) -> None:
        taken, _ = door.accept()
        with taken:
            taken.recv(4_096)
            taken.sendall(answer)

    with socket.socket(socket.AF_UNIX) as door, ThreadPoolExecutor(1) as thread:
        door.bind(str(settings.ops_socket))
        door.listen()
        served = thread.submit(serve, door)
        with pytest.raises(SidecarForeign, match=told):
            commands.status(settings)
        served.result()


def test_metrics_beyond_loopback_need_the_token(tmp_path: Path) -> None:
    port = random.randrange(30_000, 40_000)
    with Running(
        tmp_path / "s", NOWHERE, f'[ops]\nhttp = "0.0.0.0:{port}"\n', {"HARNESS_SIDECAR_TOKEN": "right"}
    ):
        assert get(port, "/metrics")[0] == 401
        assert get(port, "/metrics", "wrong")[0] == 401
        assert get(port, "/metrics", "right")[0] == 200


def test_drain_takes_no_more_ships_all_and_ends(fresh_log: Log, tmp_path: Path) -> None:
    with Running(tmp_path / "s", fresh_log.url, "[ship]\nlinger_s = 60.0\n") as sidecar:
        link = SocketLink(sidecar.address, [FEATURES])
        frames = [decisions(new_writer(), 1)]
        link.send(frames[0])
        assert sidecar.run("drain").returncode == 0
        assert sidecar.process is not None
        assert sidecar.process.wait(10) == 0
        told = [json.loads(line) for line in sidecar.run("receipts").stdout.splitlines()]
        assert [(one["sequence"], one["position"], one["events"]) for one in told] == [(1, 1, 4)]
        with pytest.raises(LinkUnavailable):
            link.send(decisions(new_writer(), 1))
        link.close()
    assert decision_ids(fresh_log) == names(frames)


def test_ship_empties_what_a_killed_sidecar_left_and_again_changes_nothing(
    fresh_log: Log, tmp_path: Path
) -> None:
    frames = [decisions(new_writer(), 1)]
    with Running(tmp_path / "s", NOWHERE) as sidecar:
        link = SocketLink(sidecar.address, [FEATURES])
        link.send(frames[0])
        link.close()
        assert "is in use" in sidecar.run("ship").stderr
        sidecar.kill()
    later = Running(tmp_path / "s", fresh_log.url)
    done = later.run("ship")
    assert done.returncode == 0, done.stderr
    assert decision_ids(fresh_log) == names(frames)
    head = fresh_log.head()
    assert later.run("ship", "--from", "1").returncode == 0
    assert fresh_log.head() == head
    assert later.run("ship", "--from", "99").returncode == 2
    listed = json.loads(later.run("inspect").stdout)
    assert all(file["damage"] is None for file in listed["files"])
    assert later.run("status").returncode == 1


def test_the_harness_has_the_same_commands(fresh_log: Log, tmp_path: Path) -> None:
    harness = Path(sys.executable).with_name("harness")
    with Running(tmp_path / "s", fresh_log.url) as sidecar:
        command = [str(harness), "sidecar", "status", "--config", str(sidecar.config)]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert shown.splitlines()[2] == "shipping   shipping; 0 batches wait"
        machine = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True).stdout
        assert json.loads(machine)["ship"]["state"] == "shipping"


def test_sigterm_ends_it_with_what_is_kept_on_disk(tmp_path: Path) -> None:
    with Running(tmp_path / "s", NOWHERE) as sidecar:
        link = SocketLink(sidecar.address, [FEATURES])
        frame = decisions(new_writer(), 1)
        link.send(frame)
        assert sidecar.stop() == 0
        assert not (tmp_path / "s" / "door.sock").exists()
        sidecar.start()
        link.close()
        assert link.send(frame).duplicate
        link.close()


def test_doors_without_what_they_run_on_are_refused_before_anything_is_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "httptools", None)
    settings = Settings(folder=str(tmp_path / "s"), url=NOWHERE, doors=DoorsSettings(http="127.0.0.1:0"))
    with pytest.raises(ExtraMissing, match=r"not installed here: httptools\."):
        commands.run(settings)
    assert not (tmp_path / "s").exists()
