"""kill -9 at every step of sealing, compacting, releasing: nothing lost, nothing twice, no orphan left.

A step is each thing that the outside world sees: a statement of the database, a call of the store.
"""

import itertools
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from harness.config import StorePlace
from harness.database import create_log, upgrade
from harness.lease import is_held
from harness.log.compact import compact
from harness.log.connection import Connection
from harness.log.log import Log
from harness.log.publish import publish
from harness.log.release import release
from harness.log.seal import SWEPT, seal, swept_after
from harness.log.seal import sweep as sweep_files
from harness.log.store import Store
from harness.segment_errors import SealBusy
from recorders.append import Appender
from tests.support import servers
from tests.support.filled import fill, reads, small_log

STEPS = ((Connection, "rows"), (Appender, "append"), (Store, "put"), (Store, "read"), (Store, "delete"))
# Of all steps, one in so many; `__main__` takes every one, each from the same beginning.
STRIDE, LIFE = 9, 60


def life(log: Log) -> None:
    """Seal, compact and release all there is."""
    seal(log, events=100)
    compact(log, events=400)
    release(log, timedelta(0))


def killed_at(place: StorePlace, url: str, step: int, *, after: bool) -> bool:
    """Return whether a process that lives a life was killed before, or after, its `step`th step."""
    child = os.fork()
    if not child:
        code = 3
        try:
            left = [step]
            for owner, name in STEPS:
                setattr(owner, name, counted(getattr(owner, name), left, after=after))
            with Log(url, store=place) as log:
                life(log)
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, -signal.SIGKILL}, step
    return code != 0


def counted(real: Callable[..., Any], left: list[int], *, after: bool) -> Callable[..., Any]:
    def call(*given: Any, **named: Any) -> Any:
        left[0] -= 1
        if not left[0] and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        found = real(*given, **named)
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    return call


def harmless(url: str, place: StorePlace, before: list[pa.Table], step: int) -> None:
    """Check what a killed process left, and wait until the server has heard of its death."""
    with Log(url, store=place) as log:
        assert reads(log) == before, step
        assert log.verify().holds, step
        while is_held(url, "seal", str(log.sealed.log_id)):
            time.sleep(0.01)


def ended(log: Log, before: list[pa.Table]) -> None:
    """Live a whole life, and check that it ended all that was begun."""
    life(log)
    named = {path for segment in log.sealed.segments() for path in segment.paths()}
    assert {found.path for found in log.sealed.store.files()} == named
    assert reads(log) == before
    assert log.sealed.stop() > log.head().position - 100


def every_step(server: str, template: str, *, after: bool) -> int:
    """Return how many steps one life has; a process was killed at each, all from the same beginning."""
    with tempfile.TemporaryDirectory() as name, servers.fresh_database(server, template) as begun:
        store = Path(name, "begun")
        create_log(url=begun, clock="event", partition_positions=100).close()
        with Log(begun, store=StorePlace(str(store))) as log:
            fill(log)
            seal(log, events=100)
            fill(log)
            before = reads(log)
        for step in itertools.count(1):
            place = StorePlace(str(shutil.copytree(store, Path(name, str(step)))))
            with servers.fresh_database(server, servers.database_of(begun)) as url:
                if not killed_at(place, url, step, after=after):
                    return step - 1
                harmless(url, place, before, step)
                with Log(url, store=place) as log:
                    ended(log, before)
    raise AssertionError("a life ends")


def sweep(database_url: str, migrated: str, stride: int, *, after: bool) -> int:
    """Return at how many steps a life was killed; each begins in what the last left, and 46 events more."""
    with tempfile.TemporaryDirectory() as folder, small_log(database_url, migrated, Path(folder)) as log:
        place = log.sealed._place
        assert place is not None
        fill(log, 3)
        kills, before = 0, reads(log)
        while killed_at(place, log.url, 1 + kills * stride, after=after):
            kills += 1
            harmless(log.url, place, before, kills)
            fill(log, 1)
            before = reads(log)
        ended(log, before)
        assert sum(event.body["files"] for event in log.controls(SWEPT)) > 0, "kills leave orphans"
        return kills


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_wherever_it_is_killed_the_next_run_ends_what_was_begun(
    database_url: str, migrated: str, after: bool
) -> None:
    assert sweep(database_url, migrated, STRIDE, after=after) * STRIDE > LIFE


def test_orphans_are_swept_and_counted_although_nothing_is_new(log: Log) -> None:
    fill(log, 2)
    (segment,) = seal(log)
    for path in ("ledgers/1-9-0123456789ab.parquet", "segments/p/decision/x/1-9-0123456789ab.parquet"):
        log.sealed.store.put(f"{log.sealed.log_id}/{path}", Path(__file__))
    head = log.head().position
    assert seal(log) == []
    assert swept_after(log, head) == 2
    assert log.controls(SWEPT)[0].body == {"files": 2, "bytes": 2 * Path(__file__).stat().st_size}
    assert {found.path for found in log.sealed.store.files()} == set(segment.paths())
    head = log.head().position
    assert seal(log) == []
    assert log.head().position == head, "nothing is said of nothing"
    fill(log, 1)
    assert [one.first for one in seal(log)] == [segment.stop]


def test_who_slept_while_another_swept_registers_nothing(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sealer that lost its lease has its files in the store; another one sweeps them away."""
    fill(log, 2)

    def slept(*given: Any) -> Any:
        found = publish(*given)
        monkeypatch.undo()
        with Log(log.url, store=log.sealed._place) as other:
            assert sweep_files(other) > 0
        return found

    monkeypatch.setattr("harness.log.seal.publish", slept)
    with pytest.raises(SealBusy):
        seal(log)
    before = reads(log)
    assert log.sealed.stop() == 1
    assert len(seal(log)) == 1
    assert reads(log) == before


@pytest.fixture
def log(database_url: str, migrated: str, tmp_path: Path) -> Iterator[Log]:
    with small_log(database_url, migrated, tmp_path / "segments") as log:
        yield log


if __name__ == "__main__":  # every step: python -m tests.process.test_seal_kills
    with servers.embedded() as server, servers.fresh_database(server) as fresh:
        upgrade(fresh)
        for late in (False, True):
            steps = every_step(server, servers.database_of(fresh), after=late)
            sys.stdout.write(f"killed {'after' if late else 'before'} each of {steps} steps\n")
