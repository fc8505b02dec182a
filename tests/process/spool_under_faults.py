"""A fault at the calls that a spool makes, one life for each. Run under `disk_faults.c`, whose path it gets.

`python -m tests.process.test_spool_faults` compiles that and runs this at every call.
"""

import argparse
import collections
import ctypes
import itertools
import json
import os
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.support import spool_life

CALLS = ("write", "sync", "truncate", "unlink", "rename")
KINDS = {
    "write": ("eio", "enospc", "short", "torn", "kill"),
    "sync": ("eio", "kill"),
    "truncate": ("eio", "kill"),
    "unlink": ("eio", "kill"),
    "rename": ("eio", "enospc", "kill"),
}


def counted(library: ctypes.CDLL, home: Path) -> dict[str, int]:
    """Return how many calls of each kind a life without a fault makes."""
    os.environ["FAULT"] = "none"
    spool_life.live(home)
    found = {call: library.calls_counted(place) for place, call in enumerate(CALLS)}
    del os.environ["FAULT"]
    library.calls_forget()
    assert spool_life.after(home) == spool_life.After(spool_life.FRAMES, [], [], [], 0)
    return found


def every_point(calls: dict[str, int]) -> list[str]:
    """Return a fault of each kind at each call."""
    return [
        f"{call}:{kind}:{place}"
        for call, count in calls.items()
        for kind, place in itertools.product(KINDS[call], range(1, count + 1))
    ]


def sample(points: list[str], size: int, seed: int) -> list[str]:
    """Return `size` of the points, each call and kind with its share, at least one; 0 means all."""
    if not size:
        return points
    chance = random.Random(seed)
    kinds: dict[str, list[str]] = {}
    for point in points:
        kinds.setdefault(point.rpartition(":")[0], []).append(point)
    share = size / len(points)
    return [one for some in kinds.values() for one in chance.sample(some, max(1, round(len(some) * share)))]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("library", type=Path)
    parser.add_argument("--points", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    spool_life.begin()
    place = Path("/dev/shm")  # a file system in memory: thousands of lives, none of them kept
    root = Path(tempfile.mkdtemp(prefix="spool-faults-", dir=place if place.is_dir() else None))
    try:
        (root / "whole").mkdir()
        calls = counted(ctypes.CDLL(str(given.library)), root / "whole")
        results = [lived(root, point) for point in sample(every_point(calls), given.points, given.seed)]
    finally:
        shutil.rmtree(root)
    sys.stdout.write(json.dumps({"calls": calls, "results": results}) + "\n")


def lived(root: Path, point: str) -> dict[str, object]:
    """Return what came of a life with the fault `point`."""
    home = root / point
    home.mkdir()
    ended = spool_life.live_in_child(home, point)
    try:
        found = spool_life.after(home)._asdict()
    except (AssertionError, OSError, ValueError) as error:
        found = {"broken": f"{type(error).__name__}: {error}"}
    said = collections.Counter(found.pop("said", []))
    shutil.rmtree(home)
    return {"point": point, "ended": ended, "said": dict(said)} | found


if __name__ == "__main__":
    main()
