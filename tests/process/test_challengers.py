"""Hostile challengers, each for real: what it does costs its own row, and the reason is counted."""

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from replay.adapters.reasons import reason_code
from replay.isolation import Limits, crowd, nursery, open_isolated
from replay.loading_errors import ModelNotLoaded
from replay.model_errors import ChallengerEnded, NotAModel
from replay.score import BLOCK_ROWS
from tests.support import zoo

FOLDER = Path(zoo.__file__).parent
ROWS = 8
LIMITS = Limits(timeout_s=30.0, memory_mb=512)
QUICK = Limits(timeout_s=0.4, memory_mb=512, processes=32)


def rows(count=ROWS):
    return pa.record_batch(
        {
            "decision_position": pa.array(range(count), pa.int64()),
            "decision_id": [f"d{i}" for i in range(count)],
            "f.x": pa.array([float(i) for i in range(count)]),
        }
    )


def opened(name, limits=LIMITS):
    return open_isolated(f"py:zoo:{name}", inputs=["x"], folder=FOLDER, limits=limits)


HOSTILE = [
    ("hangs", "timeout", "timeout: no answer in 0.4 s"),
    ("hangs_in_c", "timeout", "timeout: no answer in 0.4 s"),
    ("segfaults", "crash", "crash: SIGSEGV"),
    ("aborts", "crash", "crash: SIGABRT"),
    ("leaves", "crash", "crash: exit code 7"),
    ("forks", "crash", "crash: exit code 1"),
    ("bombs", "crash", "crash: exit code 1"),
    ("outlives", "crash", "crash: exit code 1"),
    ("multiplies", "timeout", "timeout: no answer in 0.4 s"),
    ("stops", "timeout", "timeout: no answer in 0.4 s"),
    ("closes", "crash", "crash: exit code 1"),
    ("exits", "exit", "SystemExit: 3"),
    ("raises", "raised", "KeyError: 'colour'"),
    ("recurses", "raised", "RecursionError: maximum recursion depth exceeded"),
    ("swells", "memory", "MemoryError: Unable to allocate 64.0 GiB"),
    ("swells_shared", "memory", "memory: more than 512 MB"),
    ("short", "bad_answer", "ValueError: answer of shape (1023,) for 1024 rows"),
    ("nan", "not_finite", "score is nan"),
    ("infinite", "not_finite", "score is inf"),
    ("complexes", "bad_answer", "ValueError: answer of complex numbers"),
    ("text", "raised", "ValueError: could not convert string to float: 'much'"),
    ("garbles", "bad_answer", "bad answer: a reply of 18446744073709551615 bytes"),
]


@pytest.mark.parametrize(("name", "code", "reason"), HOSTILE, ids=[case[0] for case in HOSTILE])
def test_what_it_does_to_one_row_costs_that_row(name, code, reason):
    with opened(name, QUICK if code == "timeout" else LIMITS) as model:
        scores = model.score(rows()).to_pydict()
        kills = model.account.kills
    assert scores["score"] == [None if i == 3 else 2.0 * i for i in range(ROWS)]
    assert next(error for error in scores["error"] if error).startswith(reason)
    assert reason_code(scores["error"][3]) == code
    assert set(kills) <= {code}
    assert scores["decision_id"] == [f"d{i}" for i in range(ROWS)]


@pytest.mark.parametrize("name", ["good", "noisy", "threads", "chatters"])
def test_what_is_only_loud_costs_nothing(name):
    with opened(name) as model:
        assert model.score(rows())["score"].to_pylist() == [2.0 * i for i in range(ROWS)]
        assert model.account.kills == {}
    assert (model.account.noise_bytes > 500_000) == (name == "noisy")


def test_answers_in_another_order_are_noticed_and_asked_for_again_row_by_row():
    with opened("sorts") as model:
        scores = model.score(rows()).to_pydict()
        assert model.account.blocks.count > 1
    assert scores["score"] == [2.0 * i for i in range(ROWS)]


def test_a_challenger_that_always_dies_is_ended_and_says_how_often():
    with opened("always_dies") as model, pytest.raises(ChallengerEnded, match="12 crash") as caught:
        model.score(rows(200))
    assert caught.value.kills == {"crash": 12}


