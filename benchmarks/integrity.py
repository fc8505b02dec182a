"""Integrity and erasure: what verifying, signing and proving cost, how long proofs are, what encryption adds.

`python -m benchmarks.integrity` takes about a minute. CPU time throughout: 300,000 decisions of 30 features.
"""

import importlib.util
import tempfile
import time
import uuid
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from types import ModuleType
from typing import Any

import msgspec

from benchmarks.log import AT, FEATURES, cut, source
from benchmarks.results import Row, at_most, interleaved, publish
from harness.database import create_log
from harness.integrity.checkpoints import take
from harness.integrity.compare import compare
from harness.integrity.log_keys import the_key
from harness.integrity.memory import Memory, open_memory
from harness.integrity.proof import check_proof, parse_proof
from harness.integrity.prove import prove
from harness.log.log import Log
from recorders.append import Batch
from recorders.columns import to_batch
from recorders.fields import FeatureSet
from recorders.frame import Frame, frame_of, payload_of
from recorders.sealing import seal, unseal
from recorders.sidecar.compose import compose
from recorders.sidecar.salvage import Stored
from recorders.sidecar.sealed_frames import FrameSealer
from recorders.sidecar.wire import Arrived
from tests.support import servers
from tests.support.sidecars import arrived
from tests.support.subjects import HeldKeys

EVENTS = 300_000
BATCH = 4_000
FRAME = 200
FRAMES = 40
MARKED = 3
REPEATS = 5
# The least of so many: what a neighbour takes is not ours.
TURNS = 25
# The subject's and three more of the thirty features.
PERSONAL = FeatureSet(
    "bench",
    2,
    tuple(
        msgspec.structs.replace(field, subject=place == len(FEATURES.fields) - 1, sensitive=place < MARKED)
        for place, field in enumerate(FEATURES.fields)
    ),
)


def cpu(task: Callable[[], Any]) -> float:
    """Return the CPU seconds of this process that a task takes."""
    began = time.process_time()
    task()
    return time.process_time() - began


def fill(log: Log) -> None:
    """Append 300,000 decisions in batches of 4,000."""
    writer = uuid.uuid4()
    whole = source(EVENTS)
    times = whole.column("occurred_at").to_pylist()
    for sequence, (events, payload, digest) in enumerate(cut(whole, BATCH), start=1):
        first = (sequence - 1) * BATCH
        log.append(
            Batch("decision", "bench", FEATURES.digest, writer, sequence, events, times[first],
                  times[first + events - 1], payload, digest)
        )  # fmt: skip


def histories(log: Log, folder: Path) -> list[Row]:
    """Return what verifying and signing cost."""
    verify = median(cpu(log.verify) for _ in range(3))
    memory = open_memory(log, folder)
    roots = cpu(lambda: memory.advance(log))
    sign = cpu(lambda: take(log, folder))
    again = median(cpu(lambda: compare(log, folder)) for _ in range(REPEATS))
    return [
        at_most("verify the chain, 300k events", verify, "CPU-s", 1.0),
        Row("hash every event, once", roots / EVENTS * 1e6, "us/event"),
        Row("take a checkpoint of what is known", sign * 1e3, "CPU-ms"),
        Row("verify when nothing is new", again * 1e3, "CPU-ms", "loading the memory included"),
    ]


