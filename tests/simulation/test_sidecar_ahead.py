"""Services of which some events are ahead, in the sidecar's world before a log of the event clock."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from recorders.clock import LastingClock
from recorders.frame import Frame
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
