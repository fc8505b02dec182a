"""The sidecar: what an event costs at the door, on the disk, and all in, for each durability.

Events have 30 mixed features (about 330 bytes). CPU is user and system time of the process that works,
the sidecar's own for the last part; the database is not counted. Rounds are interleaved; medians, and the
best of all rounds, are shown.
"""

import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID, uuid4

import msgspec

from benchmarks.results import Row, at_least, at_most, of_turns, publish
from harness.database import create_log
from harness.embedded import Embedded
from recorders.canonical import digest
from recorders.fields import FeatureSet, Field
from recorders.frame import Frame
from recorders.sidecar import wire
from recorders.sidecar.disk import Disk
from recorders.sidecar.place import Place
from recorders.sidecar.spool import Rules, Spool
from recorders.sidecar.wire import Arrived
from recorders.socket_link import WINDOW, SocketLink

ROOT = Path(__file__).parents[1]
KINDS = ("float64",) * 14 + ("int64",) * 6 + ("category",) * 6 + ("bool",) * 2 + ("string", "list[float64]")
FEATURES = FeatureSet("bench", 1, tuple(Field(f"f{n:02d}", kind) for n, kind in enumerate(KINDS)))
ROUNDS = 7
FRAMES = 1_600
PER_FRAME = 100
TICKS = os.sysconf("SC_CLK_TCK")


def rows(count: int, chance: random.Random) -> list[tuple[object, ...]]:
    """Return events as a recorder encodes them."""
    made = []
    for number in range(count):
        values = [_value(kind, chance) for kind in KINDS]
        at = 1_700_000_000_000_000 + number
        made.append(
            (
                f"d{chance.getrandbits(48):012x}",
                at,
                None,
                "m",
                "1",
                0.5,
                "yes",
                None,
                1.0,
                900,
                None,
                *values,
                None,
            )
        )
    return made


def _value(kind: str, chance: random.Random) -> object:
    match kind:
        case "float64":
            return chance.gauss(0, 1)
        case "int64":
            return chance.randrange(100_000)
        case "bool":
            return chance.random() < 0.5
        case "list[float64]":
            return [chance.random() for _ in range(8)]
        case _:
            return chance.choice(("NZ", "DE", "FR", "US", "chrome", "safari"))


def frames(writer: UUID, count: int, events: int) -> list[Frame]:
    """Return frames of one writer, as its recorder sends them."""
    payloads = [msgspec.msgpack.encode(rows(events, random.Random(seed))) for seed in range(8)]
    made = []
    for sequence in range(1, count + 1):
        payload = payloads[sequence % len(payloads)]
        made.append(
            Frame(writer, sequence, "decision", "bench", FEATURES.digest, events, payload, digest(payload))
        )
    return made


def cpu() -> float:
    """Return the CPU seconds of this process."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def cpu_of(pid: int) -> float:
    """Return the CPU seconds of another process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def door(stream: list[bytes]) -> float:
    """Return CPU microseconds an event for reading, checking and taking frames off the wire."""
    reader, taken = wire.Reader(), 0
    before = cpu()
    for chunk in stream:
        for _, body in reader.feed(chunk):
            taken += wire.decode_frame(body).events
    return (cpu() - before) / taken * 1e6


def spool(folder: Path, durability: str, arrived: list[Arrived], group: int) -> tuple[float, float]:
    """Return events a second and CPU microseconds an event for committing groups of frames."""
    folder.mkdir()
    disk = Disk(folder, quota_bytes=2**40, free_bytes_min=0, ballast_bytes=0)
    kept = Spool(folder, disk, Rules(durability), owner=UUID(int=1), composed=Place(0, 0))
    started, before, events = time.perf_counter(), cpu(), 0
    for start in range(0, len(arrived), group):
        answers = kept.commit(arrived[start : start + group])
        assert all(answer.kept for answer in answers)
        events += sum(frame.events for frame in arrived[start : start + group])
    used, took = cpu() - before, time.perf_counter() - started
    kept.close()
    return events / took, used / events * 1e6


