"""SIGKILL hits the sidecar again and again under load; the log must hold all that it acknowledged, once.

More kills than the suite's: `python -m tests.process.test_sidecar_kills --kills 500`.
"""

import argparse
import collections
import random
import tempfile
import threading
import time
from pathlib import Path
from uuid import uuid4

from harness.database import create_log
from harness.log.log import Log
from recorders.errors import LinkUnavailable
from recorders.frame import Frame
from recorders.socket_link import SocketLink
from tests.support import servers
from tests.support.sidecars import FEATURES, Running, decision_ids, decisions, names, until

KILLS = 20


class Service(threading.Thread):
    """One writer that sends frame after frame. `told` is the oracle: what the sidecar said it has on disk."""

    def __init__(self, address: str, durability: str) -> None:
        super().__init__(daemon=True)
        self.told: list[Frame] = []
        self.resent = 0
        self.stopping = False
        self.link = SocketLink(address, [FEATURES], service=durability)
        self.writer = uuid4()

    def run(self) -> None:
        sequence = 0
        while not self.stopping:
            sequence += 1
            frame = decisions(self.writer, sequence, 5)
            while True:
                try:
                    self.link.send(frame)
                except LinkUnavailable:
                    self.resent += 1
                    time.sleep(0.01)
                else:
                    break
            self.told.append(frame)
        self.link.close()


def kill_again_and_again(folder: Path, log: Log, kills: int, settings: str, seed: int = 1) -> dict[str, int]:
    """Return the counts of a run that held: nothing lost, nothing twice, order kept."""
    chance = random.Random(seed)
    sidecar = Running(folder, log.url, settings)
    before = collections.Counter(decision_ids(log))
    with sidecar:
        services = [Service(sidecar.address, "load") for _ in range(3)]
        for service in services:
            service.start()
        for _ in range(kills):
            time.sleep(chance.uniform(0.0, 0.4))
            sidecar.kill()
            sidecar.start()
        time.sleep(0.2)
        for service in services:
            service.stopping = True
        for service in services:
            service.join(30)
            assert not service.is_alive()
        expected = [name for service in services for name in names(service.told)]
        until(lambda: log.head().position - len(before) >= len(expected), 30)
        assert sidecar.run("drain").returncode == 0
        assert sidecar.process is not None
        assert sidecar.process.wait(30) == 0
    held = [name for name in decision_ids(log) if name not in before]
    lost = set(expected) - set(held)
    twice = [name for name, count in collections.Counter(held).items() if count > 1]
    assert lost == set()
    assert twice == []
    for service in services:
        mine = [name for name in held if name.startswith(str(service.writer))]
        assert mine[: len(service.told) * 5] == names(service.told)
    log.verify()
    return {"kills": kills, "events": len(expected), "resent": sum(service.resent for service in services)}


def test_nothing_acknowledged_is_lost_or_doubled(fresh_log: Log, tmp_path: Path) -> None:
    settings = "[ship]\nlinger_s = 0.05\nbackoff_s = 0.05\n[spool]\nsegment_bytes = 262144\n"
    counts = kill_again_and_again(tmp_path / "spool", fresh_log, KILLS, settings)
    assert counts["events"] > 100


def test_durability_process_survives_kills_as_well(fresh_log: Log, tmp_path: Path) -> None:
    settings = '[ship]\nlinger_s = 0.05\n[spool]\ndurability = "process"\nsegment_bytes = 131072\n'
    counts = kill_again_and_again(tmp_path / "spool", fresh_log, 6, settings, seed=2)
    assert counts["events"] > 100


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    given = parser.parse_args()
    started = time.monotonic()
    with (
        servers.embedded(synced=True) as server,
        servers.fresh_database(server) as url,
        create_log(url=url) as made,
        tempfile.TemporaryDirectory() as home,
    ):
        held_to = "[ship]\nlinger_s = 0.05\n[spool]\nsegment_bytes = 262144\n"
        print(kill_again_and_again(Path(home) / "spool", made, given.kills, held_to))  # noqa: T201
    print(f"{time.monotonic() - started:.0f} s")  # noqa: T201
