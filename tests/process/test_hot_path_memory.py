"""The compiled hot path keeps nothing, loses nothing to threads, and is not needed.

`python tests/process/test_hot_path_memory.py` makes a million calls of each kind, and is what to run
under valgrind (with fewer).
"""

import gc
import json
import os
import subprocess
import sys
import threading
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest

from recorders import hotpath
from recorders.fields import FeatureSet, Field
from recorders.limits import Limits
from recorders.recorder import Recorder
from recorders.version import VERSION
from tests.support.recording import EVERY, MemoryLink, StillRecorder

ROOT = Path(__file__).parents[2]
PLAIN: dict[str, object] = {
    "a_0": 1.5, "a_1": 2**40, "a_2": True, "a_3": "é" * 9, "a_4": "NZ",
    "a_5": datetime(2026, 1, 1, tzinfo=UTC), "a_6": b"raw", "a_7": [1.0, 2, 3.5],
}  # fmt: skip
# Plain in any order; then declined: at the first value, at the last, at a key, in the envelope.
CALLS: list[tuple[dict[object, object], dict[str, object]]] = [
    (dict(PLAIN), {"score": 0.5, "decision": "block", "unit": "u"}),
    (dict(reversed(PLAIN.items())), {"decision_id": "d-1", "model": "other", "model_version": "8"}),
    ({**PLAIN, "a_3": "x" * 3000}, {}),
    ({**PLAIN, "a_0": True}, {}),
    ({**PLAIN, "a_7": [1.0, "2"]}, {}),
    ({**PLAIN, "a_3": "\ud800"}, {}),
    ({**dict(list(PLAIN.items())[1:]), 7: 1.5}, {}),
    (dict(PLAIN), {"propensity": 2.0}),
    (dict(PLAIN), {"latency_us": 2**70}),
    (dict(PLAIN), {"statuses": {"a_0": "stale"}}),
]
compiled = pytest.mark.skipif(not hotpath.COMPILED, reason=hotpath.which())


def call_all(recorder: StillRecorder, times: int) -> None:
    for _ in range(times):
        for features, known in CALLS:
            recorder.record(features, **known)  # type: ignore[arg-type]
        recorder.outbox.decisions.clear()


def kept_after(times: int) -> tuple[int, list[int]]:
    """Return the bytes that so many calls of each kind left behind, and the references they added."""
    recorder = StillRecorder(
        "p", EVERY, MemoryLink(), model="m", model_version="1", limits=Limits(text_length=5000)
    )
    watched = [
        recorder,
        None,
        True,
        *PLAIN.values(),
        *PLAIN,
        *(value for call in CALLS for value in call[1].values()),
    ]
    call_all(recorder, 20)
    gc.collect()
    references = [sys.getrefcount(value) for value in watched]
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    call_all(recorder, times)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return after - before, [
        sys.getrefcount(value) - count for value, count in zip(watched, references, strict=True)
    ]


@compiled
def test_calls_of_every_kind_leave_nothing_behind() -> None:
    # In a process of its own: threads that other tests left behind allocate as well.
    command = [sys.executable, "-m", "tests.process.test_hot_path_memory", "2000"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    left, references = json.loads(done.stdout)
    # What any run leaves, however long, is about 10,000 bytes: samples, free lists. The least object has
    # 24, and one kept by one of the ten kinds of calls would be 48,000 more.
    assert left < 30_000
    assert max(references) < 1_000, "a reference kept by one kind would be 2,000"


@compiled
def test_a_recorder_that_is_let_go_lets_go() -> None:
    recorder = StillRecorder("p", EVERY, MemoryLink(), model="m", model_version="1")
    call_all(recorder, 1)
    before = sys.getrefcount(EVERY)
    del recorder
    gc.collect()
    assert sys.getrefcount(EVERY) < before


@compiled
def test_threads_share_a_recorder_and_every_event_is_there_once() -> None:
    link, told = MemoryLink(), [[] for _ in range(8)]
    one = FeatureSet("one", 1, (Field("x", "int64"), Field("y", "string")))
    recorder = Recorder("p", one, link, model="m", model_version="1", limits=Limits(exit_s=0))

    def work(place: int) -> None:
        for number in range(2_000):
            if number % 500 == 0:
                recorder.promote("m", str(number))
            told[place].append(recorder.record({"x": number, "y": "a" if number % 3 else Text("b")}))

    threads = [threading.Thread(target=work, args=(place,)) for place in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert recorder.close(30)
    ids = [one for each in told for one in each]
    assert None not in ids
    assert len(set(ids)) == len(ids) == 16_000
    assert link.events() == recorder.counters.accepted == 16_000


class Text(str):
    """What the compiled path declines."""

    __slots__ = ()


def which(**environment: str) -> str:
    command = [sys.executable, "-m", "recorders"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout.strip().removeprefix(f"recorders {VERSION}, hot path: ")


def test_a_command_says_which_path_runs_and_a_variable_takes_the_python_one() -> None:
    assert which() == hotpath.which()
    assert which(HARNESS_RECORDER_PURE="1") == "pure Python: HARNESS_RECORDER_PURE is set"
    assert which(HARNESS_RECORDER_PURE="0") == which()


def test_an_extension_of_another_version_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text(
        "import sys, types\n"
        "sys.modules['recorders._hotpath'] = types.SimpleNamespace(FORM=-1)\n"
        "import recorders._hotpath as made\n"
        "from recorders import hotpath\n"
        "print(hotpath.which())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("HARNESS_RECORDER_PURE", None)
    command = [sys.executable, str(tmp_path / "other.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("pure Python: recorders/_hotpath is of another version")


if __name__ == "__main__":
    print(json.dumps(kept_after(int(sys.argv[1]) if sys.argv[1:] else 1_000_000)))  # noqa: T201  # a command
