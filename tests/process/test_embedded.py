"""The embedded server under several commands, kills and long names."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from harness.database import open_log
from harness.embedded import Embedded
from harness.errors import EmbeddedFailed

ROOT = Path(__file__).parents[2]
APPENDING = textwrap.dedent(
    """
    import sys, uuid
    from harness.database import open_log
    from tests.support.batches import raw

    with open_log(sys.argv[1]) as log:
        writer = uuid.uuid4()
        for sequence in range(1, int(sys.argv[2]) + 1):
            print(log.append(raw(writer, sequence)).position, flush=True)
        sys.stdin.read()  # uses the server until it is let go
    """
)


@pytest.fixture
def folder() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="harness-test-"))
    yield place
    data = place / ".harness" / "postgres" / "postmaster.pid"
    if data.exists():
        Embedded(place / ".harness").close()
    shutil.rmtree(place)


def start(folder: Path, count: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", APPENDING, str(folder), str(count)]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def server_pid(folder: Path) -> int | None:
    path = folder / ".harness" / "postgres" / "postmaster.pid"
    return int(path.read_text().splitlines()[0]) if path.exists() else None


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ends(pid: int) -> bool:
    """A server takes its file away before its process is gone."""
    deadline = time.monotonic() + 30
    while runs(pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not runs(pid)


def test_it_starts_is_reused_and_stops_with_the_last_user(folder: Path) -> None:
    with open_log(folder) as first:
        pid = server_pid(folder)
        with open_log(folder) as second:
            assert server_pid(folder) == pid
            first.control("a.b", "s", {})
            assert second.head().position == 1
        assert server_pid(folder) == pid
    assert server_pid(folder) is None
    assert pid is not None
    assert ends(pid)
    began = time.monotonic()
    with open_log(folder) as again:
        assert again.head().position == 1
    assert time.monotonic() - began < 5


def test_two_first_commands_at_once_share_one_server_and_one_log(folder: Path) -> None:
    both = [start(folder, 50) for _ in range(2)]
    said = [process.communicate(timeout=120)[0].split() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(int(position) for lines in said for position in lines) == list(range(1, 101))
    assert server_pid(folder) is None


def test_a_killed_command_takes_nobody_with_it_and_leaves_no_server_behind(folder: Path) -> None:
    open_log(folder).close()
    killed, other = start(folder, 10**6), start(folder, 300)
    told = [int(line) for line, _ in zip(killed.stdout, range(20), strict=False)]  # type: ignore[arg-type]
    killed.send_signal(signal.SIGKILL)
    told += [int(line) for line in killed.communicate()[0].split()]
    lines = other.communicate(timeout=120)[0].split()
    assert other.returncode == 0
    assert len(lines) == 300
    # The one that was killed is not counted any more: the other one was the last, and stopped the server.
    assert server_pid(folder) is None
    with open_log(folder) as log:
        assert log.verify().holds
        held = {row[0] for row in log.rows("links", start=1, stop=2**62, rows=10**7, bytes=2**40)}
    assert held >= {*told, *(int(line) for line in lines)}


def test_a_server_left_behind_by_a_kill_is_used_and_stopped_by_the_next_command(folder: Path) -> None:
    killed = start(folder, 10**6)
    assert killed.stdout is not None
    killed.stdout.readline()
    killed.kill()
    killed.communicate()
    pid = server_pid(folder)
    assert pid is not None
    assert runs(pid)
    with open_log(folder) as log:
        assert server_pid(folder) == pid
        assert log.head().position > 0
    assert ends(pid)


def test_a_server_that_cannot_stop_yet_fails_nobody_and_is_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("harness.embedded.STOP_S", 1)
    with open_log(folder) as log:
        said = log.control("a.b", "1", {}).position
        pid = server_pid(folder)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)  # as the kernel holds a process while a busy disk takes what it wrote
    assert "was told to stop and has not within 2 s" in capsys.readouterr().err
    assert runs(pid)
    going_on = threading.Timer(1.0, os.kill, (pid, signal.SIGCONT))
    going_on.start()
    with open_log(folder) as log:  # while that one is still there
        assert [event.position for event in log.controls()] == [said]
        assert server_pid(folder) != pid
    going_on.join()
    assert ends(pid)


def test_a_killed_server_recovers_what_it_had_acknowledged(folder: Path) -> None:
    with open_log(folder) as log:
        said = [log.control("a.b", str(number), {}).position for number in range(30)]
        pid = server_pid(folder)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    with open_log(folder) as log:
        assert [event.position for event in log.controls()] == said
        assert log.verify().holds


def test_a_stale_pid_file_that_names_another_process_is_no_hindrance(folder: Path) -> None:
    open_log(folder).close()
    data = folder / ".harness" / "postgres"
    # A living process with another working folder has the number, as after a restart of a container.
    (data / "postmaster.pid").write_text(f"{os.getppid()}\n{data}\n1\n5432\n{data}\n\n  1 1\nready   \n")
    with open_log(folder) as log:
        assert log.head().position == 0


def test_a_folder_half_made_by_a_killed_first_command_is_made_anew(folder: Path) -> None:
    half = folder / ".harness" / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    with open_log(folder) as log:
        assert log.head().position == 0


@pytest.mark.parametrize("name", ["long-" + "x" * 120, "with space", "with,comma and 'quote"])
def test_any_folder_name_will_do(folder: Path, name: str) -> None:
    place = folder / name
    place.mkdir()
    with open_log(place) as log:
        log.control("a.b", "s", {})
    with open_log(place) as log:
        assert log.head().position == 1


def test_nobody_else_may_enter(folder: Path) -> None:
    with open_log(folder):
        data = folder / ".harness" / "postgres"
        assert data.stat().st_mode & 0o077 == 0
        assert (data / ".s.PGSQL.5432").stat().st_mode & 0o077 == 0
        with closing(Embedded(folder / ".harness")) as server, psycopg.connect(server.url) as connection:
            assert connection.execute("show listen_addresses").fetchone() == ("",)
            assert connection.execute("show fsync").fetchone() == ("on",)


def test_a_socket_folder_that_somebody_else_made_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = folder / ("x" * 120)
    place.mkdir()
    elsewhere = folder / "tmp"
    elsewhere.mkdir(mode=0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    open_log(place).close()
    (made,) = elsewhere.iterdir()
    made.chmod(0o777)
    with pytest.raises(EmbeddedFailed, match="is not private"):
        open_log(place)
