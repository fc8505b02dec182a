"""A replay killed at seeded random moments, again and again, and what must be true when it has ended."""

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from harness.log.log import Log
from harness.models import add_model
from harness.replay_batches import GROUP_ROWS
from harness.replay_runner import run_replay
from harness.replays import NAMESPACE, list_replays, read_scores
from tests.support.history import POINT, History

MODEL = """
import time

def paced(frame):
    time.sleep({pause_s})
    return frame["items"] * 0.5
paced.inputs = ("items",)
"""
# Small parts, so that a part is done between two kills.
COMMAND = """
import harness.scored_parts
harness.scored_parts.PART_ROWS = {part_rows}
from harness.cli.entry import main
main()
"""
AHEAD = 4
STARTS_S, STEP_S = 3.0, 0.3


class Killed:
    """A run over `groups` groups of blocks, by the command line with `workers`, in a log of its own."""

    def __init__(self, log: Log, folder: Path, *, groups: int, workers: int, pause_s: float = 0.02) -> None:
        self.log, self.folder, self.workers = log, folder, workers
        (folder / "paced_model.py").write_text(MODEL.format(pause_s=pause_s))
        self.rows = groups * GROUP_ROWS - 77
        self.part = History(log, size=4_000).decisions(0, self.rows)
        add_model(log, "py:paced_model:paced", name="paced", version="1", folder=folder)
        self.kills: list[int] = []

    def life(self, *more: str) -> "subprocess.Popen[str]":
        """Start the command."""
        first, after = (str(edge) for edge in self.part)
        words = ("replay", "run", "--model", "paced:1", "-d", POINT, "--from", first, "--to", after)
        code = COMMAND.format(part_rows=GROUP_ROWS)
        return subprocess.Popen(
            [sys.executable, "-c", code, *words, "--workers", str(self.workers), *more],
            cwd=self.folder,
            env={**os.environ, "HARNESS_DATABASE_URL": self.log.url, "PYTHONPATH": str(Path.cwd())},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def appended(self) -> int:
        """Return how many groups are in the log."""
        runs = list_replays(self.log)
        return self.log.writer_high_water(uuid.uuid5(NAMESPACE, runs[0].id)) if runs else 0

    def kill(self, chance: random.Random) -> bool:
        """Start the command and kill it: while it starts, or some groups later; False: it had ended."""
        ahead = chance.randrange(AHEAD)
        wait_s = chance.uniform(0.0, STEP_S if ahead else STARTS_S)
        began, process = self.appended(), self.life()
        while self.appended() < began + ahead and process.poll() is None:
            time.sleep(0.02)
        time.sleep(wait_s)
        process.kill()
        process.communicate()
        if process.returncode != -signal.SIGKILL:
            return False
        self.kills.append(self.appended())
        return True

    def end(self) -> dict[str, Any]:
        """Run it to its end; return the run. Each decision has one score, whoever was killed."""
        process = self.life("--json")
        out, err = process.communicate(timeout=600)
        assert process.returncode == 0, err
        run: dict[str, Any] = json.loads(out)
        assert run["rows"] == run["scored"] == self.rows
        assert read_scores(self.log, run["model_digest"], POINT, *self.part).num_rows == self.rows
        stored = self.log.read(1, self.log.head().position + 1, kind="score", decision_point=POINT)
        assert sum(batch.num_rows for batch in stored) == self.rows
        return run


def undisturbed(log: Log, folder: Path, of: Killed) -> str | None:
    """Return the digest of the same run in another log, by nobody killed, in this process."""
    assert History(log, size=4_000).decisions(0, of.rows) == of.part
    add_model(log, "py:paced_model:paced", name="paced", version="1", folder=folder)
    start, stop = of.part
    return run_replay(log, "paced:1", decision_point=POINT, start=start, stop=stop, folder=folder).digest
