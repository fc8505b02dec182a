"""The world of a sidecar: services, spool, outbox, shipper and log; a seed says what happens and when."""

import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from uuid import UUID

from recorders.clock import Clock, LastingClock
from recorders.errors import WriterForked
from recorders.frame import Frame
from recorders.sidecar.house import House, ship_all
from tests.support.fake_log import FakeLog
from tests.support.sidecars import FEATURES, arrived, decisions, from_disk, names, settings_in

SCHEMA = (bytes.fromhex(FEATURES.digest), FEATURES.canonical())
STEPS = 30


class World:
    """One seed: what happens, in what order, is chance; what must hold at the end is not."""

    def __init__(self, seed: int, home: Path, clock: Clock = LastingClock()) -> None:  # noqa: B008  # a constant
        self.clock = clock
        self.chance = random.Random(seed)
        self.home = home
        self.lives = 0
        self.log = FakeLog()
        self.told: list[Frame] = []
        self.sequences = {UUID(int=self.chance.getrandbits(128)): 0 for _ in range(3)}
        self.house = self.open(home / "0")

    def open(self, folder: Path) -> House:
        settings = settings_in(folder, durability="process", segment_bytes=65_536)
        house = House(settings, self.log.door, clock=self.clock)
        house.shipper.draining = True
        if self.lives % 2:  # a life that composes what the disk has, after one that composes from memory
            from_disk(house.spool)
        return house

    def record(self) -> None:
        frames = []
        for _ in range(self.chance.randrange(1, 6)):
            writer = self.chance.choice(list(self.sequences))
            self.sequences[writer] += 1
            frames.append(self.made(writer, self.sequences[writer]))
        answers = self.house.spool.commit([arrived(frame) for frame in frames], [SCHEMA])
        assert all(answer.kept and not answer.duplicate for answer in answers)
        self.told += frames

    def resend(self) -> None:
        if self.told:
            frame = self.told[-self.chance.randrange(1, min(9, len(self.told) + 1))]
            (answer,) = self.house.spool.commit([arrived(frame)])
            assert answer.duplicate

    def ship(self) -> None:
        for _ in range(self.chance.randrange(1, 6)):
            self.house.shipper.step()

    def lose_a_reply(self) -> None:
        self.log.losing = True
        self.ship()

    def restore(self) -> None:
        self.log.restore(self.chance.randrange(len(self.log.batches) + 1))
        self.house.shipper._asked = False

    def crash(self) -> None:
        self.lives += 1
        after = self.home / str(self.lives)
        before = self.house
        shutil.copytree(before.settings.path, after, ignore=shutil.ignore_patterns("lock"))
        before.close()
        shutil.rmtree(before.settings.path)
        self.house = self.open(after)

    def owed(self, frames: Sequence[Frame]) -> list[str]:
        """Return the ids that the log must hold of frames, in their order."""
        return names(frames)

    def made(self, writer: UUID, sequence: int) -> Frame:
        return decisions(writer, sequence, 3, padding=self.chance.choice((0, 2_000)))

    def run(self) -> None:
        actions = (
            [self.record] * 5 + [self.ship] * 4 + [self.resend, self.lose_a_reply, self.restore, self.crash]
        )
        for _ in range(STEPS):
            self.chance.choice(actions)()
        self.house.shipper._asked = False
        assert ship_all(self.house, timeout_s=20), self.house.shipper.reason
        assert self.house.outbox.unlinked_uncovered == 0
        self.house.close()
        held = self.log.held()
        assert Counter(held) == Counter(self.owed(self.told))
        for writer in self.sequences:
            mine = [name for name in held if name.startswith(str(writer))]
            assert mine == self.owed([frame for frame in self.told if frame.writer == writer])


def caught(kind: Callable[[int, Path], World], seeds: Iterable[int], home: Path) -> bool:
    """Return whether one of the seeds notices; each world lives in a folder of its own below `home`."""
    for seed in seeds:
        place = home / str(seed)
        place.mkdir()
        world = kind(seed, place)
        try:
            world.run()
        except (AssertionError, WriterForked):
            world.house.close()
            return True
    return False
