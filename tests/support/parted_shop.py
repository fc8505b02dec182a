"""A shop whose log has all that parts of a range could get wrong, and looks at it whole and in parts."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from harness.database import create_log
from harness.engines.engine import Engine
from harness.experiment_lint import read_experiment
from harness.experiments import get_experiment, register
from harness.log.log import Log
from harness.log.seal import seal
from harness.looks import range_at
from harness.mapped_parts import POSITIONS_MAX
from harness.measure import Measured, Spread, measure
from harness.models import add_model
from recorders.canonical import canonical_json
from tests.support.shop import Shop, experiment_text

DAY_UNIT = 'kind = "day"\ntimezone = "UTC"'
BRIER = '[[metrics]]\nname = "brier"\nclip = 0.1\nidentification = "direct"\n'
ANY_REPEATS = "[policy]\nmax_repeats = 1.0"


@contextmanager
def parted_shop(folder: Path, url: str) -> Iterator[Shop]:
    """Yield a log where all reasons occur, and ids of one part come again in others; half of it is sealed."""
    with create_log(folder, url=url, clock="event") as log:
        shop = Shop(log, explored=0.5)
        for name, more in {"timid": "", "plain": "", "open": "?threshold=0.9&decisions=none,offer"}.items():
            uri = f"py:tests.support.shop:{'oracle' if more else name}{more}"
            add_model(log, uri, name=name, version="1", trained_until=0, inputs=["x"], folder=folder)
        shop.days(0, 12)
        shop.outcomes(3, flip=True)  # corrections, some of them too late for their window
        shop.decisions(12, ids=[f"{day}-{n}" for day in range(1, 4) for n in range(20)])  # they came before
        shop.outcomes(12, ids=[f"nobody-{n}" for n in range(60)])
        shop.decisions(13)
        shop.outcomes(13, keep=30)
        shop.days(14, 16)
        seal(log, stop=900)
        yield shop


def declared(shop: Shop, folder: Path, name: str, *, unit: str, metrics: str = BRIER) -> None:
    rescore = "plain:1" if name == "day" else None
    model = "timid:1" if name == "failing" else "open:1"
    text = experiment_text(name, model, rescore=rescore).replace(DAY_UNIT, unit).replace(BRIER, metrics)
    path = folder / "experiment.toml"
    path.write_text(text.replace("[policy]", ANY_REPEATS))
    register(shop.log, read_experiment(path))


def measured(
    log: Log,
    name: str,
    engine: Engine,
    parts: int,
    positions: int = POSITIONS_MAX,
    *,
    keep: bool = False,
    at: int | None = None,
) -> Measured:
    experiment, place = get_experiment(log, name), log.as_of(at)
    start, stop = range_at(log, experiment, place)
    spread = Spread(engine, parts, positions, keep)
    until = log.head().position if at is None else at
    return measure(log, experiment, place, start=start, stop=stop, scores_up_to=until, spread=spread)


def as_bytes(found: Measured) -> bytes:
    plain = msgspec.structs.asdict(found) | {"evidence": found.evidence.to_json().decode(), "slices": {}}
    return canonical_json(msgspec.to_builtins(plain))
