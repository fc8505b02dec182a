"""Any one bit of a row in the outbox flips: nothing ends, and nothing is lost unsaid."""

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from recorders.append import Batch
from recorders.frame import Frame
from recorders.sidecar.errors import SpoolDamaged
from recorders.sidecar.house import House, ship_all
from recorders.sidecar.stamp import Stamp
from tests.support.fake_log import FakeLog
from tests.support.sidecars import FEATURES, arrived, decisions, names, new_writer, settings_in

SCHEMA = (bytes.fromhex(FEATURES.digest), FEATURES.canonical())
FILE = "outbox-00000001.db"
DAMAGED = 3  # of five batches: the first is shipped, the others wait
PARTS = 4
HEAD = 3  # a row begins with its length and its ordinal
SAID = {"batch_damaged", "outbox_damaged", "refused"}


def refusal(batch: Batch) -> str:
    """Say what harness.check_batch says of a header, as far as one bit can spoil it."""
    if batch.kind not in {"decision", "outcome", "control"}:
        return f"its kind is {batch.kind}"
    if not 1 <= batch.events <= 1_000_000:
        return f"it has {batch.events} events"
    if batch.kind != "control" and not (
        batch.occurred_min and batch.occurred_max and batch.occurred_min <= batch.occurred_max
    ):
        return "its times are not a range"
    try:
        return "" if len(bytes.fromhex(batch.schema_digest)) == 32 else "its schema digest is not 32 bytes"
    except ValueError:
        return "a digest is not hexadecimal"


class Case:
    """A closed spool, its log, its frames, and where the row of one batch lies in its file."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log, writer = folder, FakeLog(), new_writer()
        self.frames: list[Frame] = []
        house = House(settings_in(folder), self.log.door)
        for sequence in range(1, 6):
            self.frames.append(decisions(writer, sequence, 3))
            house.spool.commit([arrived(self.frames[-1])], [SCHEMA])
            house.shipper._rounds.compose()
        house.shipper.step()
        assert len(self.log.batches) == 1
        row = house.outbox._kept.row(DAMAGED)
        house.close()
        data = (folder / FILE).read_bytes()
        self.payload = data.index(row[12])
        self.stop = self.payload + len(row[12])
        writer_at = data.rindex(row[1], 0, self.payload)
        header = next(size for size in range(12, 60) if data[writer_at - size] == size)
        self.start = writer_at - header - HEAD
        assert data[writer_at - header - 1] == DAMAGED

    def opened(self, folder: Path, log: FakeLog) -> House:
        return House(settings_in(folder), log.door)

    def shipped(self, place: int, bit: int, folder: Path, *, opened: bool) -> FakeLog:
        """Return the log after all was shipped that could be; one bit flipped before or after opening."""
        shutil.copytree(self.folder, folder)
        log = FakeLog(self.log.batches)
        log.refuses = refusal
        house = self.opened(folder, log) if opened else None
        with (folder / FILE).open("r+b") as file:
            file.seek(place)
            (byte,) = file.read(1)
            file.seek(place)
            file.write(bytes([byte ^ 1 << bit]))
        for _ in range(3):
            house = house or self.opened(folder, log)
            try:
                assert ship_all(house, timeout_s=30), (place, bit, house.shipper.reason)
            except SpoolDamaged:
                house.close()
                house = None  # as whoever starts it again
            else:
                house.close()
                return log
        raise AssertionError(f"bit {bit} at {place} ends the sidecar again and again")

    def check(self, log: FakeLog, place: int, bit: int) -> None:
        where = (place - self.start, bit, place >= self.payload)
        held, owed = Counter(log.held()), Counter(names(self.frames))
        assert held <= owed, where
        missing = set((owed - held).elements())
        # A row with another place in its page, or of another length, hides the rows beside it too.
        hidden = self.frames[1:] if place < self.start + HEAD else [self.frames[DAMAGED - 1]]
        assert missing <= set(names(hidden)), where
        if missing:
            events = [msgspec.json.decode(one.payload) for one in log.batches if one.kind == "control"]
            assert {event["body"]["reason"] for event in events} & SAID, where


@pytest.fixture(scope="module")
def one_place() -> Iterator[None]:
    """A copied folder must not be taken for a copy."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Stamp, "place", property(lambda _: "here", lambda *_: None), raising=False)
        yield


@pytest.fixture(scope="module")
def case(one_place: None, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(tmp_path_factory.mktemp("case") / "s")


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("part", range(PARTS))
def test_a_flipped_bit_ends_nothing_and_what_it_costs_is_said(
    case: Case, tmp_path: Path, part: int, opened: bool
) -> None:
    chance = random.Random(part)
    places = [*range(case.start, case.payload), *range(case.payload, case.stop, 499)]
    for place in places[part::PARTS]:
        folder, bit = tmp_path / str(place), chance.randrange(8)
        case.check(case.shipped(place, bit, folder, opened=opened), place, bit)
        shutil.rmtree(folder)
