"""What a killed run has in the temporary folder and in shared memory goes with the next one."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from replay import owners

ROOT = Path(__file__).parents[2]
WORKS = """
import multiprocessing, os, signal, sys
from harness.engines.local import Local
from tests.support.parts import worker_of
if __name__ == "__main__":
    engine = Local(1)
    list(engine.map(worker_of, [0]))
    lock = engine.context.Lock()
    print("sem." + lock._semlock.name.lstrip("/"), flush=True)
    if "die" in sys.argv:
        os.killpg(0, signal.SIGKILL)
"""
CHALLENGES = """
import os, signal, sys
from replay.isolation.limits import Limits
from replay.isolation.nursery import Nursery
from replay.isolation.process import ChildProcess
from tests.process.test_challengers import opened, rows
def killed(*_given):  # where a child's process waits for its turn with the nursery, which knows nothing of it
    os.kill(os.getpid(), signal.SIGKILL)
if "die" in sys.argv:
    Nursery.fork = killed
    ChildProcess(Limits())
with opened("good") as model:
    print(model.score(rows())["score"].null_count)
"""

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="nobody can name a process here")


def run(script: str, folder: Path, *words: str) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}
    command = [sys.executable, "-c", script, *words]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, start_new_session=True, check=False
    )
    return done.returncode, done.stdout.strip()


@linux
def test_the_semaphores_and_sockets_of_workers_go_with_the_next_ones() -> None:
    with tempfile.TemporaryDirectory() as name:  # short: a socket has to fit in
        folder = Path(name)
        code, lock = run(WORKS, folder, "die")
        assert code == -signal.SIGKILL
        assert len(list(folder.iterdir())) == 1
        assert Path("/dev/shm", lock).exists()
        assert run(WORKS, folder)[0] == 0
        assert list(folder.iterdir()) == []
        assert not Path("/dev/shm", lock).exists()


@linux
def test_workers_work_where_no_socket_of_that_name_would_have_room() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "x" * (70 - len(name)))
        folder.mkdir()
        assert run(WORKS, folder)[0] == 0
        assert list(folder.iterdir()) == []


@linux
def test_the_folder_of_a_challenger_that_its_nursery_never_knew_goes_with_the_next(tmp_path: Path) -> None:
    assert run(CHALLENGES, tmp_path, "die")[0] == -signal.SIGKILL
    assert len(list(tmp_path.iterdir())) == 1
    assert run(CHALLENGES, tmp_path) == (0, "0")
    assert list(tmp_path.iterdir()) == []


@linux
def test_only_what_a_process_that_has_ended_owns_is_left_behind(tmp_path: Path) -> None:
    space, _pid, began = owners.own().split("-")
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        pass
    for owner in (owners.own(), f"{space}-{ended.pid}-{began}", f"1-{ended.pid}-{began}", "nobody"):
        (tmp_path / f"held-{owner}-x").touch()
    (tmp_path / f"other-{space}-{ended.pid}-{began}-x").touch()
    assert [path.name for path in owners.left_behind(tmp_path, "held-")] == [
        f"held-{space}-{ended.pid}-{began}-x"
    ]
    assert list(owners.left_behind(tmp_path / "none", "held-")) == []
