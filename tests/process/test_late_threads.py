"""A library's thread that is late at the end of the interpreter does not need it any more (docs/adr/0110)."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.interposed import compiled

ROOT = Path(__file__).parents[2]
TRIES = 5  # not every time it is the held thread that lets go last


def ended(what: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Return how a process ended whose threads were late."""
    return subprocess.run(
        [sys.executable, "-m", "tests.process.late_threads", what, str(folder)],
        cwd=ROOT,
        env=os.environ | {"LD_PRELOAD": str(compiled("late_threads", folder))},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="such a thread is stopped there, and never ends")
def test_a_thread_that_gives_memory_back_to_python_aborts_the_end(tmp_path: Path) -> None:
    """What the others would do: without it they could pass for want of a thread that is late."""
    for _ in range(TRIES):
        done = ended("library", tmp_path)
        if done.returncode:
            break
    assert done.returncode == -signal.SIGABRT
    assert done.stderr == "terminate called without an active exception\n"
    assert int(done.stdout) > 0


@pytest.mark.parametrize("what", ["segment", "fetched", "condition", "statuses"])
def test_what_reads_ends_as_it_should_beside_late_threads(what: str, tmp_path: Path) -> None:
    done = ended(what, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
