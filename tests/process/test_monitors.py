"""Monitors on a real log: each day judged once and explained, a broken feature named in its first window."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

from harness.errors import NotFound
from harness.log.log import Log
from harness.log.release import release
from harness.log.seal import seal
from harness.monitor import run as runs
from harness.monitor.errors import MonitorAltered, MonitorChanged, ReferenceUnusable
from harness.monitor.file import read_monitor
from harness.monitor.registered import Monitor, check, register
from harness.monitor.run import Ran, explain, history, run
from harness.monitor.text import monitor_text, monitors_text, ran_text
from harness.report.from_monitors import inputs_of
from harness.schedule_file import Schedule
from harness.schedule_jobs import jobs
from harness.strict_toml import TomlFileError
from tests.support.filled import small_log
from tests.support.shop import FIRST, POINT, Shop

TEXT = """
schema = 1
[monitor]
id = "{id}"
decision_point = "shop.returned"
owner = "shop@example.com"
fresh = "24h"
[reference]
from = "2026-03-02"
to = "2026-03-16"
{more}
"""
LABEL = """
[label]
name = "returned"
window = "24h"
loss = "error"
[detector]
unit = "request"
run_days = 365
[drift]
visible = 0.9
"""
WATCHED = 15  # the first day that is watched, as the shop counts


@pytest.fixture
def declare(tmp_path: Path) -> Any:
    def read(more: str = LABEL, name: str = "inputs") -> Any:
        path = tmp_path / "monitor.toml"
        path.write_text(TEXT.format(id=name, more=more))
        return read_monitor(path)

    return read


def day(number: int) -> str:
    return (FIRST + dt.timedelta(days=number)).date().isoformat()


def answers(found: Ran) -> tuple[dict[str, str], dict[str, str]]:
    inputs, outcomes = (
        {body["day"]: body["answer"] for body in each} for each in (found.inputs, found.outcomes)
    )
    return inputs, outcomes


def test_days_are_judged_once_and_a_broken_feature_is_named_in_its_first_window(
    event_log: Log, tmp_path: Path, declare: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(event_log, gone=(18,))
    shop.days(0, WATCHED + 3)
    watch = register(event_log, declare())
    first = run(event_log, "inputs", folder=tmp_path)
    assert answers(first)[0] == {day(number): "ok" for number in (15, 16, 17)}
    shop.days(18, 20)
    again = run(event_log, "inputs", folder=tmp_path)
    assert answers(again)[0] == {day(18): "broken", day(19): "ok"}
    assert again.answer == "broken"
    assert again.inputs[0]["reasons"][0].startswith("region: 60 of 60 rows have no value")
    head = event_log.head().position
    assert run(event_log, "inputs", folder=tmp_path) == Ran("inputs", (), ())
    assert event_log.head().position == head
    for number in (15, 18):
        said = explain(event_log, "inputs", FIRST.date() + dt.timedelta(days=number))
        assert [body["day"] for body in said] == [day(number)] * len(said)
    kept = sorted((tmp_path / ".harness" / "monitors" / "inputs").glob("*.json"))
    assert len(kept) == 14 + 5
    kept[0].write_bytes(kept[0].read_bytes()[:100])
    assert run(event_log, "inputs", dry_run=True, folder=tmp_path).inputs == ()
    text = monitor_text(watch, *history(event_log, "inputs"))
    assert "region" in text
    assert "broken" in text
    assert "▁" in text
    assert "inputs" in monitors_text([watch])
    assert "region: 60 of 60" in ran_text(again)
    days = {event.body["day"]: event.position for event in event_log.controls(runs.INPUTS, "inputs")}
    (shown,) = inputs_of(event_log, POINT, days[day(18)])
    assert (shown.day, shown.answer, shown.rows[0].name) == (day(18), "broken", "region")
    assert [each.name for each in shown.rows].count("region") == 1
    (newest,) = inputs_of(event_log, POINT, event_log.head().position)
    assert (newest.day, newest.answer) == (day(19), "ok")
    assert inputs_of(event_log, "another.point", head) == inputs_of(event_log, POINT, 1) == ()

    def altered(*args: Any) -> Any:
        return judge(*args) | {"decisions": 61}

    judge = runs.judge_inputs
    monkeypatch.setattr(runs, "judge_inputs", altered)
    with pytest.raises(MonitorAltered, match=r"decisions: 60\. The log gives 61"):
        explain(event_log, "inputs", FIRST.date() + dt.timedelta(days=15))


def test_risen_losses_raise_one_alarm_although_no_input_moved(
    event_log: Log, tmp_path: Path, declare: Any
) -> None:
    shop = Shop(event_log, turned=20)
    shop.days(0, 18)
    register(event_log, declare())
    run(event_log, "inputs", folder=tmp_path)  # in two runs, as in one
    shop.days(18, 32)
    found = run(event_log, "inputs", folder=tmp_path)
    inputs, outcomes = answers(found)
    assert set(inputs.values()) == {"ok"}
    alarms = [date for date, answer in outcomes.items() if answer == "alarm"]
    assert len(alarms) == 1
    assert day(20) <= alarms[0] <= day(26)
    last = found.outcomes[-1]
    assert last["detector"]["alarm"] == alarms[0]
    assert last["calibration"] is None  # sixty labels in fifty bins: no number is better than a plausible one
    assert found.inputs[-1]["expected"]["validity"] == "report_only"
    assert "blind to concept drift" in found.inputs[-1]["expected"]["assumption"]
    other = run(event_log, "inputs", dry_run=True, folder=tmp_path)
    assert other.outcomes == ()
    assert explain(event_log, "inputs", dt.date.fromisoformat(alarms[0]))[1]["answer"] == "alarm"


def test_the_same_bytes_in_one_run_or_many_with_or_without_what_was_kept(
    event_log: Log, tmp_path: Path, declare: Any
) -> None:
    shop = Shop(event_log)
    shop.days(0, 22)
    register(event_log, declare())
    whole = run(event_log, "inputs", dry_run=True, folder=tmp_path)
    for path in (tmp_path / ".harness" / "monitors" / "inputs").glob("*.json"):  # a kill in the midst of each
        kept = path.read_bytes()
        path.write_bytes(kept[: len(kept) // 2])
        path.with_suffix(".new").write_bytes(kept[:10])
    assert run(event_log, "inputs", dry_run=True, folder=tmp_path) == whole
    parts = [
        run(event_log, "inputs", f"{day(number)}T23:59:59Z", folder=tmp_path / "other")
        for number in range(15, 22)
    ]
    inputs = [body for part in parts for body in part.inputs]
    outcomes = [body for part in parts for body in part.outcomes]
    assert inputs == list(whole.inputs)[: len(inputs)]
    assert outcomes == list(whole.outcomes)[: len(outcomes)]
    assert len(inputs) >= 5
    assert len(outcomes) >= 4
    text = json.dumps([inputs, outcomes])
    assert "NaN" not in text
    assert "Infinity" not in text


def test_the_same_bytes_from_segments_when_the_database_has_let_go(
    database_url: str, migrated: str, tmp_path: Path, declare: Any
) -> None:
    with small_log(database_url, migrated, tmp_path / "store") as log:
        Shop(log, gone=(18,)).days(0, 22)
        register(log, declare())
        whole = run(log, "inputs", folder=tmp_path)
        reference = check(log, declare(name="other"))
        seal(log)
        assert release(log, dt.timedelta(0))
        assert check(log, declare(name="other")) == reference
        outcomes = {body["day"]: body for body in whole.outcomes}
        for body in whole.inputs:
            said = explain(log, "inputs", dt.date.fromisoformat(body["day"]))
            assert said == [body, *([outcomes[body["day"]]] if body["day"] in outcomes else [])]


def test_a_day_without_decisions_is_stale_and_a_schedule_judges(
    event_log: Log, tmp_path: Path, declare: Any
) -> None:
    shop = Shop(event_log)
    shop.days(0, 17)
    register(event_log, declare(more=""))
    shop.decisions(20)
    watch = Schedule(name="watch", job="monitor", monitor="inputs", every="1d")
    result = jobs(tmp_path)["monitor"](event_log, watch, event_log.head().position)
    assert result["answer"] == "broken"
    bodies = {body["day"]: body for body in history(event_log, "inputs")[0]}
    assert bodies[day(18)]["decisions"] == 0
    assert "The newest event is" in bodies[day(18)]["reasons"][0]
    assert bodies[day(18)]["drift"]["answers"] == {
        "feature": "not enough data",
        "prediction": "not enough data",
    }


def test_what_cannot_watch_is_refused(event_log: Log, tmp_path: Path, declare: Any) -> None:
    shop = Shop(event_log)
    shop.days(0, 10)
    with pytest.raises(ReferenceUnusable, match="ends at"):
        register(event_log, declare())
    shop.days(10, 15)
    shop.decisions(15)
    with pytest.raises(ReferenceUnusable, match="mature until"):
        register(event_log, declare())
    shop.outcomes(15)
    shop.days(16, 18)
    with pytest.raises(NotFound, match="region"):
        register(event_log, declare(more='[[features]]\nname = "regoin"\n'))
    with pytest.raises(TomlFileError, match="low"):
        declare(more='[[features]]\nname = "x"\nlow = 2.0\nhigh = 1.0\n')
    with pytest.raises(NotFound):
        run(event_log, "nothing", folder=tmp_path)
    first: Monitor = register(event_log, declare())
    assert register(event_log, declare()).event == first.event
    assert check(event_log, declare()) == first.event.body
    with pytest.raises(MonitorChanged):
        register(event_log, declare(more=""))
    with pytest.raises(NotFound, match="judged day"):
        explain(event_log, "inputs", FIRST.date())


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("[drift]\nfloor = 2.0", "floor"),
        ('[label]\nname = "r"\nwindow = "1 day"', "window"),
        ("[detector]\nrun_days = 0", "run_days"),
        ('[[features]]\nname = "x"\n[[features]]\nname = "x"', "x is there 2 times"),
        ("[detectr]", "detectr"),
    ],
)
def test_the_linter_names_each_fault(declare: Any, more: str, said: str) -> None:
    with pytest.raises(TomlFileError) as refused:
        declare(more=more)
    assert said in str(refused.value)
