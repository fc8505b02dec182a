"""What is out of its budget ends where the same command goes on, says so, and leaves no verdict behind."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.budget import Budget, Meter, Used
from harness.challengers import MEASURED
from harness.cli.main import run
from harness.engines.local import Local
from harness.experiment_lint import read_experiment
from harness.experiments import register
from harness.log.log import Log
from harness.looks import stored_looks
from harness.models import add_model
from harness.replay_batches import GROUP_ROWS
from harness.replay_errors import BudgetSpent
from harness.replay_runner import replay_in_parts, run_replay, run_replays
from harness.replays import STOPPED, ReplayRun, list_replays
from tests.support.history import POINT, History
from tests.support.shop import Shop, experiment_text

ROWS = 3 * GROUP_ROWS + 100
SOURCE = """
import time

def half(frame):
    return frame["items"] * 0.5
half.inputs = ("items",)

def third(frame):
    return frame["items"] / 3
third.inputs = ("items",)

def slow(frame):
    time.sleep(0.3)
    return frame["items"] * 0.5
slow.inputs = ("items",)
"""


@pytest.fixture
def place(event_log: Log, tmp_path: Path) -> dict[str, Any]:
    return filled(event_log, tmp_path)


def filled(log: Log, folder: Path) -> dict[str, Any]:
    (folder / "budget_models.py").write_text(SOURCE)
    start, stop = History(log, size=4_000).decisions(0, ROWS)
    for name in ("half", "third", "slow"):
        add_model(log, f"py:budget_models:{name}", name=name, version="1", folder=folder)
    return {"decision_point": POINT, "start": start, "stop": stop, "folder": folder}


@pytest.mark.parametrize(
    ("budget", "reason"),
    [
        (Budget(time_s=1e-9), "time"),
        (Budget(cpu_s=1e-9), "cpu"),
        (Budget(time_s=1e6, memory_mb=1.0), "memory"),
    ],
)
def test_out_of_its_budget_it_ends_after_a_group_and_goes_on_from_there(
    event_log: Log, fresh_log: Log, tmp_path: Path, place: dict[str, Any], budget: Budget, reason: str
) -> None:
    with pytest.raises(BudgetSpent, match="Run the same command again") as spent:
        run_replay(event_log, "half:1", **place, meter=Meter(budget))
    assert spent.value.reason == reason
    assert spent.value.used >= spent.value.limit
    (cut,) = list_replays(event_log)
    assert (cut.completed_at, cut.stopped) == (None, reason)
    (event,) = event_log.controls(STOPPED, cut.id)
    assert event.body["left"] == [[place["start"] + GROUP_ROWS, place["stop"]]]
    assert len(event_log.controls(MEASURED, cut.id)) == 1
    done = run_replay(event_log, "half:1", **place)
    whole = run_replay(fresh_log, "half:1", **filled(fresh_log, tmp_path))
    assert (done.id, done.digest, done.rows, done.stopped) == (whole.id, whole.digest, ROWS, None)


def test_challengers_in_company_share_the_budget(event_log: Log, place: dict[str, Any]) -> None:
    meter = Meter(Budget(cpu_s=1e-9))
    found = run_replays(event_log, ["half:1", "third:1"], **place, meter=meter)
    assert [type(each) for each in found] == [BudgetSpent, BudgetSpent]
    assert len(event_log.controls(STOPPED)) == 2
    again = run_replays(event_log, ["half:1", "third:1"], **place, meter=Meter(Budget(cpu_s=1e6)))
    assert [each.rows for each in again if isinstance(each, ReplayRun)] == [ROWS, ROWS]


def test_workers_end_when_the_time_is_over(
    event_log: Log, place: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One part has all the groups: the worker itself has to see that the time is over."""
    of = (POINT, place["start"], place["stop"])
    meter = Meter(Budget(time_s=0.2))
    cut = replay_in_parts(event_log, "slow:1", Local(1), of, folder=place["folder"], meter=meter)
    assert isinstance(cut, BudgetSpent)
    (event,) = event_log.controls(STOPPED)
    assert event.body["reason"] == "time"
    ((first, after),) = event.body["left"]
    assert place["start"] < first < after == place["stop"]
    monkeypatch.setattr("harness.scored_parts.PART_ROWS", GROUP_ROWS)
    spent = Meter(Budget(cpu_s=1e-9))
    cut = replay_in_parts(event_log, "slow:1", Local(1), of, folder=place["folder"], meter=spent)
    assert isinstance(cut, BudgetSpent)
    assert cut.reason == "cpu"
    done = replay_in_parts(event_log, "slow:1", Local(1), of, folder=place["folder"])
    assert isinstance(done, ReplayRun)
    assert (done.rows, done.failed) == (ROWS, 0)


def test_a_meter_adds_up_processes_and_counts_none_twice() -> None:
    meter = Meter(Budget(cpu_s=100.0))
    alone = meter.used()
    for cpu_s in (1.0, 40.0):
        meter.worker(Used("elsewhere:7", cpu_s, 10.0))
        meter.model("run", cpu_s / 2, 5.0)
    used = meter.used()
    assert 60.0 <= used["cpu"] - alone["cpu"] < 61.0
    assert used["memory"] - alone["memory"] >= 15.0
    meter.check()
    meter.worker(Used("elsewhere:8", 50.0, 10.0))
    with pytest.raises(BudgetSpent, match="100 CPU s is spent"):
        meter.check()


def test_the_commands_end_with_code_75_and_no_look(
    event_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_DATABASE_URL", event_log.url)
    shop = Shop(event_log)
    add_model(
        event_log,
        "py:tests.support.shop:oracle",
        name="oracle",
        version="1",
        trained_until=0,
        inputs=["x"],
        folder=tmp_path,
    )
    shop.days(0, 4)
    path = tmp_path / "experiment.toml"
    path.write_text(experiment_text("cut", "oracle:1"))
    register(event_log, read_experiment(path))
    assert run(["evaluate", "cut", "--max-memory", "1", "--json"]) == 75
    assert "budget of 1 MB is spent" in json.loads(capsys.readouterr().err)["error"]["message"]
    assert not stored_looks(event_log, "cut")
    assert run(["replay", "list"]) == 0
    assert "out of its budget of memory" in capsys.readouterr().out
    assert run(["evaluate", "cut", "--max-time", "1h", "--max-cpu", "1h"]) == 0
    assert len(stored_looks(event_log, "cut")) == 1
    assert run(["evaluate", "cut", "--max-time", "0s"]) == 2
    assert "above 0" in capsys.readouterr().err