def proofs(log: Log, folder: Path) -> list[Row]:
    """Return how long proofs are and what they cost."""
    key = the_key(log, open_memory(log, folder))
    made = prove(log, folder, EVENTS // 2)
    data = made.proof.render()
    second = verifier()
    here = median(cpu(lambda: check_proof(parse_proof(data), key)) for _ in range(20))
    there = median(cpu(lambda: second.check(data, key.render())) for _ in range(20))
    memory: Memory = open_memory(log, folder)
    path = memory.tree.consistency(len(memory) // 3, len(memory))
    depth = len(made.proof.event_path) + len(made.proof.batch_path)
    at_50m = len(data) + 32 * ((50_000_000 // BATCH).bit_length() + (BATCH - 1).bit_length() - depth)
    return [
        at_most("proof of one event in 300k", len(data), "bytes", 1024),
        at_most("the same in 50M, by the tree's depth", at_50m, "bytes", 1024),
        Row(
            "make it",
            cpu(lambda: prove(log, folder, EVENTS // 2)) * 1e3,
            "CPU-ms",
            "a batch decoded and hashed",
        ),
        Row("check it", here * 1e3, "CPU-ms"),
        Row("check it with the standard library alone", there * 1e3, "CPU-ms"),
        Row("consistency proof between two checkpoints", 32 * len(path), "bytes"),
    ]


def frames() -> list[Frame]:
    """Return frames as a service sends them, 30 features an event; four thousand persons."""
    rows = source(FRAMES * FRAME).to_pylist()
    names = [name for name in source(1).schema.names if name != "statuses"]
    encoded = [msgspec.msgpack.encode([plain(row[name]) for name in names] + [None]) for row in rows]
    return [
        frame_of(uuid.uuid4(), 1, "decision", "bench", PERSONAL.digest, FRAME,
                 payload_of(encoded[at : at + FRAME]))
        for at in range(0, len(encoded), FRAME)
    ]  # fmt: skip


def plain(value: Any) -> Any:
    """Return a value as frames hold it: instants in microseconds since 1970."""
    return AT if hasattr(value, "tzinfo") else value


def erasure() -> list[Row]:
    """Return what encrypting four of thirty fields adds to each event, and what opening them costs."""
    keys, given = HeldKeys(), frames()
    sealed = [msgspec.structs.replace(one, payload=seal(one.payload, PERSONAL, keys)) for one in given]
    batches = [to_batch(one, PERSONAL) for one in sealed]
    values = [(one.column("sealed").to_pylist(), one.column("decision_id").to_pylist()) for one in batches]

    def encrypted() -> None:
        for one in given:
            to_batch(msgspec.structs.replace(one, payload=seal(one.payload, PERSONAL, keys)), PERSONAL)

    tasks: dict[str, Callable[[], Any]] = {
        "clear": lambda: [to_batch(one, FEATURES) for one in given],
        "encrypted": encrypted,
        "shipped": lambda: shipped(given, FEATURES, keys),
        "shipped encrypted": lambda: shipped(given, PERSONAL, keys),
        "opened": lambda: [unseal(*one, PERSONAL, keys) for one in values],
    }
    found = interleaved({name: partial(cpu, task) for name, task in tasks.items()}, TURNS)
    cost = {name: min(values) / (FRAMES * FRAME) * 1e6 for name, values in found.items()}
    return [
        Row("frames to columns, nothing encrypted", cost["clear"], "us/event"),
        at_most(
            "encryption adds", cost["encrypted"] - cost["clear"], "us/event", 5.0, against="the row above"
        ),
        Row("the sidecar's frames to batches, nothing encrypted", cost["shipped"], "us/event"),
        at_most(
            "encryption adds in the sidecar",
            cost["shipped encrypted"] - cost["shipped"],
            "us/event",
            5.0,
            against="the row above",
        ),
        Row("decryption when read", cost["opened"], "us/event"),
    ]


def shipped(given: list[Frame], feature_set: FeatureSet, keys: HeldKeys) -> None:
    """Do to frames what the sidecar does: seal those that need it, and compose batches of all."""
    coming = [arrived(one)._replace(schema=bytes.fromhex(feature_set.digest)) for one in given]
    kept = FrameSealer(lambda: keys).seal(coming, lambda _: feature_set.canonical())
    stored = [Stored(1, at, one, 0.0) for at, one in enumerate(kept) if isinstance(one, Arrived)]
    _, unusable = compose(stored, lambda _: feature_set.canonical(), target_events=BATCH)
    assert len(stored) == len(given)
    assert not unusable


def verifier() -> ModuleType:
    """Return docs/verify_proof.py as a module."""
    path = Path(__file__).parents[1] / "docs" / "verify_proof.py"
    spec = importlib.util.spec_from_file_location("verify_proof", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def main() -> None:
    """Measure, print and publish."""
    rows = erasure()
    with (
        tempfile.TemporaryDirectory() as name,
        servers.embedded() as url,
        servers.fresh_database(url) as fresh,
        create_log(url=fresh) as log,
    ):
        fill(log)
        rows = [*histories(log, Path(name)), *proofs(log, Path(name)), *rows]
    publish("integrity", rows)


if __name__ == "__main__":
    main()
