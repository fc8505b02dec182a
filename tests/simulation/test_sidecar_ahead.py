"""Services of which some events are ahead, in the sidecar's world before a log of the event clock."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from recorders.clock import LastingClock
from recorders.columns import decode_batch
from recorders.frame import Frame
from recorders.sidecar.salvage import QUARANTINE
from tests.simulation.sidecar_world import World
from tests.support.ahead import NOW_S, dated, losses
from tests.support.sidecars import names


class Still(LastingClock):
    """It is always the same instant, however long one waits."""

    def now_us(self) -> int:
        return NOW_S * 1_000_000


class AheadWorld(World):
    """One frame in three has an event ahead. The log is of the event clock."""

    def __init__(self, seed: int, home: Path) -> None:
        self.ahead: set[str] = set()
        super().__init__(seed, home, Still())
        self.log.clock = datetime.fromtimestamp(NOW_S, UTC)

    def made(self, writer: UUID, sequence: int) -> Frame:
        days = [0.0, 0.0, 0.0]
        if self.chance.randrange(3) == 0:
            place = self.chance.randrange(3)
            days[place] = 30.0
            self.ahead.add(f"{writer}/{sequence}/{place}")
        return dated(super().made(writer, sequence), *days)

    def owed(self, frames: Sequence[Frame]) -> list[str]:
        return [name for name in names(frames) if name not in self.ahead]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.usefixtures("one_place")
def test_nothing_else_is_lost_or_comes_twice(seed: int, tmp_path: Path) -> None:
    """Whatever is killed, restored, or answered to nobody meanwhile."""
    world = AheadWorld(seed, tmp_path)
    world.run()
    told = sum(Counter({one["file"]: one["count"] for one in losses(world.log)}).values())
    assert told == len(world.ahead)


class SetWorld(AheadWorld):
    """The log's clock is set now and then, by less than an hour: what it took may be ahead a moment later.

    Nothing is restored here, so that what a quarantine holds the log never had.
    """

    def made(self, writer: UUID, sequence: int) -> Frame:
        days = [self.chance.choice((0.0, 0.99, 1.01)) for _ in range(3)]
        return dated(World.made(self, writer, sequence), *days)

    def restore(self) -> None:
        away = timedelta(minutes=self.chance.randrange(-59, 60))
        self.log.clock = datetime.fromtimestamp(NOW_S, UTC) + away

    def lose_a_reply(self) -> None:
        super().lose_a_reply()
        self.restore()

    def owed(self, frames: Sequence[Frame]) -> list[str]:
        aside = (self.house.settings.path / QUARANTINE).glob("ahead-*.arrow")
        left = {name for one in aside for name in decode_batch(one.read_bytes())["decision_id"].to_pylist()}
        return [name for name in names(frames) if name not in left]


@pytest.mark.parametrize("seed", range(24))
@pytest.mark.usefixtures("one_place")
def test_what_the_log_took_stays_its_own_wherever_its_clock_is_set(seed: int, tmp_path: Path) -> None:
    world = SetWorld(seed, tmp_path)
    world.run()
    assert not world.house.shipper.reason
