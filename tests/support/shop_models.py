"""Functions of a shop as models, and replays of them."""

from harness.models import add_model
from harness.replay_runner import run_replay
from tests.support.history import POINT

SOURCE = """
import numpy as np
inputs = ("amount", "items")

def logistic(frame):
    return 1 / (1 + np.exp(-frame["amount"] / 10))
logistic.inputs = ("amount",)

def linear(frame):
    return frame["amount"] * 0.01 + frame["items"]
linear.inputs = ("amount", "items")

def broken(frame):
    raise RuntimeError("no such column")
broken.inputs = ("items",)

def unknown(frame):
    return frame["colour"]
unknown.inputs = ("colour",)
"""


def added(log, folder, attribute, **more):
    name = more.pop("name", attribute)
    version = more.pop("version", "1")
    return add_model(log, f"py:shop_models:{attribute}", name=name, version=version, folder=folder, **more)


def replayed(log, folder, reference, part, **more):
    return run_replay(
        log, reference, decision_point=POINT, start=part[0], stop=part[1], folder=folder, **more
    )