def test_kills_over_a_whole_run_open_the_circuit():
    with opened("leaves", Limits(kills_max=8)) as model:
        model.score(rows())
        assert model.account.kills == {"crash": 4}
        model.score(rows())
        with pytest.raises(ChallengerEnded, match=r"9 ends of its process"):
            model.score(rows())


def test_the_other_challengers_never_notice():
    with opened("good") as neighbour:
        before = neighbour.score(rows())
        with opened("segfaults") as hostile:
            hostile.score(rows())
        assert neighbour.score(rows()).equals(before)
        assert neighbour.account.starts == 1


def test_it_reaches_nothing_and_what_it_tried_is_told():
    with socket.create_server(("127.0.0.1", 0)), opened("reaches_out") as model:
        scores = model.score(rows())["score"].to_pylist()
        account = model.account
    held = list(account.sandbox.values()).count(crowd.HELD)
    if held == 4:
        assert scores == [0.0] * ROWS
    else:
        pytest.fail(f"this system holds too little to test it: {account.sandbox}")
    assert not Path("/tmp/shadow-harness-escaped").exists()
    assert {"network", "write", "process"} <= set(account.attempts)
    assert "socket.connect ('127.0.0.1', 9)" in account.attempted


def test_nothing_of_our_environment_is_in_its_own(monkeypatch):
    monkeypatch.setenv("PGPASSWORD", "secret")
    with opened("environment") as model:
        assert model.score(rows())["score"].to_pylist() == [0.0] * ROWS


@pytest.mark.parametrize(("name", "left"), [("forks", "time.sleep(3600)"), ("outlives", "time.sleep(3601)")])
def test_what_it_left_running_is_gone_with_it(name, left):
    with opened(name) as model:
        assert model.score(rows())["score"].null_count == 1
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert left not in listing


def test_forking_for_ever_ends_at_the_limit_and_nothing_of_it_is_left():
    with opened("counts", Limits(timeout_s=30.0, memory_mb=512, processes=24)) as model:
        found = model.score(rows())["score"].to_pylist()
        assert model.account.sandbox["forks"] == crowd.HELD
    assert found == [23.0] * ROWS
    with opened("multiplies", QUICK) as model:
        child = model._process._child
        assert model.score(rows())["score"].null_count == 1
    sessions = subprocess.run(["ps", "-eo", "sid"], capture_output=True, text=True, check=True).stdout
    assert str(child) not in sessions.split()
    assert not list(Path("/sys/fs/cgroup").glob(f"**/harness-challenger-*-{child}"))


def test_a_model_that_hangs_while_it_is_loaded_is_refused(tmp_path):
    (tmp_path / "stuck.py").write_text("import time\ntime.sleep(3600)\n")
    with pytest.raises(ModelNotLoaded, match=r"cannot be loaded: timeout: no answer in 0\.3 s"):
        open_isolated("py:stuck:f", inputs=["x"], folder=tmp_path, limits=Limits(open_timeout_s=0.3))


def test_what_is_no_model_is_told_apart_across_the_process():
    with pytest.raises(NotAModel, match="without predict_proba"):
        open_isolated("py:zoo:inputs", inputs=["x"], folder=FOLDER)


def nursery_of(kept):
    """Return the process id of a nursery, whose parent is its keeper."""
    (pid,) = children_of(kept._process.pid)
    return int(pid)


def children_of(pid):
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_the_nurserys_end_costs_one_start_and_nothing_else():
    with opened("good") as model:
        before = model.score(rows())
        killed = nursery.nursery_for(1)
        os.kill(nursery_of(killed), signal.SIGKILL)
        assert killed._process.wait() == 0
        assert model.score(rows()).equals(before)
    assert model.account.starts == 2


def test_challengers_can_be_used_from_several_threads():
    found = {}

    def score(name):
        with opened(name) as model:
            found[name] = model.score(rows())["score"].to_pylist()

    names = ["good", "leaves", "noisy"]
    workers = [threading.Thread(target=score, args=(name,)) for name in names]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert {name: scores[3] for name, scores in found.items()} == {"good": 6.0, "leaves": None, "noisy": 6.0}


