"""A seeded world around spool, outbox and shipper: crashes, lost replies, restored logs, duplicates.

The log is a fake that keeps the rules of `append`. The oracle is what the spool acknowledged; at the end of
each seed the log must hold exactly that, each writer's frames in order. Planted bugs must be caught.
"""

import random
import shutil
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from uuid import UUID

import pytest

from recorders.errors import WriterForked
from recorders.frame import Frame
from recorders.sidecar.drafts import Draft
from recorders.sidecar.outbox import Outbox
from recorders.sidecar.service import House, ship_all
from recorders.sidecar.spool import Place
from recorders.sidecar.stamp import Stamp
from tests.support.fake_log import FakeLog
from tests.support.sidecars import FEATURES, arrived, decisions, from_disk, names, settings_in

SCHEMA = (bytes.fromhex(FEATURES.digest), FEATURES.canonical())
SEEDS = range(100)
PLANTED_SEEDS = range(12)
STEPS = 30


class World:
    """One seed: what happens, in what order, is chance; what must hold at the end is not."""

    def __init__(self, seed: int, home: Path, clock: Callable[[], float] = time.time) -> None:
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
            frames.append(
                decisions(writer, self.sequences[writer], 3, padding=self.chance.choice((0, 2_000)))
            )
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

    def run(self) -> None:
        actions = (
            [self.record] * 5 + [self.ship] * 4 + [self.resend, self.lose_a_reply, self.restore, self.crash]
        )
        for _ in range(STEPS):
            self.chance.choice(actions)()
        self.house.shipper._asked = False
        assert ship_all(self.house, timeout_s=20), self.house.shipper.reason
        self.house.close()
        held = self.log.held()
        assert Counter(held) == Counter(names(self.told))
        for writer in self.sequences:
            mine = [name for name in held if name.startswith(str(writer))]
            assert mine == names([frame for frame in self.told if frame.writer == writer])


@pytest.fixture(autouse=True)
def one_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A crashed sidecar's folder is copied, and must not be taken for a copy."""
    monkeypatch.setattr(Stamp, "place", property(lambda _: "here", lambda *_: None), raising=False)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_log_holds_what_was_acknowledged(seed: int, tmp_path: Path) -> None:
    World(seed, tmp_path).run()


def caught(tmp_path: Path) -> bool:
    """Return whether one of the seeds notices."""
    for seed in PLANTED_SEEDS:
        home = tmp_path / str(seed)
        home.mkdir()
        world = World(seed, home)
        try:
            world.run()
        except (AssertionError, WriterForked):
            world.house.close()
            return True
    return False


def test_a_composition_that_does_not_move_the_mark_in_full_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: the place up to which frames are composed is one short."""
    real = Outbox.compose

    def short(self: Outbox, drafts: Sequence[Draft], composed: Place, *, inherited: bool = False) -> None:
        before = Place(composed.segment, max(0, composed.id - 1))
        real(self, drafts, before if drafts and composed.id > 3 else composed, inherited=inherited)

    monkeypatch.setattr(Outbox, "compose", short)
    assert caught(tmp_path)


def test_a_spool_that_forgets_its_marks_when_it_rotates_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: a new segment carries no high-water marks."""
    monkeypatch.setattr("recorders.sidecar.spool.SILENT_S", -1.0)
    assert caught(tmp_path)


def test_a_shipper_that_believes_a_restored_log_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: what a restored log has lost is skipped instead of shipped again."""
    monkeypatch.setattr(
        "recorders.sidecar.ship.Shipper._go_back",
        lambda self, ready, have: self._outbox.rewrite(ready.ordinal, "planted") and None,
    )
    assert caught(tmp_path)
