"""The recorder against what services write by themselves, on the same requests, interleaved in one run.

`make bench-recorder` takes about five minutes. Its peers live in an environment of their own
(requirements-bench.lock), so that neither the product nor its tests carry them. Each figure comes from a
fresh process; peers take turns, the order reversed every second time. Medians and minima over the turns:
on a shared machine the minimum is the machine's noise left out.
"""

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from statistics import median

from benchmarks.peers.peers import BACKLOGGED, PEERS, PURE
from benchmarks.results import Row, at_least, at_most, of_turns, publish
from recorders.hotpath import COMPILED, PURE_VARIABLE, which

ROOT = Path(__file__).parents[1]
REPEATS = 5
PEER_PACKAGES = (
    "bentoml",
    "confluent-kafka",
    "opentelemetry-sdk",
    "orjson",
    "prometheus-client",
    "structlog",
)
MODES = {"saturated": PEERS, "cost": PEERS, "paced": PEERS, "burst": PEERS, "backlog": BACKLOGGED}
# Counts of one kind of event: they do not vary with the machine's load.
ONCE = ("burst", "backlog")
LABELS = {
    "p999": "p99.9",
    "cpu": "CPU/event",
    "added": "CPU added",
    "calling": "CPU added, calling thread",
    "behind": "CPU added, behind it",
}
UNCHECKED = "encode and queue, unchecked"
Figures = dict[tuple[str, str, str], list[float]]


def measure(mode: str, name: str) -> dict[str, float]:
    """Return the figures of one peer in one mode, from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.peers", mode, name]
    variables = os.environ | {PURE_VARIABLE: "1" if name == PURE else "0"}
    done = subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, check=True, timeout=300
    )
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def measure_all(repeats: int) -> Figures:
    """Return every figure of every peer and mode, turn by turn."""
    found: Figures = {}
    for mode, peers in MODES.items():
        for turn in range(2 if mode in ONCE else repeats):
            for name in list(peers) if turn % 2 == 0 else list(reversed(peers)):
                for figure, value in measure(mode, name).items():
                    found.setdefault((mode, name, figure), []).append(value)
                print(".", end="", flush=True)
    print()
    return found


def times(found: Figures, name: str, other: str) -> float:
    """Return how many times the other's p50 a peer's is, turn by turn."""
    pairs = zip(found["saturated", name, "p50"], found["saturated", other, "p50"], strict=True)
    return median(one / two for one, two in pairs)


def targets(found: Figures) -> list[Row]:
    """Return the rows that have a target."""
    hot, paced = found["saturated", "ours", "p50"], found["paced", "ours", "p50"]
    cpu = found["cost", "ours", "added"]
    rows = [
        *of_turns(at_most, "record(), p50, saturated", hot, "us", 1.5),
        *of_turns(at_most, "record(), p50, 2,500/s", paced, "us", 5.0),
        *of_turns(at_most, "record(), p99, saturated", found["saturated", "ours", "p99"], "us", 12.0),
        *of_turns(at_most, "CPU of the service, all in", cpu, "us/event", 4.0),
        at_most("resident, queued", median(found["backlog", "ours", "bytes"]) / 1024, "KiB/event", 0.65),
        at_most("longest GC pause, backlog of 50,000", max(found["backlog", "ours", "pause_ms"]), "ms", 0.0),
        at_most("lost, burst of 50,000", max(found["burst", "ours", "lost"]), "events", 0.0),
    ]
    rows.append(Row("record(), p50, saturated", times(found, "ours", UNCHECKED), "x", against=UNCHECKED))
    rows.append(Row("pure Python: p50, saturated", times(found, PURE, "ours"), "x", against="compiled"))
    for name, target in (("OpenTelemetry span", 12.0), ("stdlib logging, JSON", 8.0)):
        ratio = median(theirs / ours for theirs, ours in zip(found["cost", name, "added"], cpu, strict=True))
        rows.append(at_least(f"{name}: CPU", ratio, "x", target, against="record(), same turn"))
        ratio = times(found, name, "ours")
        rows.append(at_least(f"{name}: p50", ratio, "x", target, against="record() p50, same turn"))
    return rows


def table(found: Figures) -> list[Row]:
    """Return a row for every peer, mode and figure: medians, and the least of the medians and CPU."""
    rows = []
    for (mode, name, figure), values in found.items():
        unit = {"bytes": "bytes/event", "lost": "events", "pause_ms": "ms", "gc_ms": "ms"}.get(figure, "us")
        label = LABELS.get(figure, figure)
        rows.append(Row(f"{name}: {label}, {mode}", median(values), unit))
        if figure in ("p50", "cpu", "added"):
            rows.append(Row(f"{name}: {label}, {mode}, least", min(values), unit))
    return rows


def main() -> None:
    """Measure, print, write."""
    if not COMPILED:
        sys.exit(f"The hot path is {which()}. Expected a compiled one to measure. Run `make setup`.")
    found = measure_all(REPEATS)
    publish(
        "recorder",
        [*targets(found), *table(found)],
        notes=f"{REPEATS} interleaved turns in fresh processes; 30 mixed features from json.loads, one a "
        "list of 8. CPU added is what keeping takes beside the request, from neighbouring blocks of one "
        "process, with background threads and the mock broker; CPU/event is with the request, which is "
        "`none`. The far end answers a burst after 10 ms. `ours` is the compiled hot path, `ours, pure "
        "Python` the same recorder without it. `encode and queue, unchecked` is the bound: it "
        "keeps no promise, and nothing leaves.",
        versions={package: metadata.version(package) for package in PEER_PACKAGES},
    )


if __name__ == "__main__":
    main()
