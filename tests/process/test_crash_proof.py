"""SIGKILL of a service that keeps its events in shared memory: every accepted one is found again."""

import errno
import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import msgspec
import pytest

from recorders.abandoned import Abandoned, _File, _owed, drain
from recorders.frame import Frame, frame_of, payload_of
from recorders.limits import Limits
from recorders.losses import Loss
from recorders.recorder import Recorder
from tests.support import service
from tests.support.crash_service import ENTRY
from tests.support.recording import PLAIN, TWO, MemoryLink, down
from tests.support.sidecars import until

ROOT = Path(__file__).parents[2]
KILLS = 12


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    folder = tmp_path / "memory"
    folder.mkdir()
    return folder


def ids(frames: list[Frame]) -> list[str]:
    return [
        event[0]
        for frame in frames
        if frame.kind == "decision"
        for event in msgspec.msgpack.decode(frame.payload)
    ]


def killed_after(seconds: float, folder: Path, memory: Path) -> None:
    command = [sys.executable, "-m", "tests.support.crash_service", str(folder), str(memory)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert list(drain(memory)) == [], "a running service's files are left alone"
        until(lambda: len((folder / "told").read_bytes().rstrip(b"\x00")) > 150 * ENTRY)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()


@pytest.mark.parametrize("kill", range(KILLS))
def test_a_killed_service_owes_exactly_what_it_accepted(kill: int, tmp_path: Path, memory: Path) -> None:
    killed_after(0.04 * kill, tmp_path, memory)
    told = (tmp_path / "told").read_bytes()
    accepted = told.rstrip(b"\x00").decode().split()
    sent = service.frames(tmp_path)
    (owed,) = drain(memory)
    assert list(drain(memory)) == [owed], "draining again gives the same"
    by_sequence = {frame.sequence: frame for frame in sent}
    for frame in owed.frames:
        assert by_sequence.setdefault(frame.sequence, frame) == frame, "a resend is the same, bit for bit"
    assert sorted(by_sequence) == list(range(1, len(by_sequence) + 1)), "no gap for the log to refuse"
    found = ids([by_sequence[sequence] for sequence in sorted(by_sequence)])
    assert len(set(found)) == len(found)
    assert set(accepted) <= set(found)
    assert len(found) <= len(accepted) + 1, "at most the one whose caller was not told yet"
    assert len(accepted) > 100
    owed.remove()
    assert list(memory.iterdir()) == []


def abandoned(recorder: Recorder, memory: Path) -> Abandoned:
    """Return what another process would find after this one is gone: locks do not hold within a process."""
    (owed,) = drain(memory)
    assert owed.writer == recorder._outbox.writer
    return owed


def still_recorder(link: MemoryLink, memory: Path, **limits: object) -> Recorder:
    bounds = Limits(**{"linger_s": 0.0, "backoff_s": 0.01, "backoff_max_s": 0.01, **limits})  # type: ignore[arg-type]
    return Recorder("p", TWO, link, model="m", model_version="1", limits=bounds, crash_proof=memory)


def test_a_clean_end_leaves_nothing(memory: Path) -> None:
    link = MemoryLink()
    recorder = still_recorder(link, memory)
    assert recorder.record(PLAIN)
    assert recorder.outcome("d", "late", True)
    assert recorder.close(10)
    assert list(memory.iterdir()) == []
    assert (link.events(), link.events("outcome")) == (1, 1)


def test_an_end_without_an_answer_leaves_what_is_owed(memory: Path) -> None:
    recorder = still_recorder(MemoryLink(down), memory, frame_events=3)
    names = [recorder.record(PLAIN) for _ in range(8)]
    recorder.outcome("d", "late", True)
    time.sleep(0.1)
    assert recorder.close(0.2) is False
    owed = abandoned(recorder, memory)
    assert ids(list(owed.frames)) == names
    assert sum(frame.events for frame in owed.frames if frame.kind == "outcome") == 1
    assert [frame.sequence for frame in owed.frames] == list(range(1, len(owed.frames) + 1))


def test_a_file_that_is_full_is_followed_and_removed_when_the_log_has_it(
    memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recorders.segment_file.SEGMENT_BYTES", 70_000)
    link = MemoryLink(down)
    recorder = still_recorder(link, memory)
    names = [recorder.record(PLAIN) for _ in range(200)]
    files = sorted(memory.iterdir())
    assert len(files) > 2
    link.answer = None
    assert recorder.flush(10)
    assert len(list(memory.iterdir())) < len(files)
    link.answer = down
    names += [recorder.record(PLAIN) for _ in range(50)]
    recorder.close(0.1)
    owed = abandoned(recorder, memory)
    assert ids(link.frames) + ids(list(owed.frames)) == names
    assert owed.frames[0].sequence == len(link.frames) + 1


def test_no_room_is_a_counted_drop(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = still_recorder(MemoryLink(), memory)
    monkeypatch.setattr("recorders.segment_file.SEGMENT_BYTES", 1_000)
    assert recorder.record(PLAIN) is None
    assert recorder.counters.dropped == {"full": 1}
    monkeypatch.undo()
    assert recorder.record(PLAIN)
    assert recorder.close(5)


def test_reports_without_events_never_fill_a_file(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorders.segment_file.SEGMENT_BYTES", 70_000)
    outbox = still_recorder(MemoryLink(), memory, exit_s=0.0)._outbox
    journal = outbox.journal
    assert journal is not None
    for sequence in range(1, 3_000):
        report = frame_of(outbox.writer, sequence, "loss", "p", "", 1, b"x" * 70)
        journal.cut(report, 0)
        journal.acked(sequence, outbox.settled)
    assert len(list(memory.iterdir())) == 1
    (owed,) = drain(memory)
    assert owed.frames == ()
    outbox.release_journal(remove=True)


def test_torn_and_flipped_bytes_end_the_file(memory: Path) -> None:
    recorder = still_recorder(MemoryLink(down), memory, linger_s=60.0, exit_s=0.0)
    names = [recorder.record(PLAIN) for _ in range(10)]
    (path,) = memory.iterdir()
    data = bytearray(path.read_bytes())
    last = data.rindex(names[-1].encode() if names[-1] else b"?")
    data[last] ^= 0xFF
    recorder._outbox.release_journal(remove=True)
    path.write_bytes(data)
    assert ids(list(abandoned(recorder, memory).frames)) == names[:-1]
    path.write_bytes(b"something else" + zlib.crc32(b"").to_bytes(4, "big"))
    assert list(drain(memory)) == []
    recorder.close(0.1)


def test_a_fork_keeps_files_of_its_own(memory: Path) -> None:
    recorder = still_recorder(MemoryLink(), memory)
    recorder.record(PLAIN)
    child = os.fork()
    if not child:
        recorder.record(PLAIN)
        os._exit(0 if recorder.close(10) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert recorder.flush(10)
    assert len(list(memory.iterdir())) == 1
    assert recorder.close(10)
    assert list(memory.iterdir()) == []


def test_a_fork_without_hooks_never_writes_into_its_parents_memory(memory: Path) -> None:
    recorder = still_recorder(MemoryLink(down), memory)
    first = recorder.record(PLAIN)
    until(lambda: recorder._outbox.counters().sent == 1)  # a real fork has no such thread: it must not write
    before = {path: path.read_bytes() for path in memory.iterdir()}
    parents = recorder._courier
    assert parents is not None
    recorder._pid = -1  # as if the process had been forked behind Python's back
    assert recorder.record(PLAIN) not in (None, first)
    written = [path for path in memory.iterdir() if path not in before]
    assert len(written) == 1
    recorder.close(0.1)
    assert parents.stop(30)  # a fork would have left it behind: here it goes on sending


def test_a_folder_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="Make it"):
        still_recorder(MemoryLink(), tmp_path / "nowhere")


def lost_by(frames: tuple[Frame, ...]) -> dict[str, int]:
    """Return the counts of the reports among frames, by reason."""
    found = [msgspec.msgpack.decode(one.payload, type=list[Loss]) for one in frames if one.kind == "loss"]
    return {loss.reason: loss.count for losses in found for loss in losses}


def test_what_a_killed_service_had_dropped_and_not_reported_is_found(tmp_path: Path, memory: Path) -> None:
    command = [sys.executable, "-m", "tests.support.crash_service", str(tmp_path), str(memory), "full"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        dropped = int(process.stdout.readline())
        assert dropped > 0
        file = next(memory.iterdir())
        until(lambda: lost_by(_owed_of(file)) == {"full": dropped})
        process.kill()
        process.wait()
    (owed,) = drain(memory)
    assert lost_by(owed.frames) == {"full": dropped}
    sequences = [frame.sequence for frame in owed.frames]
    assert sequences == list(range(1, len(sequences) + 1))
    (again,) = drain(memory)
    assert again == owed


def _owed_of(file: Path) -> tuple[Frame, ...]:
    """Return what a file that is still written would owe if its process died now."""
    return _owed([_File(file)], (file,)).frames


def test_a_loss_is_owed_once_whether_it_was_in_a_frame_or_not(memory: Path) -> None:
    outbox = still_recorder(MemoryLink(), memory)._outbox
    journal = outbox.journal
    assert journal is not None
    full, off = (Loss(outbox.writer, reason, 3, 1, 2) for reason in ("full", "off"))
    journal.lost([full, off], 0.0)
    journal.lost([full], 0.1)  # too soon: the earlier word stands
    (file,) = memory.iterdir()
    assert lost_by(_owed_of(file)) == {"full": 3, "off": 3}
    payload = payload_of([msgspec.msgpack.encode(full)])
    journal.cut(frame_of(outbox.writer, 1, "loss", "p", "", 1, payload), 0)
    assert lost_by(_owed_of(file)) == {"full": 3, "off": 3}
    assert len(_owed_of(file)) == 2
    journal.acked(1, outbox.settled)
    assert lost_by(_owed_of(file)) == {"off": 3}
    outbox.release_journal(remove=True)


def test_a_loss_that_waits_goes_into_the_next_file(memory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recorders.segment_file.SEGMENT_BYTES", 70_000)
    outbox = still_recorder(MemoryLink(), memory)._outbox
    journal = outbox.journal
    assert journal is not None
    journal.lost([Loss(outbox.writer, "full", 3, 1, 2)], 0.0)
    while len(list(memory.iterdir())) == 1:
        assert journal.keep("decision", [b"x" * 500], outbox.decisions)
    assert lost_by(_owed_of(max(memory.iterdir()))) == {"full": 3}
    outbox.release_journal(remove=True)


def test_a_fork_where_there_is_no_room_counts_and_goes_on_when_there_is(
    memory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The child went on with its parent's closed memory and writer: uncounted, and its `close` raised."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    recorder = still_recorder(MemoryLink(), memory)
    beside = Recorder("p", TWO, MemoryLink(), model="m", model_version="1")
    assert recorder.record(PLAIN)
    before = {one: one._outbox.writer for one in (recorder, beside)}
    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", full)
        monkeypatch.setattr("recorders.segment_file._ROOM_EVERY_S", 0.0)
        child = os.fork()
        if not child:
            renewed = all(one._outbox.writer != writer for one, writer in before.items())
            refused = recorder.record(PLAIN) is None and recorder.counters.dropped == {"full": 1}
            said = "Make room" in caplog.text
            patch.undo()
            kept = recorder.record(PLAIN) is not None and recorder.flush(10)
            os._exit(0 if (renewed, refused, said, kept, recorder.close(10)) == (True,) * 5 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert recorder.close(10)
    assert beside.close(10)
    assert list(memory.iterdir()) == []


SIGNALLED = """
import os, signal, sys
from pathlib import Path
from recorders import Recorder, segment_file
from tests.support.recording import PLAIN, TWO, MemoryLink

ends, memory = sys.argv[1:]
link = MemoryLink()
recorder = Recorder("p", TWO, link, model="m", model_version="1", crash_proof=Path(memory))
told = []

def own(number, frame):
    told.append((recorder.flush(), recorder.settle(), recorder.close()))

if ends == "own":
    signal.signal(signal.SIGTERM, own)
if ends == "chained":
    recorders = __import__("recorders.exits").exits
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    recorders.flush_on_sigterm()
write = segment_file._File.write

def interrupted(self, mark, body):
    if mark == b"D" and recorder.counters.accepted == 3:
        segment_file._File.write = write
        os.kill(os.getpid(), signal.SIGTERM)
    write(self, mark, body)

segment_file._File.write = interrupted
for _ in range(3):
    assert recorder.record(PLAIN)
recorder.record(PLAIN)
assert told == [(False, False, False)], told
assert recorder.record(PLAIN) is None, "closed right after"
assert recorder.counters.acked == 4 == sum(frame.events for frame in link.frames), recorder.counters
"""


@pytest.mark.parametrize(("ends", "status"), [("default", -signal.SIGTERM), ("own", 0), ("chained", 7)])
def test_a_signal_that_meets_an_event_being_kept_ends_the_service(
    ends: str, status: int, memory: Path
) -> None:
    """A handler of the service and the sender waited for each other for ever."""
    command = [sys.executable, "-c", SIGNALLED, ends, str(memory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == status, done.stderr
    assert list(memory.iterdir()) == [], "all of it left"


RAISING = """
import signal, sys
from pathlib import Path
from recorders import Recorder
from tests.support.recording import PLAIN, TWO, MemoryLink

recorder = Recorder("p", TWO, MemoryLink(), model="m", model_version="1", crash_proof=Path(sys.argv[1]))

def interrupt(number, frame):
    raise KeyboardInterrupt

recorder.record(PLAIN)  # starts its threads, which the standard library does not do in one step
signal.signal(signal.SIGALRM, interrupt)
for turn in range(300):
    try:
        signal.setitimer(signal.ITIMER_REAL, 1e-4 + turn * 1e-6)
        while True:
            recorder.record(PLAIN)
    except KeyboardInterrupt:
        pass
assert recorder.record(PLAIN)
recorder.close()
"""


def test_a_handler_that_raises_leaves_no_lock_behind(memory: Path) -> None:
    """Where it raised right after the lock was taken, as Ctrl-C may, the service never ended."""
    command = [sys.executable, "-c", RAISING, str(memory)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
