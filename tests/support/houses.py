"""A sidecar's house in this process: opened, given frames, shipped."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.log.log import Log
from recorders.frame import Frame
from recorders.sidecar.house import House, ship_all
from tests.support.sidecars import FEATURES, arrived, decision_ids, names, settings_in

SCHEMA = (bytes.fromhex(FEATURES.digest), FEATURES.canonical())


@contextmanager
def opened(folder: Path, url: str, **spool: int | str) -> Iterator[House]:
    house = House(settings_in(folder, url, **spool))
    try:
        yield house
    finally:
        house.close()


def kept(house: House, frames: list[Frame]) -> None:
    assert all(answer.kept for answer in house.spool.commit([arrived(frame) for frame in frames], [SCHEMA]))


def shipped(house: House) -> None:
    assert ship_all(house, timeout_s=30), (house.shipper.state, house.shipper.reason)


def once(log: Log, frames: list[Frame]) -> None:
    assert Counter(decision_ids(log)) == Counter(names(frames))
