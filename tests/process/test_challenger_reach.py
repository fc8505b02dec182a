"""What a challenger reaches and holds: sockets that are files, modes of files, memory by what it starts."""

import ctypes
import os
import platform
import socket
from pathlib import Path

import pytest

from replay.isolation import Limits, crowd, open_isolated, sockets
from tests.process.test_challengers import LIMITS, rows

CONNECTS = """
import socket
def connects(frame):
    with socket.socket(socket.AF_UNIX) as line:
        line.connect({path!r})
        line.sendall(b"here")
    return frame["x"]
"""
WRITES = """
import socket
def writes(frame):
    one, _other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    one.sendto(b"here", {path!r})
    return frame["x"]
"""
ALTERS = """
import os
def alters(frame):
    done = []
    deeds = dict(mode=lambda: os.chmod({path!r}, 0), times=lambda: os.utime({path!r}, (0, 0)),
                 owner=lambda: os.chown({path!r}, -1, os.getgid()),
                 attribute=lambda: os.setxattr({path!r}, "user.seen", b"1"))
    for name, deed in deeds.items():
        try:
            deed()
            done.append(name)
        except OSError:
            pass
    if done:
        raise RuntimeError(" ".join(done))
    return frame["x"]
"""
OWN = """
import os, socket, subprocess
def own(frame):
    with open("mine", "w") as file:
        file.write("1")
    os.chmod("mine", 0o700)
    os.utime("mine", (0, 0))
    with open(os.devnull, "w") as nowhere:
        nowhere.write("1")
    one, other = socket.socketpair()
    one.sendall(b"1")
    assert other.recv(1) == b"1"
    assert os.getcwd() == os.environ["HOME"]
    assert subprocess.run(["/bin/sh", "-c", "echo 1"], capture_output=True).stdout == b"1\\n"
    return frame["x"]
"""

SHARES = """
import os, time
import numpy as np
def shares(frame):
    if (frame["x"] == 3.0).any():
        for _ in range(8):
            if os.fork() == 0:
                held = np.ones(2**24)
                time.sleep(3600)
        time.sleep(3600)
    return frame["x"]
"""
TRIES = """
import os, socket
def tries(frame):
    for deed in (
        lambda: open("mine", "w").close(),
        lambda: os.utime(b"mine"),
        lambda: os.rename("mine", "still mine"),
        lambda: os.symlink("/etc/passwd", "link"),
        lambda: os.close(os.open("third", os.O_CREAT | os.O_WRONLY)),
        lambda: open("../other's", "w"),
        lambda: open(os.environ["HOME"] + "/../other's", "w"),
        lambda: os.rename("still mine", {path!r}),
        lambda: os.chmod({path!r}, 0),
        lambda: socket.socket(type=socket.SOCK_DGRAM).sendmsg([b"x"], [], 0, ("127.0.0.1", 9)),
    ):
        try:
            deed()
        except OSError:
            pass
    return frame["x"]
"""


def errors_of(folder: Path, source: str, name: str, limits: Limits = LIMITS, **named: str) -> list[str]:
    """Return the error of each row of a challenger with this source, on a system that holds all parts."""
    (folder / f"{name}_model.py").write_text(source.format(**named) if named else source)
    with open_isolated(f"py:{name}_model:{name}", inputs=["x"], folder=folder, limits=limits) as model:
        assert {state for state in model.account.sandbox.values() if "as asked" not in state} == {crowd.HELD}
        return list(map(str, model.score(rows())["error"].to_pylist()))


@pytest.mark.parametrize(
    ("kind", "source", "name"),
    [(socket.SOCK_STREAM, CONNECTS, "connects"), (socket.SOCK_DGRAM, WRITES, "writes")],
    ids=["connects", "writes"],
)
def test_no_socket_that_is_a_file_is_reached(tmp_path: Path, kind: int, source: str, name: str) -> None:
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX, kind) as listening:
        listening.bind(path)
        if kind == socket.SOCK_STREAM:
            listening.listen()
        errors = errors_of(tmp_path, source, name, path=path)
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept() if kind == socket.SOCK_STREAM else listening.recv(4)
    assert errors == ["PermissionError: [Errno 13] Permission denied"] * len(errors)


@pytest.mark.parametrize("network", [False, True])
def test_no_mode_owner_or_time_of_a_foreign_file_is_altered(tmp_path: Path, network: bool) -> None:
    victim = tmp_path / "victim"
    victim.write_text("ours")
    before = victim.stat()
    errors = errors_of(
        tmp_path, ALTERS, "alters", Limits(timeout_s=30.0, memory_mb=512, network=network), path=str(victim)
    )
    after = victim.stat()
    assert set(errors) == {"None"}
    assert (after.st_mode, after.st_uid, after.st_mtime) == (before.st_mode, before.st_uid, before.st_mtime)
    assert os.listxattr(victim) == []


def test_what_it_tries_in_its_own_folder_is_its_own_and_all_else_is_told(tmp_path: Path) -> None:
    path = str(tmp_path / "victim")
    (tmp_path / "tries_model.py").write_text(TRIES.format(path=path))
    with open_isolated("py:tries_model:tries", inputs=["x"], folder=tmp_path, limits=LIMITS) as model:
        assert model.score(rows())["error"].null_count == rows().num_rows
        told, counts = model.account.attempted[:5], model.account.attempts
    home = told[1].removeprefix("open ").partition("/..")[0]
    assert told == [
        "open ../other's",
        f"open {home}/../other's",
        f"os.rename still mine {path}",
        f"os.chmod {path}",
        "socket.sendmsg ('127.0.0.1', 9)",
    ]
    assert counts["write"] == 4 * counts["network"]


def test_what_it_started_counts_for_its_memory(tmp_path: Path) -> None:
    errors = errors_of(tmp_path, SHARES, "shares")
    assert errors == ["None"] * 3 + ["memory: more than 512 MB"] + ["None"] * 4


def test_its_own_folder_its_pairs_and_its_programs_are_its_own(tmp_path: Path) -> None:
    assert set(errors_of(tmp_path, OWN, "own")) == {"None"}


def test_a_machine_whose_calls_are_not_known_is_said_to_hold_no_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "s390x")
    assert "on s390x" in sockets.of_the_internet(ctypes.CDLL(None, use_errno=True))
