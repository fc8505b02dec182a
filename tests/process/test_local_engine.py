"""The local engine when workers die: killed, killed by their part, or left behind by who began them."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.engines.engine import staying
from harness.engines.errors import PartPoisoned
from harness.engines.local import Local
from tests.support.parts import (
    has_imported,
    killed_once,
    poison,
    poison_beside_a_slow_one,
    told,
    worker_of,
)
from tests.support.sidecars import until

ROOT = Path(__file__).parents[2]
LEFT_BEHIND = """
import sys
from harness.engines.local import Local
from tests.support.parts import told_and_slow
if __name__ == "__main__":
    list(Local(1).map(told_and_slow, sys.argv[1:]))
"""


def test_every_worker_is_killed_once_and_nothing_is_lost(tmp_path: Path) -> None:
    parts = [(number, str(tmp_path)) for number in range(4)]
    assert sorted(Local(2).map(killed_once, parts)) == [(number, number) for number in range(4)]
    assert len(list(tmp_path.iterdir())) == 4


def test_what_lies_before_a_poison_part_is_yielded_though_it_takes_longer(tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    with pytest.raises(PartPoisoned, match="Part 2 of 3"):
        done.extend(Local(2).map(poison_beside_a_slow_one, [(n, str(tmp_path)) for n in range(3)]))
    assert done == [(0, 0)]
    assert len(list(tmp_path.iterdir())) == 3  # nothing of the third was begun


def test_a_poison_part_is_named_and_no_other() -> None:
    done: list[tuple[int, int]] = []
    with pytest.raises(PartPoisoned, match=r"Part 3 of 4, 2, ended its worker 2 times") as caught:
        done.extend(Local(2, attempts=2).map(poison, range(4)))
    assert caught.value.index == 2
    assert (2, 2) not in done


def test_a_worker_has_its_next_part_while_a_result_is_used(tmp_path: Path) -> None:
    found = Local(1).map(told, [(number, str(tmp_path)) for number in range(3)])
    assert next(found) == (0, 0)
    until((tmp_path / "1").exists, 120.0)
    assert not (tmp_path / "2").exists()
    assert list(found) == [(1, 1), (2, 2)]


def test_workers_find_imported_what_columns_of_values_need() -> None:
    """Each worker imported pandas for itself, in each map, as soon as it made a column."""
    assert list(Local(1).map(has_imported, ["pandas", "pyarrow.pandas_compat"])) == [(0, True), (1, True)]


def test_an_interrupt_ends_workers_and_is_told_by_who_asks_alone() -> None:
    """A terminal sends it to all: fork server and idle workers told it as tracebacks of their own."""
    program = (
        "import contextlib, os, signal, time\n"
        "from multiprocessing import forkserver\n"
        "from harness.engines.engine import staying\n"
        "from harness.engines.local import Local\n"
        "from tests.support.parts import worker_of\n"
        "if __name__ == '__main__':\n"
        "    local = Local(1)\n"
        "    os.kill(forkserver._forkserver._forkserver_pid, signal.SIGINT)\n"
        "    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        "    with staying(local) as engine:\n"
        "        ((_, first),) = engine.map(worker_of, [0])\n"
        "        while os.path.exists(f'/proc/{first}'):  # it has nothing to do, or will soon\n"
        "            with contextlib.suppress(ProcessLookupError):\n"
        "                os.kill(first, signal.SIGINT)\n"
        "            time.sleep(0.1)\n"
        "        ((_, second),) = engine.map(worker_of, [0])\n"
        "    assert second != first\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_workers_stay_from_map_to_map_where_they_are_asked_to_and_end_then(tmp_path: Path) -> None:
    """Those of the second map of a look took their memory anew."""
    engine = Local(1)
    with staying(engine) as workers:
        ((_, first),) = workers.map(worker_of, [0])
        assert list(workers.map(worker_of, [0, 1])) == [(0, first), (1, first)]
        os.kill(first, signal.SIGKILL)  # it has nothing to do
        parts = [(number, str(tmp_path)) for number in range(2)]
        assert sorted(workers.map(killed_once, parts)) == [(number, number) for number in range(2)]
        ((_, last),) = workers.map(worker_of, [0])
        assert first != last
    assert not _lives(last)
    ((_, once),), ((_, again),) = engine.map(worker_of, [0]), engine.map(worker_of, [0])
    assert len({last, once, again}) == 3


def test_a_worker_ends_with_who_began_it(tmp_path: Path) -> None:
    script = tmp_path / "left_behind.py"
    script.write_text(LEFT_BEHIND)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    parent = subprocess.Popen([sys.executable, script, tmp_path], cwd=root, env=environment)
    try:
        until(lambda: any(tmp_path.glob("*.pid")), 120.0)
        worker = int(next(tmp_path.glob("*.pid")).stem)
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    until(lambda: not _lives(worker), 120.0)


def _lives(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