@contextmanager
def sidecar(folder: Path, url: str, durability: str) -> Iterator[tuple[str, int]]:
    """Yield the address and process id of a running sidecar."""
    settings = folder / "sidecar.toml"
    settings.write_text(f'folder = "{folder}/spool"\n[spool]\ndurability = "{durability}"\n')
    environment = os.environ | {"HARNESS_DATABASE_URL": url}
    command = [sys.executable, "-m", "recorders.sidecar", "run", "--config", str(settings)]
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield f"{folder}/spool/door.sock", process.pid
        finally:
            process.terminate()
            process.wait(30)


def all_in(folder: Path, url: str, durability: str, position: Callable[[], int]) -> tuple[float, float]:
    """Return events a second acknowledged as durable, and the sidecar's CPU microseconds an event."""
    folder.mkdir()
    before_log = position()
    with sidecar(folder, url, durability) as (address, pid):
        link = SocketLink(address, [FEATURES])
        warm = frames(uuid4(), 20, PER_FRAME)
        link.send_many(warm)
        while position() < before_log + 20 * PER_FRAME:
            time.sleep(0.02)
        load = frames(uuid4(), FRAMES, PER_FRAME)
        before, started = cpu_of(pid), time.perf_counter()
        for start in range(0, FRAMES, WINDOW):
            link.send_many(load[start : start + WINDOW])
        took = time.perf_counter() - started
        while position() < before_log + (20 + FRAMES) * PER_FRAME:
            time.sleep(0.02)
        used = cpu_of(pid) - before
        link.close()
    return FRAMES * PER_FRAME / took, used / (FRAMES * PER_FRAME) * 1e6


def main() -> None:
    """Run all parts and publish their table."""
    measured: dict[str, list[float]] = {}

    def note(name: str, value: float) -> None:
        measured.setdefault(name, []).append(value)

    load = frames(UUID(int=3), FRAMES, PER_FRAME)
    wired = b"".join(wire.encode_frame(frame) for frame in load)
    stream = [wired[start : start + 262_144] for start in range(0, len(wired), 262_144)]
    arrived = [wire.decode_frame(body) for _, body in wire.Reader().feed(wired)]
    with tempfile.TemporaryDirectory() as home:
        server = Embedded(Path(home) / ".harness")
        try:
            with create_log(url=server.url) as log:
                for number in range(ROUNDS):
                    note("door", door(stream))
                    for durability in ("power", "process"):
                        place = Path(home) / f"{number}-{durability}"
                        rate, used = spool(place.with_suffix(".spool"), durability, arrived, 10)
                        note(f"spool {durability} rate", rate)
                        note(f"spool {durability} cpu", used)
                        rate, used = all_in(place, server.url, durability, lambda: log.head().position)
                        note(f"all in {durability} rate", rate)
                        note(f"all in {durability} cpu", used)
        finally:
            server.close()
    publish("sidecar", table(measured), notes=f"30 mixed features; {ROUNDS} interleaved rounds.")


def table(measured: dict[str, list[float]]) -> list[Row]:
    """Return the rows of each figure: its median, and its best round where it has a target."""
    rows = of_turns(at_most, "native door, 100 events a frame", measured["door"], "us/event", 0.3)
    for durability, sync in (("power", "synchronous=FULL"), ("process", "synchronous=NORMAL")):
        found = measured[f"spool {durability} rate"]
        rows += of_turns(at_least, f"spool, durability {durability}", found, "events/s", 40_000, against=sync)
        used = statistics.median(measured[f"spool {durability} cpu"])
        rows.append(Row(f"spool, durability {durability}, CPU", used, "us/event", sync))
        found = measured[f"all in {durability} rate"]
        name, how = f"durable through the door, {durability}", "one connection, 64 frames under way"
        rows += of_turns(at_least, name, found, "events/s", 40_000, against=how)
        found = measured[f"all in {durability} cpu"]
        rows += of_turns(
            at_most, f"sidecar all in, {durability}, CPU", found, "us/event", 5, against="door to log"
        )
    return rows


if __name__ == "__main__":
    main()
