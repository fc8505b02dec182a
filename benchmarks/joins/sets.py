"""The training set of a log whose range is sealed: its rows, its files, its proof, and 1% more of it."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from harness.config import StorePlace
from harness.log.log import Log
from harness.training.extend import extend_training_set
from harness.training.registry import get_training_set, verify_training_set
from harness.training.rows import cut_rows
from harness.training.sets import Place, build_training_set
from harness.training.spec import Spec, spec_of
from replay.labels import LabelRule

Act = Callable[[Log, str, Path], int]


def opened(url: str, store: Path) -> Log:
    """Return the log with its segments in the folder `store`."""
    return Log(url, store=StorePlace(store.as_uri()))


def spec(point: str, stop: int) -> Spec:
    """Return all decisions before `stop` that have the label within an hour."""
    rule = LabelRule(name="late", window=timedelta(hours=1))
    return Spec(decision_point=point, start=1, stop=stop, labels=(rule,))


def rows(log: Log, name: str, _out: Path) -> int:
    """Return how many rows the set has in memory as a table."""
    registered = get_training_set(log, name).body
    place = log.as_of(registered["as_of"]["position"])
    return cut_rows(log, spec_of(registered["cut"]), place).table().num_rows


def stream(log: Log, name: str, _out: Path) -> int:
    """Return how many rows passed, a chunk at a time."""
    registered = get_training_set(log, name).body
    place = log.as_of(registered["as_of"]["position"])
    return sum(batch.num_rows for batch in cut_rows(log, spec_of(registered["cut"]), place).batches())


def create(log: Log, name: str, out: Path) -> int:
    """Return the rows of the set, written and registered."""
    registered = get_training_set(log, name).body
    at = registered["as_of"]["position"]
    made = build_training_set(log, spec_of(registered["cut"]), as_of=at, place=Place(out / "set"))
    return int(made.manifest["rows"])


def verify(log: Log, name: str, _out: Path) -> int:
    """Return the rows of the set, rebuilt and compared."""
    return int(verify_training_set(log, name)["rows"])


def extend(log: Log, name: str, out: Path) -> int:
    """Return the rows of the set in a folder with what the log has beyond it."""
    longer, _reused = extend_training_set(log, name, place=Place(out / "set"))
    return int(longer.manifest["rows"])


TASKS: dict[str, Act] = {
    "rows": rows,
    "stream": stream,
    "create": create,
    "verify": verify,
    "extend": extend,
}