def gone(child, home):
    """Wait until a challenger's process and its folder are gone."""
    for _ in range(600):
        if not Path(f"/proc/{child}").exists() and not Path(home).exists():
            return
        threading.Event().wait(0.05)
    pytest.fail(f"process {child} or its folder {home} is still there")


def owner_of(name, then):
    """Start a process that opens a challenger, prints its id, its nursery's and its folder, and goes on."""
    script = (
        "import sys, time\n"
        f"sys.path.insert(0, {os.fspath(FOLDER.parents[1])!r})\n"
        "from tests.process.test_challengers import *\n"
        f"model = opened({name!r}, Limits(timeout_s=3600))\n"
        "own = model._process\n"
        "print(own._child, nursery_of(own._nursery), own._folder.name, flush=True)\n"
        f"{then}\n"
    )
    return subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)


def test_when_we_are_killed_nothing_of_it_stays():
    with owner_of("hangs_in_c", "model.score(rows())") as parent:
        child, _nursery, home = parent.stdout.readline().split()
        assert Path(f"/proc/{child}").exists()
        parent.kill()
    gone(child, home)


def test_a_child_that_ends_before_its_nursery_hears_that_we_were_killed_leaves_nothing():
    with owner_of("good", "time.sleep(3600)") as parent:
        child, its_nursery, home = parent.stdout.readline().split()
        try:
            os.kill(int(its_nursery), signal.SIGSTOP)
            parent.kill()
            parent.wait()
            state = "R"
            while state != "Z":  # its pipe is closed: it ends by itself, and nobody has reaped it
                state = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]
        finally:
            os.kill(int(its_nursery), signal.SIGCONT)
    gone(child, home)


def blocks(count, *, at=()):
    """Return whole blocks whose x is never 3, but in the middle row of those numbered `at`."""
    found = []
    for number in range(count):
        x = 10.0 + np.arange(BLOCK_ROWS, dtype=float)
        if number in at:
            x[BLOCK_ROWS // 2] = 3.0
        ids = pa.array(range(BLOCK_ROWS), pa.int64())
        columns = {"decision_position": ids, "decision_id": ids.cast(pa.string()), "f.x": x}
        found.append(pa.record_batch(columns))
    return found


@pytest.mark.parametrize("name", ["good", "hangs", "segfaults", "raises", "garbles"])
def test_blocks_under_way_have_the_scores_and_the_ends_of_blocks_asked_in_turn(name):
    asked, limits = blocks(3, at=(1,)), Limits(timeout_s=0.4 if name == "hangs" else 30.0)
    with opened(name, limits) as model:
        expected = [model.score(block) for block in asked]
        kills = model.account.kills
    with opened(name, limits) as model:
        assert list(model.score_each(asked)) == expected
        if name != "hangs":  # on a machine that is busy enough, others are late as well, and asked again
            assert model.account.kills == kills
    failed = [BLOCK_ROWS - scores["error"].null_count for scores in expected]
    assert failed == [0, int(name != "good"), 0]


def test_each_block_under_way_has_the_whole_time():
    with opened("slow", Limits(timeout_s=2.0)) as model:  # 0.7 s a block: four take longer than one may
        (*_rest, last) = model.score_each(blocks(4))
        assert last["error"].null_count == BLOCK_ROWS
        assert model.account.kills == {}


def test_blocks_larger_than_the_pipe_are_under_way_one_at_a_time():
    text = "\N{SNOWMAN}\N{MATHEMATICAL BOLD SMALL T}" * 128  # 256, as many as a decision may have
    wide = [block.append_column("f.text", pa.array([text] * BLOCK_ROWS)) for block in blocks(3)]
    with open_isolated("py:zoo:echoes", inputs=["x", "text"], folder=FOLDER, limits=LIMITS) as model:
        for block, scores in zip(wide, model.score_each(wide), strict=True):
            assert scores["decision"].equals(block["f.text"])
        assert model.account.kills == {}
