"""What bounds the processes of a challenger: for root a control group, left or absent; for others a limit."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from replay.isolation import crowd, nursery, strays
from tests.process.test_challengers import FOLDER, gone, opened, rows

GROUPS = Path("/sys/fs/cgroup")
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root's challengers have groups")
# Another user, who may read where root's interpreter is: no other right of root's comes along.
READS = "dac_read_search"
AS_NOBODY = f"setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps +{READS} --ambient-caps +{READS}"

COUNTS = """
from tests.process.test_challengers import Limits, opened, rows
with opened("counts", Limits(timeout_s=30.0, memory_mb=512, processes=24)) as model:
    print(model.score(rows())["score"].to_pylist(), model.account.sandbox["forks"])
"""

AGAIN = """
import os
from contextlib import suppress
from replay.isolation import crowd
for group in crowd._groups(os.getpid()):
    with suppress(OSError):
        group.mkdir()
        break
print(crowd.grouped(17))
print(group, (group / "pids.max").read_text().strip(), os.getpid() in crowd._members(group))
"""


def run(script: str, *before: str) -> str:
    command = [*before, sys.executable, "-c", script]
    environment = {**os.environ, "PYTHONPATH": os.fspath(FOLDER.parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return done.stdout


def test_an_ordinary_folder_is_no_group_and_is_not_said_to_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowd, "_GROUPS", tmp_path)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _number, controllers, path = line.split(":", 2)
        if "pids" in controllers.split(","):
            (tmp_path / "pids" / path.strip("/")).mkdir(parents=True)
    assert str(crowd.grouped(64)).startswith("not permitted: no control group for processes, ")
    assert not list(tmp_path.glob("**/harness-challenger-*"))


LEAVES = """
import os, signal
from pathlib import Path
from tests.process.test_challengers import children_of, nursery_of, opened, rows
with opened("leaves_some") as model:
    assert model.score(rows())["score"].null_count == 0
    own = model._process
    left = children_of(own._child)
    os.kill(nursery_of(own._nursery), signal.SIGKILL)
    ended = own._nursery._process.wait()
    print(bool(left), ended, [pid for pid in left if Path("/proc", pid, "exe").exists()])
    with opened("good") as next_one:
        print(next_one.score(rows())["score"].null_count)
"""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="nobody here can become another user")
@pytest.mark.parametrize("before", [AS_NOBODY, "env"])
def test_what_a_challenger_left_goes_with_its_nursery_whoever_runs_it(before: str) -> None:
    assert run(LEAVES, *before.split()) == "True 0 []\n0\n"


ORPHANS = """
import os, signal, sys
from pathlib import Path
from tests.process.test_challengers import children_of, gone, nursery_of, opened, rows
with opened("leaves_some") as model:
    assert model.score(rows())["score"].null_count == 0
    own = model._process
    left = children_of(own._child)
    inner, keeper = nursery_of(own._nursery), own._nursery._process
    for pid in (keeper.pid, inner):
        os.kill(pid, signal.SIGKILL)
    own._folder.cleanup()
    gone(own._child, own._folder.name)
    runs = lambda: [pid for pid in left if Path("/proc", pid, "exe").exists()]
    print(*runs(), flush=True)
    if sys.argv[1:] == ["die"]:
        os.kill(os.getpid(), signal.SIGKILL)
    with opened("good") as next_one:
        print(next_one.score(rows())["score"].null_count, runs())
"""
NEXT = """
import sys
from pathlib import Path
from tests.process.test_challengers import opened, rows
with opened("good") as model:
    print(model.score(rows())["score"].null_count)
"""


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="nobody here can become another user")
def test_what_outlives_its_nursery_and_the_keeper_ends_with_the_next_for_who_is_not_root() -> None:
    """Killed together, neither of them ends what a challenger forked into a session of its own."""
    left, after = run(ORPHANS, *AS_NOBODY.split()).splitlines()
    assert left.split()
    assert after == "0 []"


@pytest.mark.skipif(shutil.which("setpriv") is None, reason="nobody here can become another user")
def test_what_outlives_whoever_asked_as_well_ends_with_the_next_process_of_that_user() -> None:
    command = [*AS_NOBODY.split(), sys.executable, "-c", ORPHANS, "die"]
    environment = {**os.environ, "PYTHONPATH": os.fspath(FOLDER.parents[1])}
    done = subprocess.run(command, check=False, env=environment, capture_output=True, text=True)
    left = done.stdout.split()
    assert done.returncode == -signal.SIGKILL
    assert left
    assert all(strays.MARK.encode() in Path("/proc", pid, "environ").read_bytes() for pid in left)
    assert run(NEXT, *AS_NOBODY.split()) == "0\n"
    assert not [pid for pid in left if Path("/proc", pid, "exe").exists()]


@as_root
def test_what_a_challenger_left_goes_with_the_next_when_its_nursery_was_killed() -> None:
    """With the nursery's keeper, which would have ended it, as it ends it where there are no groups."""
    with opened("leaves_some") as model:
        assert model.score(rows())["score"].null_count == 0
        assert model.account.sandbox["forks"] == crowd.HELD
        child, home = model._process._child, model._process._folder
        (group,) = GROUPS.glob(f"**/harness-challenger-*-{child}")
        keeper = nursery.nursery_for(1)._process
        keeper.kill()
        keeper.wait()
        home.cleanup()
        gone(child, home.name)
        left = crowd._members(group)
        assert left
        with opened("good") as next_one:
            assert next_one.account.sandbox["forks"] == crowd.HELD
            assert not group.exists()
            assert not [number for number in left if Path("/proc", str(number), "exe").exists()]


@as_root
def test_a_group_left_under_a_number_that_is_used_again_is_made_anew() -> None:
    told, where = run(AGAIN).splitlines()
    group, most, inside = where.split()
    Path(group).rmdir()
    assert (told, most, inside) == (crowd.HELD, "17", "True")


@as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="nobody here can become another user")
def test_who_is_not_root_is_bound_by_a_limit() -> None:
    assert run(COUNTS, *AS_NOBODY.split()) == f"{[23.0] * 8} {crowd.HELD}\n"
