"""SIGSTOP hits the sidecar under load, as a frozen container does; it goes on as if nothing had been.

For longer: `python -m tests.process.test_sidecar_stopped --seconds 65`. After more than a minute it asks the
log before it sends.
"""

import argparse
import json
import os
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from harness.database import create_log
from harness.log.log import Log
from recorders.append import Batch
from recorders.frame import Frame, Receipt
from recorders.sidecar.house import House, ship_all
from recorders.sidecar.ship import LONG_STOP_S
from recorders.sidecar.wire import Type
from recorders.socket_link import LONG_STOP_S as SERVICE_STOP_S
from recorders.socket_link import SocketLink
from tests.process.test_sidecar_kills import Service
from tests.support import servers
from tests.support.fake_log import FakeDoor, FakeLog
from tests.support.sidecars import (
    FEATURES,
    Running,
    arrived,
    decision_ids,
    decisions,
    names,
    new_writer,
    settings_in,
    until,
)

SCHEMA = (bytes.fromhex(FEATURES.digest), FEATURES.canonical())


def stopped_for(folder: Path, log: Log, seconds: float, times: int) -> dict[str, Any]:
    """Return the counts of a run that held: nothing lost, nothing twice, services went on by themselves."""
    with Running(folder, log.url, "[ship]\nlinger_s = 0.05\n") as sidecar:
        assert sidecar.process is not None
        services = [Service(sidecar.address, "load") for _ in range(3)]
        for service in services:
            service.start()
        for _ in range(times):
            until(lambda: all(service.told for service in services) and log.head().position > 0, 120)
            os.kill(sidecar.process.pid, signal.SIGSTOP)
            time.sleep(seconds)
            told = [len(service.told) for service in services]
            os.kill(sidecar.process.pid, signal.SIGCONT)
            until(lambda told=told: all(len(s.told) > n for s, n in zip(services, told, strict=True)), 120)
        for service in services:
            service.stopping = True
        for service in services:
            service.join(60)
            assert not service.is_alive()
        expected = names([frame for service in services for frame in service.told])
        until(lambda: log.head().position >= len(expected), 120)
        status = json.loads(sidecar.run("status").stdout)["ship"]
        assert sidecar.run("drain").returncode == 0
    assert Counter(decision_ids(log)) == Counter(expected)
    log.verify()
    if seconds > LONG_STOP_S:
        assert status["asked"] >= 1, "it did not ask"
    return {"seconds": seconds, "events": len(expected), "asked": status["asked"]}


def test_a_sidecar_that_is_frozen_loses_and_doubles_nothing(fresh_log: Log, tmp_path: Path) -> None:
    assert stopped_for(tmp_path / "spool", fresh_log, 1.0, 3)["events"] > 50


def test_after_a_minute_a_service_asks_its_sidecar_before_it_sends(tmp_path: Path) -> None:
    """The minute is put into its clock; the command above waits it out."""
    with Running(tmp_path / "spool", "postgresql://nobody@127.0.0.1:1/none") as sidecar:
        link, writer = SocketLink(sidecar.address, [FEATURES]), new_writer()
        link.send(decisions(writer, 1))
        asked: list[bytes] = []
        compare = link._compare

        def comparing(kind: Type, body: bytes, frames: Sequence[Frame]) -> None:
            asked.append(body)
            compare(kind, body, frames)

        link._compare = comparing  # type: ignore[method-assign]
        link.send(decisions(writer, 2))
        assert asked == []
        link._spoke_at -= SERVICE_STOP_S + 1
        assert not link.send(decisions(writer, 3)).duplicate
        (marks,) = asked
        assert msgspec.msgpack.decode(marks)[-1][0][:2] == [writer.bytes, 2]
        link.close()


def test_after_a_minute_a_sidecar_asks_the_log_before_it_sends(tmp_path: Path) -> None:
    log, sent = FakeLog(), []

    class Watched(FakeDoor):
        def append(self, batch: Batch) -> Receipt:
            sent.append(batch.sequence)
            return super().append(batch)

    house = House(settings_in(tmp_path / "s", durability="process"), lambda log_id: Watched(log, log_id))
    writer = new_writer()
    for sequence, stopped_s in ((1, 0.0), (2, 0.0), (3, LONG_STOP_S + 1)):
        house.spool.commit([arrived(decisions(writer, sequence))], [SCHEMA])
        house.shipper._heard_at -= stopped_s
        assert ship_all(house, timeout_s=20)
    house.close()
    assert sent == [1, 1, 2, 2, 3]  # the log's name was asked for at first, its last batch after the minute
    assert house.shipper.counts.asked == 1
    assert len(log.held()) == len(set(log.held()))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=65.0)
    parser.add_argument("--times", type=int, default=1)
    given = parser.parse_args()
    with (
        servers.embedded(synced=True) as server,
        servers.fresh_database(server) as url,
        create_log(url=url) as made,
        tempfile.TemporaryDirectory() as home,
    ):
        print(stopped_for(Path(home) / "spool", made, given.seconds, given.times))  # noqa: T201
