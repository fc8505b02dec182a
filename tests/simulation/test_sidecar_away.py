"""The sidecar is away for an hour at 2,000 decisions a second; and clocks that jump."""

import json
import os
import random
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.log.controls import decode
from harness.log.gaps import Gaps, find
from harness.log.log import Log
from recorders.clock import LastingClock
from recorders.errors import LinkUnavailable
from recorders.frame import Frame, Receipt
from recorders.limits import Limits
from recorders.sidecar.house import House, ship_all
from tests.simulation.sidecar_world import World
from tests.support.fake_log import FakeLog
from tests.support.recording import HeldClock, StillRecorder
from tests.support.sidecars import FEATURES, POINT, arrived, decision_ids, settings_in

RATE, HOUR_S, TURN_S = 2_000, 3_600, 0.1
# What a queued event may take, and what the process may grow by beside the queue.
EVENT_BYTES, SPARE_BYTES = 650, 32 * 2**20
SCHEMA = (bytes.fromhex(FEATURES.digest), FEATURES.canonical())
DAY_S = 86_400.0


class SpoolLink:
    """A link straight into a house's spool, while there is one."""

    def __init__(self) -> None:
        self.house: House | None = None

    def send(self, frame: Frame) -> Receipt:
        if self.house is None:
            raise LinkUnavailable("no sidecar")
        (answer,) = self.house.spool.commit([arrived(frame)], [SCHEMA])
        assert answer.kept
        return Receipt(0, frame.sequence, "", 0, answer.duplicate)

    def close(self) -> None:
        return


def gaps_in(log: FakeLog) -> Gaps:
    controls = [
        decode(place, datetime.now(UTC), batch.payload)
        for place, batch in enumerate(log.batches, start=1)
        if batch.kind == "control"
    ]
    return find(controls, 1, len(log.batches) + 1)


def recorder_over(link: SpoolLink, clock: HeldClock) -> StillRecorder:
    return StillRecorder(POINT, FEATURES, link, model="m", model_version="1", limits=Limits(), clock=clock)


def resident() -> int:
    """Return the bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_an_hour_without_a_sidecar_costs_bounded_memory_and_an_exact_count(
    fresh_log: Log, tmp_path: Path
) -> None:
    link, clock = SpoolLink(), HeldClock()
    recorder = recorder_over(link, clock)
    outbox, features = recorder.outbox, {"amount": 1.0, "country": "NZ"}
    offered = told = 0
    before = resident()
    for _ in range(int(HOUR_S / TURN_S)):
        for _ in range(int(RATE * TURN_S)):
            told += recorder.record(features, score=0.5, decision="yes") is not None
        offered += int(RATE * TURN_S)
        clock.seconds += TURN_S
        recorder.carry()
    assert offered == 7_200_000
    slots = Limits().queue_slots
    assert len(outbox.decisions) <= slots
    assert sum(map(len, outbox.decisions)) < EVENT_BYTES * slots
    assert resident() - before < EVENT_BYTES * slots + SPARE_BYTES
    assert recorder.counters.dropped["full"] == offered - told
    link.house = House(settings_in(tmp_path / "s", fresh_log.url, durability="process"))
    clock.seconds += 60
    while not outbox.drained:
        recorder.carry_all()
        clock.seconds += 10
    assert ship_all(link.house, timeout_s=60)
    link.house.close()
    held = decision_ids(fresh_log)
    assert len(held) == len(set(held)) == told
    shown = subprocess.run(
        [str(Path(sys.executable).with_name("harness")), "log", "gaps", "--json"],
        env=os.environ | {"HARNESS_DATABASE_URL": fresh_log.url},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    gaps = json.loads(shown.stdout)
    assert (gaps["events"], gaps["uncounted"]) == (offered - told, 0)
    assert [(one["reason"], one["events"]) for one in gaps["sums"]] == [("full", offered - told)]


@pytest.mark.parametrize("jump_s", [-DAY_S, -3_600.0, DAY_S])
def test_a_service_whose_clock_jumps_loses_and_hides_nothing(tmp_path: Path, jump_s: float) -> None:
    link, log = SpoolLink(), FakeLog()
    clock = HeldClock(set_by_s=2 * DAY_S)
    recorder = recorder_over(link, clock)
    link.house = House(settings_in(tmp_path / "s", durability="process"), log.door)
    told = 0
    for turn in range(40):
        if turn == 20:
            clock.set_by_s += jump_s
        told += recorder.record({"amount": 1.0, "country": "NZ"}) is not None
        assert recorder.record({"amount": "x"}) is None
        clock.seconds += 1
        recorder.carry()
    recorder.carry_all()
    clock.seconds += 10
    recorder.carry_all()
    assert ship_all(link.house, timeout_s=20)
    link.house.close()
    assert len(log.held()) == told == 40
    gaps = gaps_in(log)
    assert {one.reason: one.events for one in gaps.sums} == {"rejected.type": 40}
    assert all(one.first <= one.last for one in gaps.gaps if one.first and one.last)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.usefixtures("one_place")
def test_a_sidecar_whose_clock_jumps_loses_nothing(seed: int, tmp_path: Path) -> None:
    """Whenever it is read it is elsewhere in forty days to either side, more than anything is kept for."""
    chance = random.Random(seed)

    class Jumping(LastingClock):
        def now_us(self) -> int:
            return int((1_700_000_000.0 + chance.uniform(-40 * DAY_S, 40 * DAY_S)) * 1e6)

    World(seed, tmp_path, Jumping()).run()
