"""Real processes: forks under load, exits, SIGTERM, links that hang, and what `import recorders` loads."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from tests.support import service

ROOT = Path(__file__).parents[2]


def start(mode: str, folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-m", "tests.support.service", mode, str(folder)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    _, errors = process.communicate(timeout=60)
    return process.returncode, errors


def told(folder: Path) -> list[str]:
    return [line for path in folder.glob("*.told") for line in path.read_text().splitlines()]


def delivered(folder: Path) -> list[str]:
    return [
        event[0]
        for frame in service.frames(folder)
        if frame.kind == "decision"
        for event in msgspec.msgpack.decode(frame.payload)
    ]


def test_a_fork_under_load_loses_and_doubles_nothing(tmp_path: Path) -> None:
    status, errors = finish(start("fork", tmp_path))
    assert status == 0, errors
    names = told(tmp_path)
    assert "None" not in names
    assert len(names) > service.CHILDREN * service.EACH
    assert Counter(delivered(tmp_path)) == Counter(names)
    frames = service.frames(tmp_path)
    writers = {frame.writer for frame in frames}
    assert len(writers) == service.CHILDREN + 1
    for writer in writers:
        own = [frame.sequence for frame in frames if frame.writer == writer]
        assert own == list(range(1, len(own) + 1))


@pytest.mark.parametrize(
    ("mode", "status"), [("wait_for_sigterm", -signal.SIGTERM), ("own_handler", 7), ("untouched_handler", 8)]
)
def test_sigterm_delivers_what_was_accepted_and_ends_as_the_service_wants(
    mode: str, status: int, tmp_path: Path
) -> None:
    process = start(mode, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert finish(process)[0] == status
    assert delivered(tmp_path) == told(tmp_path)
    assert len(told(tmp_path)) == service.EACH


def test_a_plain_exit_delivers_what_was_accepted(tmp_path: Path) -> None:
    status, errors = finish(start("plain_exit", tmp_path))
    assert (status, errors) == (0, "")
    assert delivered(tmp_path) == told(tmp_path)
    assert len(told(tmp_path)) == service.EACH


@pytest.mark.parametrize("mode", ["hanging_link", "database_down"])
def test_an_exit_is_bounded_when_nothing_answers(mode: str, tmp_path: Path) -> None:
    process = start(mode, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    began = time.monotonic()
    status, errors = finish(process)
    assert status == 0, errors
    assert time.monotonic() - began < 5.0
    assert delivered(tmp_path) == []


def test_importing_recorders_loads_the_standard_library_and_msgspec_alone() -> None:
    program = (
        "import json, sys; before = set(sys.modules); sys.path.insert(0, sys.argv[1]); import recorders; "
        "print(json.dumps(sorted({n.partition('.')[0] for n in set(sys.modules) - before})))"
    )
    command = [sys.executable, "-I", "-W", "error", "-c", program, str(ROOT)]
    loaded = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    # msgspec itself looks for typing_extensions, and does without.
    strangers = {name for name in loaded if name not in sys.stdlib_module_names}
    assert strangers - {"typing_extensions"} == {"msgspec", "recorders"}


def test_importing_recorders_starts_nothing() -> None:
    program = (
        "import sys, signal, threading; sys.path.insert(0, sys.argv[1]); import recorders; "
        "print(threading.active_count(), signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    )
    command = [sys.executable, "-I", "-W", "error", "-c", program, str(ROOT)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "1 True\n"


def test_children_of_multiprocessing_deliver_what_they_accepted(tmp_path: Path) -> None:
    status, errors = finish(start("multiprocess", tmp_path))
    assert status == 0, errors
    assert len(told(tmp_path)) == 2 * service.EACH
    assert Counter(delivered(tmp_path)) == Counter(told(tmp_path))
