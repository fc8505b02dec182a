"""Real scheduler processes on one database: no look twice, nothing lost by kill -9, a clean end."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness.experiment_lint import read_experiment
from harness.experiments import register
from harness.log.log import Log
from harness.looks import stored_looks
from harness.models import add_model
from harness.scheduler import CLAIMED, COMPLETED, FAILED
from tests.support.command_line import HARNESS
from tests.support.shop import Shop, experiment_text

ROOT = Path(__file__).parents[2]
SCHEDULE = """
[[schedule]]
name = "often"
job = "evaluate"
experiment = "returned-1"
every = "{every}"
decide = false
"""
PATIENCE_S = 90.0


def shop_in(log: Log, folder: Path, model: str, every: str) -> Shop:
    found = Shop(log)
    uri = f"py:tests.support.shop:{model}"
    add_model(log, uri, name=model, version="1", trained_until=0, inputs=["x"], folder=folder)
    (folder / "experiment.toml").write_text(experiment_text(model=f"{model}:1", max_looks=999))
    (folder / "harness.toml").write_text(SCHEDULE.format(every=every))
    register(log, read_experiment(folder / "experiment.toml"))
    return found


@contextmanager
def serving(log: Log, folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [*HARNESS, "schedule", "serve", "-C", str(folder), "--sweep", "0.5"]
    environment = {
        **os.environ,
        "HARNESS_DATABASE_URL": log.url,
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
    }
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.1)


def slots(log: Log, type_: str) -> list[str]:
    return [event.body["slot"] for event in log.controls(type_)]


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_two_schedulers_never_take_one_look_twice(event_log: Log, tmp_path: Path) -> None:
    shop = shop_in(event_log, tmp_path, "oracle", "1s")
    shop.days(0, 5)
    with serving(event_log, tmp_path) as one, serving(event_log, tmp_path) as two:
        for day in range(5, 9):
            until(lambda day=day: len(stored_looks(event_log, "returned-1")) >= day - 4)
            shop.days(day, day + 1)
        for process in (one, two):
            process.send_signal(signal.SIGTERM)
        assert [process.wait(30) for process in (one, two)] == [0, 0]
    ended = slots(event_log, COMPLETED)
    assert event_log.controls(FAILED) == []
    assert max(Counter(ended).values()) == 1
    assert max(Counter(slots(event_log, CLAIMED)).values()) == 1
    # SIGTERM waits for the current job: what was claimed has ended.
    assert sorted(slots(event_log, CLAIMED)) == sorted(ended)
    looks = [taken.look for taken in stored_looks(event_log, "returned-1")]
    assert [look.number for look in looks] == list(range(1, len(looks) + 1))
    assert len({look.as_of.position for look in looks}) == len(looks)


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_killed_scheduler_is_taken_over_at_the_position_it_had_claimed(
    event_log: Log, tmp_path: Path
) -> None:
    shop = shop_in(event_log, tmp_path, "slow", "52w")
    shop.days(0, 8)
    with serving(event_log, tmp_path) as first:
        until(lambda: bool(event_log.controls("replay.started")))
        first.send_signal(signal.SIGKILL)
        first.wait(30)
    [claim] = event_log.controls(CLAIMED)
    assert event_log.controls(COMPLETED) == []
    shop.days(8, 9)
    with serving(event_log, tmp_path) as second:
        until(lambda: bool(event_log.controls(COMPLETED)))
        second.send_signal(signal.SIGTERM)
        assert second.wait(30) == 0
    [taken] = stored_looks(event_log, "returned-1")
    assert taken.look.as_of.position == claim.body["as_of"]
    assert taken.look.integrity.reasons["unscored"] == 0
