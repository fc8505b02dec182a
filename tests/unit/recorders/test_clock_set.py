"""The machine's clock is set while a sidecar works, or was wrong when it began."""

from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from recorders.losses import Loss
from recorders.sidecar.clock_steps import ClockSteps
from recorders.sidecar.house import House, ship_all
from recorders.sidecar.metrics import prometheus
from recorders.sidecar.service import Service
from recorders.sidecar.silence import GRACE_S, SILENT_S
from tests.support.doors_house import House as Doors
from tests.support.doors_house import kserve, run
from tests.support.fake_log import FakeLog
from tests.support.recording import HeldClock
from tests.support.sidecars import FEATURES, arrived, decisions, new_writer, settings_in

SCHEMA = (bytes.fromhex(FEATURES.digest), FEATURES.canonical())
DAY_S = 86_400.0
NOW_S = 1_790_000_000.0
STEPS_S = pytest.mark.parametrize("step_s", [-40 * DAY_S, -7_200.0, 3_600.0, 40 * DAY_S])


def opened(folder: Path, log: FakeLog, clock: HeldClock, segment_bytes: int = 65_536) -> House:
    settings = settings_in(folder, durability="process", segment_bytes=segment_bytes)
    house = House(settings, log.door, clock=clock)
    house.shipper.draining = True
    return house


def filled(house: House, frames: int) -> None:
    writer = new_writer()
    for sequence in range(1, frames + 1):
        frame = decisions(writer, sequence, 100, padding=400)
        house.spool.commit([arrived(frame)], [SCHEMA])
        house.shipper.step()
    assert ship_all(house, timeout_s=20)


@STEPS_S
def test_what_is_shipped_and_not_covered_is_kept_as_long_as_is_configured(
    tmp_path: Path, step_s: float
) -> None:
    log, clock = FakeLog(), HeldClock(NOW_S)
    with closing(opened(tmp_path / "s", log, clock)) as house:
        filled(house, 8)
        kept = house.outbox.first_kept
        for _ in range(3):
            clock.set_by_s += step_s
            house.shipper.step()
            house.shipper.step()
        assert (house.outbox.first_kept, house.outbox.unlinked_uncovered) == (kept, 0)
        clock.seconds += DAY_S
        house.shipper.step()
        house.shipper.step()
        assert house.outbox.unlinked_uncovered > 0


@STEPS_S
def test_a_start_by_a_clock_that_is_wrong_lets_nothing_go_early(tmp_path: Path, step_s: float) -> None:
    log, clock = FakeLog(), HeldClock(NOW_S)
    with closing(opened(tmp_path / "s", log, clock)) as house:
        filled(house, 8)
        kept = house.outbox.first_kept
    clock.set_by_s += step_s
    with closing(opened(tmp_path / "s", log, clock)) as house:
        clock.set_by_s -= step_s
        clock.seconds += DAY_S - 1
        ship_all(house, timeout_s=20)
        house.shipper.step()
        assert (house.outbox.first_kept, house.outbox.unlinked_uncovered) == (kept, 0)
        clock.seconds += 2
        house.shipper.step()
        house.shipper.step()
        assert house.outbox.unlinked_uncovered > 0


def test_what_a_log_passed_over_goes_in_its_time_and_keeps_nothing_behind_it(tmp_path: Path) -> None:
    log, clock = FakeLog(), HeldClock(NOW_S)
    with closing(opened(tmp_path / "s", log, clock)) as house:
        filled(house, 8)
        writer = new_writer()
        house.spool.commit([arrived(decisions(writer, 1, 100, padding=400))], [SCHEMA])
        house.shipper._rounds.compose()
        house.outbox.ship_again_after(house.outbox.state.last_ordinal)
        house.outbox._rotate()
        ship_all(house, timeout_s=20)
        files = len(house.outbox._kept.files)
        clock.seconds += DAY_S
        for _ in range(4):
            house.shipper.step()
        clock.seconds += DAY_S
        for _ in range(4):
            house.shipper.step()
        assert len(house.outbox._kept.files) == 1 < files


@STEPS_S
def test_halves_wait_for_each_other_as_long_as_ever(tmp_path: Path, step_s: float) -> None:
    async def story(house: Doors) -> None:
        counts = house.desk.table.counts
        assert (await house.send(*kserve(1, "request")))[0] == 200
        house.clock.set_by_s += step_s
        await house.desk.commit()
        assert (await house.send(*kserve(1, "response")))[0] == 200
        assert (counts["paired"], counts["unmatched_request"]) == (1, 0)
        assert (await house.send(*kserve(2, "request")))[0] == 200
        house.clock.set_by_s -= 2 * step_s
        await house.pass_time(61.0)
        assert counts["unmatched_request"] == 1

    run(tmp_path, story, wait_s=60.0)


def test_halves_wait_on_after_the_sidecar_stood_still(tmp_path: Path) -> None:
    """What was sent meanwhile is read when it goes on (SIGSTOP): it went out alone just before."""

    async def story(house: Doors) -> None:
        assert (await house.send(*kserve(1, "request")))[0] == 200
        house.clock.seconds += 3_600.0
        await house.desk.commit()
        assert (await house.send(*kserve(1, "response")))[0] == 200
        assert dict(house.desk.table.counts)["paired"] == 1

    run(tmp_path, story, wait_s=60.0)


