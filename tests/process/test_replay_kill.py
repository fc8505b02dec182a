"""A replay that is killed goes on where the log is; a person who stops one is told how."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import pytest

from harness.database import create_log
from harness.models import add_model
from harness.replay_runner import run_replay
from harness.replays import NAMESPACE, list_replays, read_scores
from tests.support import servers
from tests.support.command_line import HARNESS
from tests.support.history import POINT, History
from tests.support.replay_kills import Killed, undisturbed

ROWS = 24_000
SLOW = """
import time
import uuid
from pathlib import Path
def slow(frame):
    time.sleep(0.1)
    return frame["items"] * 0.5
slow.inputs = ("items",)
"""


@pytest.fixture
def world(event_log, tmp_path):
    (tmp_path / "slow_model.py").write_text(SLOW)
    part = History(event_log, size=4_000).decisions(0, ROWS)
    add_model(event_log, "py:slow_model:slow", name="slow", version="1", folder=tmp_path)
    return event_log, part, tmp_path


def command(log, folder, *words):
    return subprocess.Popen(
        [*HARNESS, *words],
        cwd=folder,
        env={**os.environ, "HARNESS_DATABASE_URL": log.url, "PYTHONPATH": str(Path.cwd())},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def replay_words(part):
    return ("replay", "run", "--model", "slow:1", "-d", POINT, "--from", str(part[0]), "--to", str(part[1]))


def wait_for_batches(log, count):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        runs = list_replays(log)
        if runs and log.writer_high_water(uuid.uuid5(NAMESPACE, runs[0].id)) >= count:
            return
        time.sleep(0.02)
    raise AssertionError("the replay never came to its batches")


def test_killed_twice_it_ends_with_the_scores_of_an_undisturbed_run(world, fresh_log):
    log, part, folder = world
    for batches in (1, 3):
        process = command(log, folder, *replay_words(part))
        wait_for_batches(log, batches)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    resumed = command(log, folder, *replay_words(part), "--json")
    out, err = resumed.communicate(timeout=120)
    assert resumed.returncode == 0, err
    run = json.loads(out)
    assert run["rows"] == run["scored"] == ROWS
    assert read_scores(log, run["model_digest"], POINT, *part).num_rows == ROWS
    batches = [b.num_rows for b in log.read(1, log.head().position + 1, kind="score", decision_point=POINT)]
    assert sum(batches) == ROWS

    same = History(fresh_log, size=4_000).decisions(0, ROWS)
    assert same == part
    add_model(fresh_log, "py:slow_model:slow", name="slow", version="1", folder=folder)
    whole = run_replay(fresh_log, "slow:1", decision_point=POINT, start=part[0], stop=part[1], folder=folder)
    assert (whole.id, whole.digest) == (run["id"], run["digest"])


def test_killed_with_its_workers_it_ends_with_the_digest_of_an_undisturbed_run(
    event_log, fresh_log, tmp_path
):
    killed, chance = Killed(event_log, tmp_path, groups=6, workers=2, pause_s=0.15), random.Random(3)
    while not killed.kills:
        assert killed.kill(chance)
    assert killed.end()["digest"] == undisturbed(fresh_log, tmp_path, killed)


def test_stopped_by_a_person_it_says_how_to_go_on(world):
    log, part, folder = world
    process = command(log, folder, *replay_words(part), "--timeout", "30")
    wait_for_batches(log, 2)
    process.send_signal(signal.SIGINT)
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "go on with:\n  harness replay run --model slow:1" in err
    assert err.rstrip().endswith(f"--to {part[1]} --timeout 30.0")
    again = command(log, folder, *replay_words(part))
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert f"scored   {ROWS:,} of {ROWS:,}" in out


def test_told_to_end_while_a_row_is_scored_it_ends_and_marks_no_row(event_log, tmp_path):
    (tmp_path / "waits.py").write_text(
        "import time\ncalls = []\ndef first(frame):\n    calls.append(1)\n"
        "    time.sleep(20 if len(calls) == 1 else 0)\n    return frame['items'] * 0.5\n"
        "first.inputs = ('items',)\n"
    )
    start, stop = History(event_log).decisions(0, 30)
    add_model(event_log, "py:waits:first", name="slow", version="1", folder=tmp_path)
    process = command(event_log, tmp_path, *replay_words((start, stop)), "--timeout", "30")
    deadline = time.monotonic() + 60
    while not list_replays(event_log):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 143
    run = list_replays(event_log)[0]
    assert read_scores(event_log, run.model_digest, POINT, start, stop).num_rows == 0


def test_a_trained_range_ends_with_code_30_and_names_the_positions(world):
    log, part, folder = world
    add_model(log, "py:slow_model:slow", name="slow", version="2", trained_until=part[0] + 9, folder=folder)
    words = ["slow:2" if word == "slow:1" else word for word in replay_words(part)]
    process = command(log, folder, *words)
    _out, err = process.communicate(timeout=60)
    assert process.returncode == 30
    assert f"from position {part[0] + 10} on" in err


def test_without_an_end_the_same_command_goes_on_and_then_answers_from_the_log(world):
    log, part, folder = world
    words = ("replay", "run", "--model", "slow:1", "-d", POINT, "--from", str(part[0]))
    process = command(log, folder, *words)
    wait_for_batches(log, 2)
    process.kill()
    process.communicate()
    told = []
    for _again in range(2):
        out, err = command(log, folder, *words, "--json").communicate(timeout=120)
        assert out, err
        told.append(json.loads(out))
    assert told[0] == told[1]
    assert told[0]["rows"] == ROWS
    assert len(list_replays(log)) == 1


def main(kills: int, seed: int) -> None:
    """Kill a replay so often, alone and with two workers; its digest is that of an undisturbed run."""
    for workers in (1, 2):
        with (
            tempfile.TemporaryDirectory() as name,
            servers.embedded() as server,
            servers.fresh_database(server) as one,
            servers.fresh_database(server) as other,
            create_log(url=one, clock="event") as log,
            create_log(url=other, clock="event") as calm,
        ):
            killed, chance = Killed(log, Path(name), groups=6 * kills, workers=workers), random.Random(seed)
            while len(killed.kills) < kills:
                assert killed.kill(chance), f"it had ended after {len(killed.kills)} kills"
            found, expected = killed.end()["digest"], undisturbed(calm, Path(name), killed)
            assert found == expected, (found, expected)
            said = f"{kills} x kill -9 after groups {killed.kills}: digest {found}"
            sys.stdout.write(f"{workers} worker(s), seed {seed}: {said}\n")


if __name__ == "__main__":  # python -m tests.process.test_replay_kill 20 [SEED]
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 1)
