"""A service that is killed: `python -m tests.support.crash_service FOLDER MEMORY [full]`.

What callers were told goes into a mapped file as well, so that it outlives the kill. With `full` it has no
sidecar and a queue of ten, says how many events it dropped, and waits.
"""

import mmap
import sys
import time
from pathlib import Path

from recorders import Limits, Recorder
from tests.support.recording import MemoryLink, down
from tests.support.service import FEATURES, SNAPSHOT, FileLink, ready

BYTES = 8 * 2**20
ENTRY = 28


def main(folder: Path, memory: Path) -> None:
    limits = Limits(linger_s=0.01, frame_events=100)
    link = FileLink(folder, delay_s=0.005)
    recorder = Recorder(
        "service", FEATURES, link, model="m", model_version="1", limits=limits, crash_proof=memory
    )
    with (folder / "told").open("w+b") as file:
        file.truncate(BYTES)
        told = mmap.mmap(file.fileno(), BYTES)
    ready()
    for at in range(0, BYTES - ENTRY, ENTRY):
        name = recorder.record(SNAPSHOT)
        assert name is not None, recorder.counters
        told[at : at + ENTRY] = name.ljust(ENTRY).encode()
        if at // ENTRY % 20 == 0:
            time.sleep(0.001)


def full(memory: Path) -> None:
    limits = Limits(queue_slots=10, loss_every_s=3_600.0)
    link = MemoryLink(down)
    recorder = Recorder(
        "service", FEATURES, link, model="m", model_version="1", limits=limits, crash_proof=memory
    )
    ready()
    told = [recorder.record(SNAPSHOT) for _ in range(50)]
    sys.stdout.write(f"{told.count(None)}\n")
    sys.stdout.flush()
    time.sleep(600)


if __name__ == "__main__":
    if sys.argv[3:] == ["full"]:
        full(Path(sys.argv[2]))
    else:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
