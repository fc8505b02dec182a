"""Writers at once, with a reader that follows them: it must never step over a hole."""

import threading
import uuid

from harness.log.log import Log
from recorders.append import Appender
from tests.support.batches import raw

WRITERS = 4
BATCHES = 60


def write(url: str, told: dict[tuple[uuid.UUID, int], int], barrier: threading.Barrier) -> None:
    writer = uuid.uuid4()
    appender = Appender(url)
    barrier.wait()
    for sequence in range(1, BATCHES + 1):
        for _ in range(1 + sequence % 3 // 2):  # every third batch is sent twice
            receipt = appender.append(raw(writer, sequence, events=1 + sequence % 5))
        told[writer, sequence] = receipt.position
    appender.close()


def test_a_following_reader_sees_everything_once_and_in_order(fresh_log: Log) -> None:
    told: dict[tuple[uuid.UUID, int], int] = {}
    barrier = threading.Barrier(WRITERS)
    threads = [threading.Thread(target=write, args=(fresh_log.url, told, barrier)) for _ in range(WRITERS)]
    for thread in threads:
        thread.start()
    seen: dict[tuple[uuid.UUID, int], int] = {}
    at, events = 1, sum(1 + sequence % 5 for sequence in range(1, BATCHES + 1)) * WRITERS
    while at <= events:
        # Read until the head, go on from there: what is not there now must not appear behind us later.
        head = fresh_log.head().position
        for row in fresh_log.rows("links", start=at, stop=head + 1, rows=10**6, bytes=2**40):
            assert row[0] == at
            seen[row[5], row[6]] = row[0]
            at += row[1]
        assert at == head + 1
    for thread in threads:
        thread.join()
    assert seen == told
    assert fresh_log.head().position == events
    assert fresh_log.verify().holds
