"""A tail of a model that remembers, killed between scoring and commit: each score once, those of a replay."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from harness.log.log import Log
from harness.models import add_model
from harness.replay_runner import run_replay
from harness.tail.targets import Target
from tests.support.history import POINT, History
from tests.support.tails import scores_of, serving, stored_scores, wait_until

ROOT = Path(__file__).parents[2]
REMEMBERS = """
import json
class Count:
    inputs = ("kind", "items")
    def __init__(self):
        self.seen = {}
    def score(self, frame):
        return [self.seen.get(kind, 0) + items for kind, items in zip(frame["kind"], frame["items"])]
    def observe(self, frame):
        for kind in frame["kind"]:
            self.seen[kind] = self.seen.get(kind, 0) + 1
    def snapshot(self):
        return json.dumps(sorted(self.seen.items())).encode()
    def restore(self, state):
        self.seen = dict(json.loads(state))
"""
# Killed at its first batch of scores: it is in hand, or was committed a moment ago.
KILLED = """
import os, signal, sys
from harness.cli.entry import main
from harness.log.log import Log
committed, real = sys.argv.pop(1) == "committed", Log.append
def append(log, batch):
    if batch.kind == "score" and not committed:
        os.kill(os.getpid(), signal.SIGKILL)
    found = real(log, batch)
    if batch.kind == "score":
        os.kill(os.getpid(), signal.SIGKILL)
    return found
Log.append = append
main()
"""


def killed(log: Log, folder: Path, when: str) -> None:
    """Follow with the command until it is killed at its first batch of scores."""
    words = ["shadow", "start", "--model", "count:1", "-d", POINT, "--from", "1", "--linger", "0"]
    command = [sys.executable, "-c", KILLED, when, *words]
    environment = {**os.environ, "HARNESS_DATABASE_URL": log.url, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_killed_with_scores_in_hand_or_just_committed_it_scores_as_a_replay_does(
    event_log: Log, tmp_path: Path
) -> None:
    for name, more in (("count", ""), ("same", "# under other bytes: nobody has scored for it\n")):
        (tmp_path / f"{name}.py").write_text(REMEMBERS + more)
        uri = f"py:{name}:Count?key=kind"
        add_model(event_log, uri, name=name, version="1", folder=tmp_path)
    history, done, stored = History(event_log, size=40), 0, []
    for when in ("in hand", "committed", "in hand", "committed"):
        history.decisions(done, done + 200)
        done += 200
        killed(event_log, tmp_path, when)
        stored.append(stored_scores(event_log))
    assert stored == [0, 400, 400, 800]
    _start, stop = history.decisions(done, done + 200)
    with serving(event_log, [Target("count:1", POINT, 1)], tmp_path):
        wait_until(lambda: stored_scores(event_log) == done + 200)
    run_replay(event_log, "same:1", decision_point=POINT, start=1, stop=stop, folder=tmp_path)
    assert scores_of(event_log, "count:1", 1, stop).equals(scores_of(event_log, "same:1", 1, stop))