@STEPS_S
def test_halves_of_an_earlier_process_wait_from_the_start_on(tmp_path: Path, step_s: float) -> None:
    async def first(house: Doors) -> None:
        assert (await house.send(*kserve(1, "request")))[0] == 200
        assert (await house.send(*kserve(2, "request")))[0] == 200

    async def second(house: Doors) -> None:
        house.clock.set_by_s += step_s
        await house.pass_time(59.0)
        assert (await house.send(*kserve(1, "response")))[0] == 200
        await house.pass_time(2.0)
        assert house.desk.table.counts["paired"] == house.desk.table.counts["unmatched_request"] == 1

    run(tmp_path, first, wait_s=60.0).journal.close()
    run(tmp_path, second, wait_s=60.0)


@STEPS_S
def test_what_doors_refuse_is_told_in_its_time_between_instants_in_their_order(
    tmp_path: Path, step_s: float
) -> None:
    async def refused(house: Doors, number: int) -> None:
        path, headers, _ = kserve(number, "request")
        assert (await house.send(path, headers, b"["))[0] == 422

    async def story(house: Doors) -> None:
        await refused(house, 1)
        await house.desk.commit()  # the first is told at once, the others five seconds later
        await refused(house, 2)
        house.clock.set_by_s += step_s
        await refused(house, 3)
        await house.pass_time(5.0)

    house = run(tmp_path, story)
    told = [msgspec.msgpack.decode(frame.payload, type=list[Loss])[0] for frame in house.kept.frames]
    assert [loss.count for loss in told] == [1, 2]
    assert told[1].last_us - told[1].first_us == pytest.approx(abs(step_s) * 1e6)


@pytest.mark.parametrize("step_s", [-40 * DAY_S, 40 * DAY_S])
def test_a_writer_is_forgotten_for_its_silence_alone(tmp_path: Path, step_s: float) -> None:
    log, clock = FakeLog(), HeldClock(NOW_S)
    talks, silent = decisions(new_writer(), 1), decisions(new_writer(), 1)
    with closing(opened(tmp_path / "s", log, clock)) as house:
        house.spool.commit([arrived(talks), arrived(silent)], [SCHEMA])
        clock.set_by_s += step_s
        house.spool._rotate()
        assert all(answer.duplicate for answer in house.spool.commit([arrived(talks), arrived(silent)]))
    clock.set_by_s += step_s
    with closing(opened(tmp_path / "s", log, clock)) as house:
        assert house.spool.writers == 2
        clock.seconds += GRACE_S
        house.spool.marks([talks.writer.bytes])  # it is there, and has nothing to say
        clock.seconds += SILENT_S - 1
        house.spool._rotate()
        assert house.spool.holds(bytes.fromhex(talks.digest))
        assert not house.spool.holds(bytes.fromhex(silent.digest))


def test_a_segment_ends_by_its_age_whatever_the_clock_says(tmp_path: Path) -> None:
    clock = HeldClock(NOW_S)
    with closing(opened(tmp_path / "s", FakeLog(), clock, segment_bytes=2**20)) as house:
        house.spool.commit([arrived(decisions(new_writer(), 1))], [SCHEMA])
        before = house.spool.current
        clock.set_by_s += 40 * DAY_S
        house.spool.tick()
        assert house.spool.current == before
        clock.set_by_s -= 80 * DAY_S
        clock.seconds += 600.0
        house.spool.tick()
        assert house.spool.current == before + 1


@pytest.mark.parametrize(("step_s", "asked"), [(59.0, 0), (61.0, 1), (-61.0, 1)])
def test_the_log_is_asked_first_when_the_clock_is_set_by_as_much_as_a_long_stop(
    tmp_path: Path, step_s: float, asked: int
) -> None:
    log, clock = FakeLog(), HeldClock(NOW_S)
    with closing(opened(tmp_path / "s", log, clock)) as house:
        filled(house, 1)
        before = house.shipper.counts.asked
        clock.set_by_s += step_s
        house.spool.commit([arrived(decisions(new_writer(), 1))])
        assert ship_all(house, timeout_s=20)
        assert house.shipper.counts.asked - before == asked


def test_how_a_clock_is_kept_right_is_no_step() -> None:
    clock = HeldClock(NOW_S)
    steps = ClockSteps(clock)
    for _ in range(1_000):
        clock.seconds += 1.0
        clock.set_by_s += 0.0005
        assert steps.look() == 0.0
    clock.seconds += 10_000.0  # stopped for long, while it was kept right
    clock.set_by_s += 5.0
    assert steps.look() == 0.0
    clock.set_by_s -= 3_600.0
    assert steps.look() == pytest.approx(-3_600.0)
    assert (steps.count, steps.look()) == (1, 0.0)


def test_a_step_is_warned_of_and_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    service = Service(settings_in(tmp_path / "s"))
    clock = HeldClock(NOW_S)
    service._steps = ClockSteps(clock)
    service._look_at_clock()
    assert caplog.messages == []
    clock.set_by_s += 3_600.0
    service._look_at_clock()
    clock.set_by_s -= 7_200.0
    service._look_at_clock()
    service._house.close()
    assert [message[:46] for message in caplog.messages] == [
        "The machine's clock was set forward by 3600 s.",
        "The machine's clock was set back by 7200 s. Ha",
    ]
    shown = prometheus({"clock": {"steps": service._steps.count, "set_s": service._steps.total_s}})
    assert "harness_sidecar_clock_steps_total 2\n" in shown
    assert "harness_sidecar_clock_set_seconds -3600\n" in shown
