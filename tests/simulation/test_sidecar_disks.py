"""The sidecar's seeded world on disks that fail: full, cut short, flipped, or lying about what they synced.

What was acknowledged is in the log, or the log says that something is missing: no row is wrong and none is
missing without a word. A disk lies once in a life, about the inbox's newest file: frames that were
acknowledged are gone, and their services say so when they come again. (A second lie may take that report.)
"""

import shutil
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import UUID

import msgspec
import pytest

from recorders.sidecar.house import ship_all
from recorders.sidecar.hub import Hub
from recorders.sidecar.marks import Answer
from recorders.sidecar.sealed_frames import FrameSealer
from recorders.sidecar.wire import Known
from tests.simulation.sidecar_world import SCHEMA, STEPS, World, caught
from tests.support.sidecars import arrived, decisions, names
from tests.support.subjects import HeldKeys

pytestmark = pytest.mark.usefixtures("one_place")
SEEDS = range(40)
# Reasons that say: something that was acknowledged may be missing, or may come twice.
SAID = {"spool_damaged", "outbox_damaged", "batch_damaged", "unusable", "spool_rewound", "not_retained"}


class DiskWorld(World):
    """A world whose disk fails. `harmed` names what was done to files so far."""

    def __init__(self, seed: int, home: Path) -> None:
        self.harmed: set[str] = set()
        self.full = False
        super().__init__(seed, home)

    def record(self) -> None:
        writer = self.chance.choice(list(self.sequences))
        frame = decisions(writer, self.sequences[writer] + 1, 3, padding=self.chance.choice((0, 2_000)))
        (answer,) = self.house.spool.commit([arrived(frame)], [SCHEMA])
        assert answer.kept != self.full, answer
        if answer.kept:
            self.sequences[writer] += 1
            self.told.append(frame)
        else:
            assert answer.reason == "full"

    def resend(self) -> None:
        mine = [frame for frame in self.told[-8:] if frame.writer in self.sequences]
        if mine:
            (answer,) = self.house.spool.commit([arrived(self.chance.choice(mine))])
            assert answer.kept
            assert answer.duplicate

    def fill(self) -> None:
        self.full = not self.full
        self.house.disk._quota = 0 if self.full else 2**40

    def fail(self) -> None:
        """Crash, and find a file harmed."""
        self.lives += 1
        after = self.home / str(self.lives)
        before = self.house
        shutil.copytree(before.settings.path, after, ignore=shutil.ignore_patterns("lock"))
        before.close()
        shutil.rmtree(before.settings.path)
        ways = [self.flip, self.cut] + [self.lie] * ("lie" not in self.harmed)
        self.chance.choice(ways)(after)
        self.full = False
        self.house = self.open(after)
        self.greet()

    def flip(self, folder: Path) -> None:
        path = self.chance.choice([*folder.glob("*box-*.db")])
        data = bytearray(path.read_bytes())
        data[self.chance.randrange(len(data))] ^= 1 << self.chance.randrange(8)
        path.write_bytes(data)
        self.harmed.add("flip")

    def cut(self, folder: Path) -> None:
        path = self.chance.choice([*folder.glob("*box-*.db")])
        with path.open("r+b") as file:
            file.truncate(self.chance.randrange(path.stat().st_size))
        self.harmed.add("cut")

    def lie(self, folder: Path) -> None:
        newest = max(folder.glob("inbox-*.db"))
        ahead = newest.with_name(newest.name + "-wal")
        if ahead.exists():
            with ahead.open("r+b") as file:
                file.truncate(self.chance.randrange(ahead.stat().st_size + 1))
        self.harmed.add("lie")

    def greet(self) -> None:
        """Let every service say how far it knows itself acknowledged; who is ahead takes a new writer."""
        spool = self.house.spool
        hub = Hub(spool, ThreadPoolExecutor(1), FrameSealer(HeldKeys), kept=lambda: None)
        known = [Known(writer.bytes, sequence, b"") for writer, sequence in self.sequences.items()]
        marks = hub.compare(known)
        for one, mark in zip(known, marks, strict=True):
            if mark.sequence < one.sequence:
                del self.sequences[UUID(bytes=one.writer)]
                self.sequences[UUID(int=self.chance.getrandbits(128))] = 0
        reports = [frame for _, frame in hub._frames]
        assert all(answer.kept for answer in spool.commit(reports, [SCHEMA]))

    def run(self) -> None:
        actions = [self.record] * 6 + [self.ship] * 4 + [self.resend, self.fill, self.crash, self.fail]
        for _ in range(STEPS):
            self.chance.choice(actions)()
        if self.full:
            self.fill()
        self.house.shipper._asked = False
        assert ship_all(self.house, timeout_s=20), self.house.shipper.reason
        self.house.close()
        held, expected = Counter(self.log.held()), Counter(names(self.told))
        bodies = [
            msgspec.json.decode(one.payload)["body"] for one in self.log.batches if one.kind == "control"
        ]
        said = {body["reason"] for body in bodies}
        assert said <= SAID
        assert not set(held) - set(expected), "a row that nobody recorded"
        if held != expected:
            assert said, (self.harmed, expected - held, held - expected)
        if not self.harmed:
            assert not said

    def crash(self) -> None:
        super().crash()
        self.full = False


@pytest.mark.parametrize("seed", SEEDS)
def test_what_a_disk_loses_is_said(seed: int, tmp_path: Path) -> None:
    DiskWorld(seed, tmp_path).run()


def test_a_full_disk_that_acknowledges_all_the_same_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Planted: frames that were refused for lack of room are acknowledged."""
    monkeypatch.setattr(
        "recorders.sidecar.spool.Spool._refused", lambda self, answer: Answer(True, False, "", 0, "")
    )
    assert caught(DiskWorld, SEEDS, tmp_path)
