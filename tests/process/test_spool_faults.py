"""Inbox and outbox on a disk that fails at any one call, and after a power cut at any moment.

A sample of both here; all of it: `python -m tests.process.test_spool_faults [--states 20000] [--seed 1]`.
"""

import argparse
import collections
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.support.interposed import compiled

ROOT = Path(__file__).parents[2]
# How a life may end: by itself, by the fault's own SIGKILL, or with an error that names a remedy.
ENDS = ("", "killed", "SpoolDamaged", "SpoolUnusable")


def program(name: str, library: Path, *arguments: object) -> dict[str, Any]:
    """Return what a program says that runs behind a library."""
    done = subprocess.run(
        [sys.executable, "-m", f"tests.process.{name}", *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"LD_PRELOAD": str(library)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    struck = sum(line.startswith("fault ") for line in done.stderr.splitlines())
    said: dict[str, Any] = json.loads(done.stdout)
    return said | {"struck": struck}


def faults(folder: Path, points: int, seed: int) -> dict[str, Any]:
    """Return the counts of a run that held: nothing acknowledged lost, nothing twice, no file damaged."""
    library = compiled("disk_faults", folder)
    said = program("spool_under_faults", library, library, "--points", points, "--seed", seed)
    results = said["results"]
    assert said["struck"] == len(results)
    for one in results:
        assert "broken" not in one, one
        assert (one["lost"], one["twice"], one["said"]) == ([], [], {}), one
        assert one["ended"].partition(":")[0] in ENDS, one
        if one["ended"] == "":
            assert one["told"] == 14, one  # what it could bear, it went on from
    kinds = collections.Counter(one["point"].rpartition(":")[0] for one in results)
    return {"calls": said["calls"], "points": len(results), "kinds": dict(kinds)}


def cuts(folder: Path, durability: str, states: int, seed: int) -> dict[str, Any]:
    """Return the counts of power cuts in a life with that durability."""
    library = compiled("disk_trace", folder)
    said = program("power_cuts", library, "--durability", durability, "--states", states, "--seed", seed)
    assert said["broken"] == []
    assert (said["twice"], said["in_vain"]) == (0, 0)
    return said


def test_a_fault_at_any_call_loses_nothing_and_damages_nothing(tmp_path: Path) -> None:
    found = faults(tmp_path, 60, 1)
    assert len(found["kinds"]) == 14
    assert found["calls"]["write"] > 300


def test_a_power_cut_loses_nothing_that_was_synced(tmp_path: Path) -> None:
    found = cuts(tmp_path, "power", 100, 1)
    assert (found["states"], found["lost"], found["said"]) == (100, 0, 0)
    assert found["told"] > 300


def test_a_power_cut_loses_what_was_not_synced(tmp_path: Path) -> None:
    """The control: `durability = "process"` does not promise this, and the model must see that.

    Where a later segment says how far the one before went, the loss is reported.
    """
    found = cuts(tmp_path, "process", 100, 1)
    assert found["losing"] >= 2
    assert found["said"] >= 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--states", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        print(faults(Path(home), 0, given.seed))  # noqa: T201
        for kind in ("power", "process"):
            print(kind, cuts(Path(home), kind, given.states, given.seed))  # noqa: T201
