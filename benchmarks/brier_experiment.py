"""The experiment that the benchmarks of replays and looks register: Brier, one metric, requests as units."""

from datetime import datetime

from tests.support.history import POINT

_TEXT = """
schema = 1
[experiment]
id = "{name}"
decision_point = "{point}"
question = "Is it better?"
owner = "{name}@example.com"
[window]
from = {start}
to = {stop}
[champion]
[challenger]
model = "{model}:1"
[label]
name = "fraud"
window = "1h"
[unit]
kind = "request"
[[metrics]]
name = "brier"
[policy]
alpha = 0.05
"""


def experiment_text(name: str, model: str, start: datetime, stop: datetime) -> str:
    """Return the experiment file of a challenger `model:1` over the decisions of [start, stop)."""
    return _TEXT.format(name=name, model=model, point=POINT, start=start.isoformat(), stop=stop.isoformat())
