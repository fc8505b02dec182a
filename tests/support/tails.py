"""Models that a tail follows, and a worker that follows them in this process."""

import threading
import time
from contextlib import contextmanager

import pyarrow as pa

from harness.database import open_log
from harness.models import add_model, get_model, open_registered
from harness.replays import read_scores
from harness.tail.follower import Follower, begin
from harness.tail.worker import Pace, serve
from recorders.columns import SCORE_SCHEMA
from replay.score import columns_for, score_blocks
from tests.support.history import POINT

SOURCE = """
import numpy as np
weights = np.array([0.3, -1.7])

def linear(frame):
    return 1 / (1 + np.exp(-(frame[["amount", "items"]].to_numpy() @ weights)))
linear.inputs = ("amount", "items")

def broken(frame):
    raise RuntimeError("no such column")
broken.inputs = ("items",)

def slow(frame):
    import time
    time.sleep(0.02)
    return frame["items"] * 0.5
slow.inputs = ("items",)
"""
QUICK = Pace(poll_s=0.05, linger_s=0.0, look_s=0.05, retry_s=0.05)


def added(log, folder, name, **more):
    add_model(log, f"py:tail_models:{name}", name=name, version="1", folder=folder, **more)
    return f"{name}:1"


def followed(log, folder, reference, start=1):
    model = open_registered(log, reference, folder=folder)
    return Follower(log, model, begin(log, model, reference, POINT, start))


def scores_of(log, reference, start, stop):
    return read_scores(log, get_model(log, reference).digest, POINT, start, stop)


def bare(log, folder, reference, start, stop):
    """Return what a replay of the range gives, without the log's scores."""
    model = open_registered(log, reference, folder=folder)
    rows = log.read(start, stop, kind="decision", decision_point=POINT, columns=columns_for(model.info))
    return pa.Table.from_batches(score_blocks(model, rows)).select(SCORE_SCHEMA.names)


@contextmanager
def serving(log, targets, folder, pace=QUICK):
    """Run a worker in this process; yield what it said and its result once it has ended."""
    stop, said, result = threading.Event(), [], []

    def told(target, text):
        said.append((target.model, text))

    def work():
        opened = lambda: open_log(url=log.url)  # noqa: E731
        result.append(serve(opened, lambda _log: targets, stop, told=told, pace=pace, folder=folder))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield said, result, thread
    finally:
        stop.set()
        thread.join(60)


def wait_until(true, seconds=60):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


def stored_scores(log):
    return sum(b.num_rows for b in log.read(1, 10**9, kind="score", decision_point=POINT))
