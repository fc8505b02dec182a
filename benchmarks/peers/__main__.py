"""One measurement in a process of its own: `python -m benchmarks.peers MODE PEER`, figures as JSON."""

import gc
import json
import os
import sys
import time
from pathlib import Path
from statistics import median, quantiles

from benchmarks.peers.load import requests, score
from benchmarks.peers.peers import BACKLOGGED, FAR, PEERS, Peer

SATURATED = 8_000
BLOCK = 200
PACED = 4_000
PER_SECOND = 2_500
BURST = 50_000
WARM_UP = 500


def serve(peer: Peer, bodies: list[str], per_second: int = 0) -> dict[str, float]:
    """Return the times that `peer` took of requests, and the process's CPU over all of them and the end."""
    for body in bodies[:WARM_UP]:
        features = json.loads(body)
        peer.call(features, score(features))
    times = []
    clock, due = time.perf_counter_ns, time.perf_counter()
    began = time.process_time_ns()
    for body in bodies:
        if per_second:
            due += 1 / per_second
            time.sleep(max(0.0, due - time.perf_counter()))
        features = json.loads(body)
        scored = score(features)
        start = clock()
        peer.call(features, scored)
        times.append(clock() - start)
    peer.finish()
    cpu = time.process_time_ns() - began
    cuts = quantiles(times, n=1000)
    return {
        "p50": cuts[499] / 1e3,
        "p99": cuts[989] / 1e3,
        "p999": cuts[998] / 1e3,
        "cpu": cpu / len(times) / 1e3,
    }


def saturated(name: str) -> dict[str, float]:
    """Return the figures of one request after the other."""
    return serve(PEERS[name](), requests(SATURATED))


def cost(name: str) -> dict[str, float]:
    """Return the CPU that a peer adds to a request, in us: on the calling thread, behind it, and both.

    Blocks of 200 requests are answered twice, bare and kept, and neighbours are compared: what one process
    takes more than another differs by more than what is looked for. Behind are all other threads and the end.
    """
    peer, bodies = PEERS[name](), requests(SATURATED)
    for body in bodies[:WARM_UP]:
        features = json.loads(body)
        peer.call(features, score(features))
    before, here = time.process_time_ns(), time.thread_time_ns()
    added = []
    for start in range(0, SATURATED, BLOCK):
        block = bodies[start : start + BLOCK]
        turns = {kept: _answered(peer, block, kept=kept) for kept in _order(start // BLOCK)}
        added.append((turns[True] - turns[False]) / BLOCK)
    here = time.thread_time_ns() - here
    peer.finish()
    behind = (time.process_time_ns() - before - here) / SATURATED / 1e3
    calling = median(added) / 1e3
    return {"calling": calling, "behind": behind, "added": calling + behind}


def _order(number: int) -> tuple[bool, bool]:
    return (False, True) if number % 2 else (True, False)


def _answered(peer: Peer, bodies: list[str], *, kept: bool) -> int:
    """Return the CPU nanoseconds of this thread for answering, keeping each decision or not."""
    began = time.thread_time_ns()
    for body in bodies:
        features = json.loads(body)
        scored = score(features)
        if kept:
            peer.call(features, scored)
    return time.thread_time_ns() - began


def paced(name: str) -> dict[str, float]:
    """Return the figures at a fixed rate."""
    return serve(PEERS[name](), requests(PACED), PER_SECOND)


def burst(name: str) -> dict[str, float]:
    """Return how many of a burst did not arrive at a far end that answers after 10 ms."""
    peer = FAR.get(name, PEERS[name])()
    features = json.loads(requests(1)[0])
    for _ in range(BURST):
        peer.call(features, 0.5)
    arrived = peer.finish()
    return {} if arrived < 0 else {"lost": BURST - arrived}


def backlog(name: str) -> dict[str, float]:
    """Return resident bytes for each queued event, and what the garbage collector took meanwhile."""
    peer = BACKLOGGED[name]()
    bodies = requests(2_000)
    for body in bodies[:100]:
        peer.call(json.loads(body), 0.5)
    pauses: list[float] = []
    since = [0.0]

    def collecting(phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            since[0] = time.perf_counter()
        else:
            pauses.append(time.perf_counter() - since[0])

    gc.collect()
    before = _resident()
    gc.callbacks.append(collecting)
    for number in range(BURST):
        peer.call(json.loads(bodies[number % len(bodies)]), 0.5)
    gc.callbacks.remove(collecting)
    grown = _resident() - before
    return {"bytes": grown / BURST, "pause_ms": max(pauses, default=0.0) * 1e3, "gc_ms": sum(pauses) * 1e3}


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    modes = {"saturated": saturated, "cost": cost, "paced": paced, "burst": burst, "backlog": backlog}
    print(json.dumps(modes[sys.argv[1]](sys.argv[2])), flush=True)
    os._exit(0)  # a peer whose far end is away would wait for it
