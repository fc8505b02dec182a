"""SIGKILL of `harness monitor run`: no answer is doubled or lost, and the next run goes on where it was."""

import datetime as dt
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from harness.log.log import Log
from harness.monitor.file import read_monitor
from harness.monitor.registered import register
from harness.monitor.run import INPUTS, OUTCOMES, Ran, explain, history, run
from tests.process.test_monitors import LABEL, TEXT
from tests.support.shop import Shop
from tests.support.sidecars import until

KILLS, DAYS = 4, 36
CODE = "from harness.cli.entry import main; main()"
COMMAND = [sys.executable, "-c", CODE, "monitor", "run", "inputs", "--json", "--as-of"]


def started(log: Log, folder: Path, place: int) -> "subprocess.Popen[str]":
    environment = {**os.environ, "HARNESS_DATABASE_URL": log.url}
    return subprocess.Popen(
        [*COMMAND, str(place), "--folder", str(folder)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def killed(log: Log, folder: Path, place: int, chance: random.Random) -> None:
    """Run until some answers more are in the log, and somewhat further into the next one."""
    wanted = len(said(log)) + chance.randrange(8)
    with started(log, folder, place) as process:
        until(lambda: len(said(log)) >= wanted or process.poll() is not None, 200)
        time.sleep(0.05 * chance.random())
        process.kill()


def said(log: Log) -> list[str]:
    """Return the days that were answered, in the order of the log, by what was answered."""
    events = sorted(
        (event for kind in (INPUTS, OUTCOMES) for event in log.controls(kind, "inputs")),
        key=lambda event: event.position,
    )
    return [f"{event.type} {event.body['day']}" for event in events]


def states(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / ".harness").rglob("*.json")}


def test_a_run_that_is_killed_at_any_moment_is_continued_to_the_same_bytes(
    event_log: Log, tmp_path: Path
) -> None:
    Shop(event_log, gone=(22,), turned=26).days(0, DAYS)
    path = tmp_path / "monitor.toml"
    path.write_text(TEXT.format(id="inputs", more=LABEL))
    register(event_log, read_monitor(path))
    place = event_log.head().position
    whole = run(event_log, "inputs", place, dry_run=True, folder=tmp_path / "whole")
    folder, chance = tmp_path / "killed", random.Random(9)
    folder.mkdir()
    stops = []
    for _ in range(KILLS):
        killed(event_log, folder, place, chance)
        stops.append(len(said(event_log)))
        assert len(set(said(event_log))) == stops[-1], "an answer is doubled"
    assert len(set(stops)) > 1, "it was killed between answers"
    with started(event_log, folder, place) as process:
        told, faults = process.communicate(timeout=300)
    assert process.returncode in {0, 10, 20, 30}, faults
    added: list[dict[str, Any]] = [*json.loads(told)["inputs"], *json.loads(told)["outcomes"]]
    assert len(added) == len(said(event_log)) - stops[-1] > 0, "it went on where it was"
    inputs, outcomes = history(event_log, "inputs")
    assert (tuple(inputs), tuple(outcomes)) == (whole.inputs, whole.outcomes)
    assert states(folder) == states(tmp_path / "whole")
    assert run(event_log, "inputs", place, folder=folder) == Ran("inputs", (), ())
    for body in (inputs[0], inputs[7], inputs[-1]):
        assert body in explain(event_log, "inputs", dt.date.fromisoformat(body["day"]))
