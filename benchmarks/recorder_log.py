"""The recorder all the way: one service thread, the in-process link, an embedded PostgreSQL."""

import json
import time

from benchmarks.peers.load import FEATURES, requests
from benchmarks.results import Row, publish
from harness.database import create_log
from recorders.inprocess import InProcessLink
from recorders.limits import Limits
from recorders.recorder import Recorder
from tests.support import servers

EVENTS = 200_000


def main() -> None:
    """Measure, print, write."""
    snapshots = [json.loads(body) for body in requests(20_000)]
    with servers.embedded(synced=True) as server, servers.fresh_database(server) as url:
        create_log(url=url).close()
        link = InProcessLink(url, [FEATURES])
        limits = Limits(queue_slots=2**20)
        recorder = Recorder("bench", FEATURES, link, model="m", model_version="1", limits=limits)
        recorder.record(snapshots[0])
        assert recorder.flush(60)
        began, cpu = time.perf_counter(), time.process_time()
        for number in range(EVENTS):
            recorder.record(snapshots[number % len(snapshots)], score=0.5, decision="accept", unit="u1")
        assert recorder.flush(300), recorder.counters
        elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
        assert recorder.counters.acked == EVENTS + 1, recorder.counters
        recorder.close()
    publish(
        "recorder_log",
        [
            Row("recorded into PostgreSQL, in-process link", EVENTS / elapsed, "events/s", "one thread"),
            Row(
                "the same, CPU of the service", cpu / EVENTS * 1e6, "us/event", "Arrow, zstd, append included"
            ),
        ],
        notes=f"{EVENTS} events, 30 mixed features.",
    )


if __name__ == "__main__":
    main()
