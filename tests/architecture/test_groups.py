"""Tests that share what is expensive stay together: pytest and xdist that part them say nothing of it."""

import subprocess
import sys
from pathlib import Path

GROUPED = """
import os
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("one")


@pytest.mark.parametrize("number", range(8))
def test_tells_where_it_runs(number):
    Path(f"ran-{number}").write_text(os.environ["PYTEST_XDIST_WORKER"])
"""


def test_a_group_stays_together(tmp_path: Path) -> None:
    (tmp_path / "test_grouped.py").write_text(GROUPED)
    # Without a folder of its own it would close the one above ours to the accounts that servers run as.
    alone = ["-p", "no:cacheprovider", "--basetemp", str(tmp_path / "base")]
    command = [sys.executable, "-m", "pytest", "-n", "2", "--dist", "loadgroup", *alone]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    workers = [ran.read_text() for ran in tmp_path.glob("ran-*")]
    assert (len(workers), len(set(workers))) == (8, 1), workers
