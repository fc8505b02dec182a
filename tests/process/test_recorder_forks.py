"""Forks without Python's hooks, as uWSGI makes them: each child records all of its own, as itself."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHILDREN, THREADS, EACH = 3, 4, 300
# `fork` of the C library: of Python's hooks none runs, and the recorder is as its parent left it.
PROGRAM = f"""
import ctypes, json, os, sys, threading
from recorders import Recorder
from tests.support.recording import PLAIN, TWO, MemoryLink, down
import msgspec

link = MemoryLink()
off = {{"off": sys.argv[1] == "off"}}
recorder = Recorder("p", TWO, link, model="m", model_version="1", switch=lambda: off["off"])
fork = ctypes.PyDLL(None).fork
for _ in range({CHILDREN}):
    read, write = os.pipe()
    child = fork()
    if not child:
        begin = threading.Barrier({THREADS})
        told = []
        def work():
            begin.wait()
            told.extend([recorder.record(PLAIN) for _ in range({EACH})])
        threads = [threading.Thread(target=work) for _ in range({THREADS})]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
        closed = recorder.close(20)
        payloads = [one.payload for one in link.frames if one.kind == "decision"]
        rows = [row for payload in payloads for row in msgspec.msgpack.decode(payload)]
        writers = sorted({{str(frame.writer) for frame in link.frames}})
        found = [told, [row[0] for row in rows], writers, dict(recorder.counters.dropped), closed]
        with os.fdopen(write, "w") as pipe:
            json.dump(found, pipe)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as pipe:
        print(pipe.read(), flush=True)
    os.waitpid(child, 0)
"""


@pytest.mark.parametrize("pure", ["", "1"], ids=["compiled", "python"])
def test_children_that_no_hook_told_lose_nothing_of_their_own(pure: str) -> None:
    """The first events of each child went into its parent's queue, and were given up as `fork`."""
    children = run("on", pure)
    for told, sent, _, dropped, closed in children:
        assert (dropped, closed) == ({}, True)
        assert sorted(told) == sorted(sent)
        assert len(set(told)) == THREADS * EACH
    assert len({writer for _, _, writers, _, _ in children for writer in writers}) == CHILDREN
    assert len({name for told, *_ in children for name in told}) == CHILDREN * THREADS * EACH


def test_children_count_all_that_they_turn_away() -> None:
    for told, sent, _, dropped, _ in run("off", ""):
        assert (set(told), sent, dropped) == ({None}, [], {"off": THREADS * EACH})


def run(switch: str, pure: str) -> list[list]:
    """Return what each child told: ids for callers, ids in frames, writers, drops, whether it closed."""
    children = [json.loads(line) for line in output(PROGRAM, switch, pure).splitlines()]
    assert len(children) == CHILDREN
    return children


def output(program: str, switch: str, pure: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, switch],
        cwd=ROOT,
        env={"HARNESS_RECORDER_PURE": pure},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# A fork while the parent's first events wait: which are whose nobody knows. The child then records a few.
LATE = """
import ctypes, os
from recorders import Limits, Recorder
from recorders.losses import Loss
from tests.support.recording import PLAIN, TWO, MemoryLink
import msgspec

link = MemoryLink()
recorder = Recorder("p", TWO, link, model="m", model_version="1", limits=Limits(linger_s=60.0))
assert all(recorder.record(PLAIN) for _ in range(3))
child = ctypes.PyDLL(None).fork()
if not child:
    assert all(recorder.record(PLAIN) for _ in range(5))
    recorder.close(20)
    payloads = [one.payload for one in link.frames if one.kind == "loss"]
    losses = [one for payload in payloads for one in msgspec.msgpack.decode(payload, type=list[Loss])]
    print([(loss.reason, loss.count) for loss in losses], link.events(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
assert recorder.close(20)
print(link.events())
"""


@pytest.mark.parametrize("pure", ["", "1"], ids=["compiled", "python"])
def test_a_child_that_records_little_tells_what_it_gives_up(pure: str) -> None:
    assert output(LATE, "on", pure) == "[('fork', 8)] 0\n3\n"
