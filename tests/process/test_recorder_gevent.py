"""gevent: a patched service records from many greenlets, and its background thread is one of them."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
from gevent import monkey
monkey.patch_all()
import gevent, time
from recorders import Recorder
from tests.support.recording import PLAIN, TWO, MemoryLink

link = MemoryLink()
longest = 0.0
def work():
    for _ in range(200):
        assert recorder.record(PLAIN)
        gevent.sleep(0)
def pulse():
    global longest
    while not done:
        began = time.monotonic()
        gevent.sleep(0.001)
        longest = max(longest, time.monotonic() - began)
done = False
recorder = Recorder("p", TWO, link, model="m", model_version="1")
watch = gevent.spawn(pulse)
gevent.joinall([gevent.spawn(work) for _ in range(50)], raise_error=True)
assert recorder.flush(20)
done = True
watch.join()
assert recorder.counters.accepted == recorder.counters.acked == link.events() == 10_000, recorder.counters
assert recorder.close(5)
print("longest", longest)
"""


def test_greenlets_lose_nothing_and_the_loop_goes_on() -> None:
    pytest.importorskip("gevent", reason="gevent is in the dev group; `make setup` installs it")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split()[1]) < 2.0, "the loop was held up"
