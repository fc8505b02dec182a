"""Schedules on a real log, with a clock of the test's own: once per slot, caught up once, failures kept."""

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from harness.config import StorePlace
from harness.experiment_lint import read_experiment
from harness.experiments import register
from harness.log.log import Log
from harness.log.seal import sealing
from harness.looks import stored_looks, take_look
from harness.schedule_file import Schedule
from harness.schedule_jobs import jobs
from harness.scheduler import CLAIMED, COMPLETED, FAILED, Job, Run, Runner, history
from recorders.errors import HarnessError
from tests.support.filled import fill, reads, small_log
from tests.support.shop import Shop, entered, experiment_text

WEEK = dt.timedelta(days=7)
WEEKLY = Schedule(name="weekly", job="evaluate", experiment="returned-1", every="7d")


class FakeClock:
    def __init__(self) -> None:
        self.time = dt.datetime(2026, 3, 2, 0, 5, tzinfo=dt.UTC)

    def now(self) -> dt.datetime:
        return self.time


class Died(BaseException):
    """The process is gone: nothing in the scheduler may catch this."""


@pytest.fixture
def shop(event_log: Log, tmp_path: Path) -> Shop:
    found = entered(event_log, tmp_path, ["oracle"])
    path = tmp_path / "experiment.toml"
    path.write_text(experiment_text())
    register(event_log, read_experiment(path))
    return found


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def runner(shop: Shop, clock: FakeClock, folder: Path, table: Mapping[str, Job] | None = None) -> Runner:
    return Runner(lambda: Log(shop.log.url), table or jobs(folder), clock)


SEALING = Schedule(name="nightly", job="seal", experiment=None, every="1d")


def test_the_job_seal_seals_sweeps_and_releases_by_the_rule(
    database_url: str, migrated: str, clock: FakeClock, tmp_path: Path
) -> None:
    (tmp_path / "harness.toml").write_text('[log]\nkeep = "1m"\n')
    with small_log(database_url, migrated, tmp_path / "segments") as log:
        place = log.address.store

        def nightly(store: StorePlace | None = place) -> Run:
            return Runner(lambda: Log(log.url, store=store), jobs(tmp_path), clock).run_due(SEALING)

        fill(log, 6)
        before = reads(log)
        first = nightly()
        assert (first.state, first.detail["segments"], first.detail["swept"]) == ("completed", 1, 0)
        assert first.detail["sealed_up_to"] == 276
        assert first.detail["released"] == 2
        assert reads(log) == before
        assert nightly().state == "ended"
        clock.time += dt.timedelta(days=1)
        log.sealed.store.put(f"{log.sealed.log_id}/ledgers/left.parquet", Path(__file__))
        second = nightly().detail
        assert (second["segments"], second["released"], second["swept"]) == (0, 0, 1)
        clock.time += dt.timedelta(days=1)
        with sealing(log):
            busy = nightly()
        assert (busy.state, "Another process" in busy.detail["skipped"]) == ("completed", True)
        clock.time += dt.timedelta(days=1)
        fill(log, 6)
        failed = nightly(StorePlace(str(tmp_path / "harness.toml" / "no-folder")))
        assert (failed.state, failed.detail["error_type"]) == ("failed", "StoreUnreachable")
        clock.time += dt.timedelta(days=1)
        assert nightly().detail["segments"] == 1


def test_a_slot_is_run_once(shop: Shop, clock: FakeClock, tmp_path: Path) -> None:
    shop.days(0, 8)
    first = runner(shop, clock, tmp_path).run_due(WEEKLY)
    assert (first.state, first.detail["look"], first.detail["state"]) == ("completed", 1, "HOLD")
    assert first.slot == dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
    shop.days(8, 10)
    assert runner(shop, clock, tmp_path).run_due(WEEKLY).state == "ended"
    assert len(stored_looks(shop.log, "returned-1")) == 1


def test_missed_runs_are_caught_up_once(shop: Shop, clock: FakeClock, tmp_path: Path) -> None:
    shop.days(0, 8)
    runner(shop, clock, tmp_path).run_due(WEEKLY)
    shop.days(8, 12)
    clock.time += 5 * WEEK
    caught_up = runner(shop, clock, tmp_path).run_due(WEEKLY)
    assert caught_up.slot == dt.datetime(2026, 4, 6, tzinfo=dt.UTC)
    assert runner(shop, clock, tmp_path).run_due(WEEKLY).state == "ended"
    assert len(history(shop.log, "weekly")) == 2


def test_a_decided_look_records_its_verdict_and_later_slots_are_skipped(
    shop: Shop, clock: FakeClock, tmp_path: Path
) -> None:
    shop.days(0, 41)
    done = runner(shop, clock, tmp_path).run_due(WEEKLY)
    assert done.detail["state"] == "PROMOTE"
    assert shop.log.controls("verdict.reached")[0].position == done.detail["verdict_position"]
    clock.time += WEEK
    later = runner(shop, clock, tmp_path).run_due(WEEKLY)
    assert later.state == "completed"
    assert "concluded" in later.detail["skipped"]


