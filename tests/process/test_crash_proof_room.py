"""Memory that is full: what is in it is let go when the log has it, and no event waits for room. Signals."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from recorders.limits import Limits
from recorders.recorder import Recorder
from tests.support.recording import PLAIN, TWO, MemoryLink, down
from tests.support.sidecars import until

ROOT = Path(__file__).parents[2]
FILE_BYTES = 70_000
FILL = 200


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    folder = tmp_path / "memory"
    folder.mkdir()
    return folder


@pytest.fixture
def asked(memory: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Give the folder room for one file. What is returned grows by an entry each time one is asked for."""
    reserve: Callable[[int, int, int], None] = os.posix_fallocate
    found: list[int] = []

    def one(handle: int, offset: int, length: int) -> None:
        found.append(length)
        if len(list(memory.iterdir())) > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        reserve(handle, offset, length)

    monkeypatch.setattr("recorders.segment_file.SEGMENT_BYTES", FILE_BYTES)
    monkeypatch.setattr(os, "posix_fallocate", one)
    return found


def made(link: MemoryLink, memory: Path) -> Recorder:
    limits = Limits(linger_s=0.0, backoff_s=0.01, backoff_max_s=0.01)
    return Recorder("p", TWO, link, model="m", model_version="1", limits=limits, crash_proof=memory)


def test_a_full_file_that_the_log_has_makes_room_for_the_next(
    memory: Path, asked: list[int], caplog: pytest.LogCaptureFixture
) -> None:
    """Where there was room for one file, nothing more was taken once it had been full, for good."""
    link = MemoryLink()
    recorder = made(link, memory)
    accepted = 0
    for _ in range(3):
        while (name := recorder.record(PLAIN)) is not None:
            accepted += 1
        assert recorder.flush(20)
        assert name is None
        until(lambda: recorder.record(PLAIN) is not None)
        accepted += 1
    assert recorder.close(20)
    assert list(memory.iterdir()) == []
    payloads = [one.payload for one in link.frames if one.kind == "decision"]
    ids = [row[0] for payload in payloads for row in msgspec.msgpack.decode(payload)]
    assert len(set(ids)) == len(ids) == accepted
    assert set(recorder.counters.dropped) == {"full"}
    assert "keeps no event in" in caplog.text


def test_a_file_that_the_log_has_not_is_kept(memory: Path, asked: list[int]) -> None:
    recorder = made(MemoryLink(down), memory)
    (file,) = memory.iterdir()
    while recorder.record(PLAIN) is not None:
        pass
    before = len(asked)
    assert [recorder.record(PLAIN) for _ in range(FILL)] == [None] * FILL
    assert len(asked) - before < FILL // 4, "a millisecond each"
    assert list(memory.iterdir()) == [file]
    recorder.close(0.1)


def test_a_recorder_without_room_says_what_it_needs(memory: Path, asked: list[int]) -> None:
    (memory / "another's").touch()
    with pytest.raises(
        OSError, match=r"No space left on device. Expected room for a file of \d+ MiB"
    ) as told:
        made(MemoryLink(), memory)
    assert told.value.errno == errno.ENOSPC
    assert str(memory) in str(told.value)


# A signal comes while an event is kept: its handler runs in the midst of that.
SIGNALLED = """
import os, signal, sys
from pathlib import Path
from recorders import Limits, Recorder, segment_file
from tests.support.recording import PLAIN, TWO, MemoryLink

class File(segment_file._File):
    def write(self, mark, body):
        if mark == b"D" and len(told) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        super().write(mark, body)

segment_file._File = File
told = []
limits = Limits(linger_s=60.0)
link = MemoryLink(lambda frame: print(frame.events, flush=True))
memory = Path(sys.argv[1])
recorder = Recorder("p", TWO, link, model="m", model_version="1", limits=limits, crash_proof=memory)
while True:
    told.append(recorder.record(PLAIN))
    if len(told) > 3:
        signal.pause()
"""


def test_a_signal_in_the_midst_of_keeping_an_event_ends_the_process(memory: Path) -> None:
    """Its handler waited for what the thread that it had interrupted held: the process stood still."""
    done = subprocess.run(
        [sys.executable, "-c", SIGNALLED, str(memory)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (-signal.SIGTERM, "4\n"), done.stderr
    assert list(memory.iterdir()) == []


# As gunicorn with `--preload`: made in a master that records nothing, and in a worker that does not either.
IDLE = """
import os, sys
from pathlib import Path
from recorders import Recorder
from tests.support.recording import TWO, MemoryLink

Recorder("p", TWO, MemoryLink(), model="m", model_version="1", crash_proof=Path(sys.argv[1]))
child = os.fork()
if child:
    os.waitpid(child, 0)
    print(len(os.listdir(sys.argv[1])))
"""


def test_a_process_that_recorded_nothing_leaves_no_file(memory: Path) -> None:
    """It left 16 MiB of memory at each clean end; a sidecar called it killed."""
    command = [sys.executable, "-c", IDLE, str(memory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "1\n"), done.stderr
    assert list(memory.iterdir()) == []
