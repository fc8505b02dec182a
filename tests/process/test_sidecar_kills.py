"""SIGKILL hits sidecar and database again and again in one run under load: nothing told is lost or doubled.

The suite takes a few of each. The whole: `python -m tests.process.test_sidecar_kills`, a hundred kills of the
sidecar and twenty of the database, half of them of one backend, half of the whole server.
"""

import argparse
import collections
import os
import random
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from harness.database import create_log
from harness.embedded import Embedded
from harness.log.log import Log
from recorders.errors import LinkUnavailable
from recorders.frame import Frame
from recorders.socket_link import SocketLink
from tests.support.sidecars import FEATURES, Running, decision_ids, decisions, names, until

PACE = "[ship]\nlinger_s = 0.05\nbackoff_s = 0.05\nbackoff_max_s = 0.3\n[spool]\nsegment_bytes = 262144\n"
PATIENCE_S = 120.0
KILLS = (20, 3)
EVENTS = 5


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
            frame = decisions(self.writer, sequence, EVENTS)
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


class Database:
    """A server of this run's own, to be killed."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._server = Embedded(home)
        self.url = self._server.url

    def kill_backend(self) -> None:
        """Kill the shipper's backend, or another one: the whole server recovers."""
        end = time.monotonic() + PATIENCE_S
        while True:
            assert time.monotonic() < end
            try:
                with psycopg.connect(self.url, autocommit=True) as connection:
                    (pid,) = connection.execute(
                        "select pid from pg_stat_activity where backend_type = 'client backend'"
                        " order by application_name = 'harness-append' desc limit 1"
                    ).fetchone()
                    os.kill(pid, signal.SIGKILL)
                    # Until the server ends this connection too, a new one is to the server that goes down.
                    until(lambda connection=connection: is_lost(connection), PATIENCE_S)
                    return
            except psycopg.OperationalError:
                time.sleep(0.05)  # it recovers still

    def kill_server(self, away_s: float) -> None:
        """Kill the server itself, and start it again after a while."""
        pid = int((self._home / "postgres" / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)
        until(lambda: not self.answers, PATIENCE_S)
        time.sleep(away_s)
        self._server.close()
        self._server = Embedded(self._home)

    @property
    def answers(self) -> bool:
        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True

    def close(self) -> None:
        self._server.close()


def is_lost(connection: "psycopg.Connection[tuple[object, ...]]") -> bool:
    try:
        connection.execute("select 1")
    except psycopg.OperationalError:
        return True
    return False


@contextmanager
def new_database() -> Iterator[Database]:
    """Yield a server that syncs, as a user's does, with a log."""
    with tempfile.TemporaryDirectory(prefix="harness-test-", ignore_cleanup_errors=True) as home:
        database = Database(Path(home) / ".harness")
        try:
            create_log(url=database.url).close()
            yield database
        finally:
            database.close()


def kill_again_and_again(
    folder: Path, database: Database, kills: tuple[int, int], *, settings: str = PACE, seed: int = 1
) -> dict[str, int]:
    """Return the counts of a run that held: nothing lost, nothing twice, order kept.

    `kills` are those of the sidecar and of the database, in an order of chance.
    """
    chance = random.Random(seed)
    backends = (kills[1] + 1) // 2
    victims = ["sidecar"] * kills[0] + ["backend"] * backends + ["server"] * (kills[1] - backends)
    chance.shuffle(victims)
    with Log(database.url) as log:
        before = log.head().position
    with Running(folder, database.url, settings) as sidecar:
        services = [Service(sidecar.address, "load") for _ in range(3)]
        for service in services:
            service.start()
        for victim in victims:
            time.sleep(chance.uniform(0.0, 0.4))
            if victim == "backend":
                database.kill_backend()
            elif victim == "server":
                database.kill_server(chance.uniform(0.0, 1.0))
            else:
                sidecar.kill()
                sidecar.start()
        time.sleep(0.2)
        for service in services:
            service.stopping = True
        for service in services:
            service.join(PATIENCE_S)
            assert not service.is_alive()
        until(lambda: database.answers, PATIENCE_S)
        expected = sum(len(service.told) for service in services) * EVENTS
        with Log(database.url) as log:
            until(lambda: log.head().position - before >= expected, PATIENCE_S)
        assert sidecar.run("drain").returncode == 0
        assert sidecar.process is not None
        assert sidecar.process.wait(30) == 0
    with Log(database.url) as log:
        held = decision_ids(log)
        assert log.controls("recorder.loss") == []
        log.verify()
    for service in services:
        mine = [name for name in held if name.startswith(str(service.writer))]
        assert mine == names(service.told)  # none lost, none twice, in their order
    resent = sum(service.resent for service in services)
    return {"events": expected, "resent frames": resent, **collections.Counter(victims)}


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    """One that no other test uses: it is killed."""
    with new_database() as made:
        yield made


def test_nothing_acknowledged_is_lost_or_doubled(database: Database, tmp_path: Path) -> None:
    assert kill_again_and_again(tmp_path / "spool", database, KILLS)["events"] > 100


def test_durability_process_survives_kills_as_well(database: Database, tmp_path: Path) -> None:
    settings = PACE + 'durability = "process"\n'
    assert (
        kill_again_and_again(tmp_path / "spool", database, (6, 0), settings=settings, seed=2)["events"] > 100
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--database-kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    started = time.monotonic()
    with new_database() as own, tempfile.TemporaryDirectory() as spool:
        numbers = (given.kills, given.database_kills)
        print(kill_again_and_again(Path(spool) / "spool", own, numbers, seed=given.seed))  # noqa: T201
    print(f"{time.monotonic() - started:.0f} s")  # noqa: T201