def test_an_experiment_that_is_not_open_yet_is_skipped(shop: Shop, clock: FakeClock, tmp_path: Path) -> None:
    done = runner(shop, clock, tmp_path).run_due(WEEKLY)
    assert done.state == "completed"
    assert "begins at" in done.detail["skipped"]


def test_a_failure_is_a_control_event_and_the_next_slot_goes_on(
    shop: Shop, clock: FakeClock, tmp_path: Path
) -> None:
    shop.days(0, 8)
    broken = Schedule(name="broken", job="evaluate", experiment="returned-2", every="7d")
    failed = runner(shop, clock, tmp_path).run_due(broken)
    assert failed.state == "failed"
    [event] = shop.log.controls(FAILED, "broken")
    assert 'no experiment "returned-2"' in event.body["error"]
    assert event.body["error_type"] == "NotFound"
    assert runner(shop, clock, tmp_path).run_due(broken).state == "ended"
    clock.time += WEEK
    path = tmp_path / "second.toml"
    path.write_text(experiment_text(name="returned-2"))
    register(shop.log, read_experiment(path))
    assert runner(shop, clock, tmp_path).run_due(broken).state == "completed"


def test_a_run_that_died_after_its_look_is_ended_with_that_look(
    shop: Shop, clock: FakeClock, tmp_path: Path
) -> None:
    shop.days(0, 8)
    table = jobs(tmp_path)

    def dies(log: Log, schedule: Schedule, position: int) -> dict[str, Any]:
        table[schedule.job](log, schedule, position)
        raise Died

    with pytest.raises(Died):
        runner(shop, clock, tmp_path, {"evaluate": dies}).run_due(WEEKLY)
    [look] = stored_looks(shop.log, "returned-1")
    shop.days(8, 12)  # the log has grown since: the claimed position still holds
    done = runner(shop, clock, tmp_path).run_due(WEEKLY)
    assert (done.state, done.detail["look_position"]) == ("completed", look.position)
    assert len(stored_looks(shop.log, "returned-1")) == 1


def test_a_run_that_died_before_its_look_gives_way_to_a_later_look(
    shop: Shop, clock: FakeClock, tmp_path: Path
) -> None:
    def dies(log: Log, schedule: Schedule, position: int) -> dict[str, Any]:
        raise Died

    shop.days(0, 8)
    with pytest.raises(Died):
        runner(shop, clock, tmp_path, {"evaluate": dies}).run_due(WEEKLY)
    shop.days(8, 10)
    take_look(shop.log, "returned-1", folder=tmp_path)
    done = runner(shop, clock, tmp_path).run_due(WEEKLY)
    assert done.state == "completed"
    assert "before the newest look" in done.detail["skipped"]


def test_while_one_scheduler_is_at_it_another_leaves_it(shop: Shop, clock: FakeClock, tmp_path: Path) -> None:
    shop.days(0, 8)
    seen = []

    def looks_around(log: Log, schedule: Schedule, position: int) -> dict[str, Any]:
        seen.append(runner(shop, clock, tmp_path).run_due(schedule).state)
        return {}

    assert runner(shop, clock, tmp_path, {"evaluate": looks_around}).run_due(WEEKLY).state == "completed"
    assert seen == ["busy"]


def test_what_no_job_should_raise_is_kept_too(shop: Shop, clock: FakeClock, tmp_path: Path) -> None:
    def crashes(log: Log, schedule: Schedule, position: int) -> dict[str, Any]:
        raise ZeroDivisionError("by nought")

    found = runner(shop, clock, tmp_path, {"evaluate": crashes})
    with pytest.raises(ZeroDivisionError):
        found.run_due(WEEKLY)
    [event] = shop.log.controls(FAILED)
    assert (event.body["error"], event.body["error_type"]) == ("by nought", "ZeroDivisionError")
    assert found.run_due(WEEKLY).state == "ended"


def test_every_slot_has_one_claim_and_one_end(shop: Shop, clock: FakeClock, tmp_path: Path) -> None:
    shop.days(0, 2)
    for day in range(2, 6):
        shop.days(day, day + 1)
        for _ in range(2):
            runner(shop, clock, tmp_path).run_due(WEEKLY)
        clock.time += WEEK
    assert len(shop.log.controls(CLAIMED)) == len(shop.log.controls(COMPLETED)) == 4


def test_a_database_that_is_down_leaves_the_slot_open(shop: Shop, clock: FakeClock, tmp_path: Path) -> None:
    shop.days(0, 8)
    away = Runner(lambda: Log("postgresql://127.0.0.1:1/none"), jobs(tmp_path), clock)
    with pytest.raises(HarnessError):
        away.run_due(WEEKLY)
    assert runner(shop, clock, tmp_path).run_due(WEEKLY).state == "completed"
