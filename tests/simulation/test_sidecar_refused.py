"""Batches that the log calls unusable, in the sidecar's world: crashes, restores, lost replies."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import pytest

from recorders.append import Batch
from recorders.columns import decode_batch
from recorders.frame import Frame
from tests.simulation.sidecar_world import World
from tests.support.sidecars import names


class RefusingWorld(World):
    """The log refuses one batch in eight, by what its digest begins with."""

    def __init__(self, seed: int, home: Path) -> None:
        self.refused: set[str] = set()
        super().__init__(seed, home)
        self.log.refuses = self.refuses

    def refuses(self, batch: Batch) -> str:
        if batch.kind == "control" or batch.digest[0] not in "07":
            return ""
        self.refused |= set(decode_batch(batch.payload).column("decision_id").to_pylist())
        return "poisoned"

    def owed(self, frames: Sequence[Frame]) -> list[str]:
        return [name for name in names(frames) if name not in self.refused]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.usefixtures("one_place")
def test_nothing_else_is_lost_or_comes_twice(seed: int, tmp_path: Path) -> None:
    world = RefusingWorld(seed, tmp_path)
    world.run()
    controls = [
        msgspec.json.decode(one.payload)["body"] for one in world.log.batches if one.kind == "control"
    ]
    told = {one["file"]: one["count"] for one in controls if one["reason"] == "refused"}
    assert sum(told.values()) == len(world.refused)
