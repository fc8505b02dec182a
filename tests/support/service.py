"""A small service, run as a process of its own: `python -m tests.support.service MODE FOLDER`.

It records through a link that writes each frame to a file named after the process, and prints what
callers were told, so that a test can compare both after the process is gone.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType

import msgspec

from recorders import FeatureSet, Field, Limits, Recorder, flush_on_sigterm
from recorders.frame import Frame, Receipt

FEATURES = FeatureSet("two", 1, (Field("age", "int64"), Field("amount", "float64")))
SNAPSHOT: dict[str, object] = {"age": 41, "amount": 2.5}
CHILDREN = 4
EACH = 2_000


class FileLink:
    """Appends frames to a file per process; acknowledges when they are written."""

    def __init__(self, folder: Path, delay_s: float = 0.0) -> None:
        self.folder = folder
        self.delay_s = delay_s

    def send(self, frame: Frame) -> Receipt:
        time.sleep(self.delay_s)
        with (self.folder / f"{os.getpid()}.frames").open("ab") as file:
            data = msgspec.msgpack.encode(frame)
            file.write(len(data).to_bytes(4, "big") + data)
        return Receipt(1, 1, "", 0, duplicate=False)

    def close(self) -> None:
        pass


def frames(folder: Path) -> list[Frame]:
    """Return the frames of all processes, each process's in order."""
    found = []
    for path in sorted(folder.glob("*.frames")):
        data = path.read_bytes()
        while data:
            size = int.from_bytes(data[:4], "big")
            found.append(msgspec.msgpack.decode(data[4 : 4 + size], type=Frame))
            data = data[4 + size :]
    return found


def say(folder: Path, ids: list[str | None]) -> None:
    """Write down what callers were told, per process."""
    with (folder / f"{os.getpid()}.told").open("a") as file:
        file.writelines(f"{name}\n" for name in ids)


def ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def recorder(folder: Path, delay_s: float = 0.0, exit_s: float = 5.0) -> Recorder:
    limits = Limits(exit_s=exit_s)
    link = FileLink(folder, delay_s)
    return Recorder("service", FEATURES, link, model="m", model_version="1", limits=limits)


def fork(folder: Path) -> None:
    """Fork under load: parent threads record all the while, and every child records as well."""
    service = recorder(folder)
    done = threading.Event()

    def load() -> None:
        ids = []
        while not done.is_set():
            ids.append(service.record(SNAPSHOT))
            time.sleep(0)
        say(folder, ids)

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    children = []
    for _ in range(CHILDREN):
        time.sleep(0.01)
        pid = os.fork()
        if not pid:
            say(folder, [service.record(SNAPSHOT) for _ in range(EACH)])
            closed = service.close(20)
            os._exit(0 if closed and service.counters.accepted == EACH else 1)
        children.append(pid)
    statuses = [os.waitpid(pid, 0)[1] for pid in children]
    done.set()
    for thread in threads:
        thread.join()
    sys.exit(0 if service.close(20) and not any(statuses) else 1)


def wait_for_sigterm(folder: Path) -> None:
    service = recorder(folder)
    say(folder, [service.record(SNAPSHOT) for _ in range(EACH)])
    ready()
    time.sleep(60)


def own_handler(folder: Path) -> None:
    """A service that handles SIGTERM without a clean exit, and asked for the flush before it."""

    def handler(number: int, frame: FrameType | None) -> None:
        os._exit(7)

    signal.signal(signal.SIGTERM, handler)
    flush_on_sigterm()
    wait_for_sigterm(folder)


def untouched_handler(folder: Path) -> None:
    """A service whose own handler leads to a clean exit, as servers' do: it stays as it was."""

    def handler(number: int, frame: FrameType | None) -> None:
        sys.exit(8)

    signal.signal(signal.SIGTERM, handler)
    before = signal.getsignal(signal.SIGTERM)
    service = recorder(folder)
    assert signal.getsignal(signal.SIGTERM) is before
    say(folder, [service.record(SNAPSHOT) for _ in range(EACH)])
    ready()
    time.sleep(60)


def _child(folder: Path) -> None:
    child = recorder(folder)
    say(folder, [child.record(SNAPSHOT) for _ in range(EACH)])


def multiprocess(folder: Path) -> None:
    """Children of multiprocessing end by os._exit: no atexit runs in them."""
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_child, args=(folder,)) for _ in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    sys.exit(max(child.exitcode or 0 for child in children))


def plain_exit(folder: Path) -> None:
    service = recorder(folder)
    say(folder, [service.record(SNAPSHOT) for _ in range(EACH)])


def hanging_link(folder: Path) -> None:
    """A link that never answers: the exit waits for its bound and no longer."""
    service = recorder(folder, delay_s=60.0, exit_s=0.5)
    say(folder, [service.record(SNAPSHOT) for _ in range(10)])
    ready()


def database_down(folder: Path) -> None:
    from recorders.inprocess import InProcessLink

    link = InProcessLink("postgresql://nobody@127.0.0.1:9/none", [FEATURES])
    limits = Limits(exit_s=0.5)
    service = Recorder("service", FEATURES, link, model="m", model_version="1", limits=limits)
    say(folder, [service.record(SNAPSHOT) for _ in range(10)])
    ready()


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
