"""The recorder against what a service would write by itself: stdlib logging of JSON, and bare json.dumps.

`python -m benchmarks.recorder` takes under a minute. Thirty mixed features a decision, as in production;
the last rows go the real way, over the in-process link into an embedded PostgreSQL.
"""

import json
import logging
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median, quantiles

from benchmarks.results import Row, at_least, at_most, interleaved, publish
from harness.database import create_log
from recorders.fields import FeatureSet, Field
from recorders.frame import Frame, Receipt
from recorders.inprocess import InProcessLink
from recorders.limits import Limits
from recorders.recorder import Recorder
from tests.support import servers

EVENTS = 20_000
REPEATS = 7
REAL_EVENTS = 200_000
VECTOR = 8
TYPES = ["float64"] * 14 + ["int64"] * 6 + ["string"] * 6 + ["bool"] * 2 + ["float64", "list[float64]"]
FEATURES = FeatureSet("bench", 1, tuple(Field(f"feature_{n:02}", type_) for n, type_ in enumerate(TYPES)))


class Sink:
    """A link that takes everything at once."""

    def send(self, frame: Frame) -> Receipt:
        """Return a receipt for any frame."""
        return Receipt(1, frame.sequence, "", 0, duplicate=False)

    def close(self) -> None:
        """Hold nothing."""


def snapshots(count: int) -> list[dict[str, object]]:
    """Return snapshots of 30 mixed features; one in thirty values is None, as in production."""
    draw = random.Random(7)
    make: dict[str, Callable[[], object]] = {
        "float64": draw.random,
        "int64": lambda: draw.randrange(10**6),
        "string": lambda: draw.choice(["red", "green", "a longer one"]),
        "bool": lambda: draw.random() < 0.5,
        "list[float64]": lambda: [draw.random() for _ in range(VECTOR)],
    }
    made = [{field.name: make[field.type]() for field in FEATURES.fields} for _ in range(count)]
    for snapshot in made:
        snapshot["feature_28"] = None
    return made


class Measured:
    """Calls timed one by one, and the CPU of the whole process over all of them with what follows."""

    def __init__(self) -> None:
        self.p50: list[float] = []
        self.p99: list[float] = []
        self.cpu: list[float] = []

    def run(self, call: Callable[[dict[str, object]], object], finish: Callable[[], object]) -> float:
        """Time `call` on every snapshot, then `finish`; return CPU microseconds an event."""
        times = []
        clock = time.perf_counter_ns
        began = time.process_time_ns()
        for snapshot in SNAPSHOTS:
            start = clock()
            call(snapshot)
            times.append(clock() - start)
        finish()
        cpu = (time.process_time_ns() - began) / len(times) / 1000
        cuts = quantiles(times, n=100)
        self.p50.append(cuts[49] / 1000)
        self.p99.append(cuts[98] / 1000)
        self.cpu.append(cpu)
        return cpu


SNAPSHOTS = snapshots(EVENTS)


def record() -> tuple[Callable[[dict[str, object]], object], Callable[[], object]]:
    """Return the recorder's call, and what ends a run of it."""
    recorder = Recorder("bench", FEATURES, Sink(), model="m", model_version="1")

    def call(snapshot: dict[str, object]) -> object:
        return recorder.record(snapshot, score=0.5, decision="accept", unit="u1")

    def finish() -> None:
        assert recorder.flush(30), recorder.counters
        assert recorder.counters.acked == EVENTS
        recorder.close()

    return call, finish


def log_json(folder: Path) -> tuple[Callable[[dict[str, object]], object], Callable[[], object]]:
    """Return a line of JSON through the standard library's logging into a file."""
    logger = logging.getLogger("bench")
    logger.setLevel(logging.INFO)
    logger.propagate = False
    handler = logging.FileHandler(folder / "decisions.log")
    logger.handlers = [handler]

    def call(snapshot: dict[str, object]) -> object:
        return logger.info(
            json.dumps({"score": 0.5, "decision": "accept", "unit": "u1", "features": snapshot})
        )

    return call, handler.close


def dump_json() -> tuple[Callable[[dict[str, object]], object], Callable[[], object]]:
    """Return json.dumps whose text is thrown away."""

    def call(snapshot: dict[str, object]) -> object:
        return json.dumps({"score": 0.5, "decision": "accept", "unit": "u1", "features": snapshot})

    return call, lambda: None


def nothing() -> tuple[Callable[[dict[str, object]], object], Callable[[], object]]:
    """Return a call that does nothing: the noise of the loop and the machine."""
    return lambda _: None, lambda: None


def real_path() -> tuple[float, float]:
    """Return events a second and CPU microseconds an event, recorded into the embedded PostgreSQL."""
    with servers.embedded() as server, servers.fresh_database(server) as url:
        create_log(url=url).close()
        link = InProcessLink(url, [FEATURES])
        limits = Limits(queue_slots=2**20)
        recorder = Recorder("bench", FEATURES, link, model="m", model_version="1", limits=limits)
        recorder.record(SNAPSHOTS[0])
        assert recorder.flush(60)
        began, cpu = time.perf_counter(), time.process_time()
        for number in range(REAL_EVENTS):
            recorder.record(SNAPSHOTS[number % EVENTS], score=0.5, decision="accept", unit="u1")
        assert recorder.flush(300), recorder.counters
        elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
        assert recorder.counters.acked == REAL_EVENTS + 1, recorder.counters
        recorder.close()
    return REAL_EVENTS / elapsed, cpu / REAL_EVENTS * 1e6


def main() -> None:
    """Measure, print, write."""
    measured = {name: Measured() for name in ("record", "logging", "json.dumps", "nothing")}
    with tempfile.TemporaryDirectory() as folder:
        makers = {
            "record": record,
            "logging": lambda: log_json(Path(folder)),
            "json.dumps": dump_json,
            "nothing": nothing,
        }
        interleaved(
            {name: (lambda name=name: measured[name].run(*makers[name]())) for name in makers}, REPEATS
        )
    ours, logs, dumps, noise = (measured[name] for name in measured)
    events, real_cpu = real_path()
    cpu = median(ours.cpu) - median(noise.cpu)
    publish(
        "recorder",
        [
            at_most("record(), p50, saturated", median(ours.p50), "us", 1.5),
            at_most("record(), p99, saturated", median(ours.p99), "us", 12.0),
            at_most("CPU with queue, frames and sending", cpu, "us/event", 4.0),
            at_least(
                "stdlib logging of JSON, p50",
                median(logs.p50) / median(ours.p50),
                "x",
                8.0,
                against="record() p50",
            ),
            Row("stdlib logging of JSON, p50", median(logs.p50), "us"),
            Row("stdlib logging of JSON, p99", median(logs.p99), "us"),
            Row("stdlib logging of JSON, CPU", median(logs.cpu) - median(noise.cpu), "us/event"),
            Row("bare json.dumps, p50", median(dumps.p50), "us"),
            Row("bare json.dumps, p99", median(dumps.p99), "us"),
            Row("an empty call, p50", median(noise.p50), "us", "the loop's own noise"),
            Row("an empty call, p99", median(noise.p99), "us", "the loop's own noise"),
            Row("recorded into PostgreSQL, in-process link", events, "events/s", "one service thread"),
            Row("the same, CPU of the service", real_cpu, "us/event", "Arrow, zstd and append included"),
        ],
        notes=f"{EVENTS} events x {REPEATS} interleaved runs, medians; 30 mixed features, one a list of 8.",
    )


if __name__ == "__main__":
    main()
