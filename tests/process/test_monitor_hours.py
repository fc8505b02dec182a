"""Monitors by the hour on a real log: a broken feature named with its first hour, which is taken away."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness.cli.main import run as harness
from harness.errors import NotFound
from harness.log.log import Log
from harness.monitor import registered
from harness.monitor.file import read_monitor
from harness.monitor.registered import get_monitor, register
from harness.monitor.run import INPUTS, explain, history, hours, run
from harness.monitor.text import monitor_text
from recorders.canonical import canonical_json
from tests.process.test_monitors import TEXT
from tests.support.shop import FIRST, Shop

DATE = FIRST.date() + dt.timedelta(days=16)


class Broken(Shop):
    """A shop whose 17th day has a region that nobody knew in some hours; on the 18th decisions come late."""

    def _rows(self, day: int) -> list[dict[str, Any]]:
        rows = super()._rows(day)
        for row in rows:
            at: Any = row["occurred_at"]
            if day == 16 and 14 <= at.hour < 18:
                row["region"] = "nowhere"
            if day == 17 and at.hour < 9:
                row["occurred_at"] = at - dt.timedelta(days=2)
        return rows


@pytest.fixture
def watched(event_log: Log, tmp_path: Path) -> Log:
    path = tmp_path / "monitor.toml"
    path.write_text(TEXT.format(id="inputs", more="[drift]\nvisible = 0.9"))
    shop = Broken(event_log)
    shop.days(0, 16)
    register(event_log, read_monitor(path))
    shop.days(16, 19)
    return event_log


def test_a_broken_feature_is_named_with_its_first_hour(
    watched: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run(watched, "inputs", folder=tmp_path)
    body = next(each for each in found.inputs if each["day"] == DATE.isoformat())
    first = f"{DATE}T14:00:00+00:00"
    assert body["answer"] == "broken"
    assert body["began"] == [{"feature": "region", "rule": "unseen", "hour": first}]
    assert body["reasons"][0].endswith(f"First in the hour from {first[:16]}+00:00.")
    assert sum(each["decisions"] for each in body["hours"]) == body["decisions"] == 60
    bad = [each["hour"] for each in body["hours"] if each["broken"]]
    assert bad == [f"{DATE}T{hour}:00:00+00:00" for hour in (14, 15, 16, 17)]
    assert body in explain(watched, "inputs", DATE)
    late = next(each for each in found.inputs if each["day"] == (DATE + dt.timedelta(days=1)).isoformat())
    assert late["hours"][0] == {"hour": "earlier", "decisions": 12, "broken": []}

    text = monitor_text(get_monitor(watched, "inputs"), *history(watched, "inputs"))
    assert f"{DATE}: broken, region first in the hour from {first[:16]}+00:00" in text
    monkeypatch.setenv("HARNESS_DATABASE_URL", watched.url)
    assert harness(["monitor", "show", "inputs", "--json", "--folder", str(tmp_path)]) == 0
    assert body["began"] in [each["began"] for each in json.loads(capsys.readouterr().out)["inputs"]]

    path = next((tmp_path / ".harness").rglob(f"{DATE}-*.hours.json"))
    kept = path.read_bytes()
    path.write_bytes(kept[: len(kept) // 2])
    without = [word for name in bad for word in ("--without", name)]
    command = ["monitor", "hours", "inputs", str(DATE), "--folder", str(tmp_path)]
    head = watched.head().position
    assert harness([*command, "--json"]) == 30
    assert [each["hour"] for each in json.loads(capsys.readouterr().out)["hours"] if each["broken"]] == bad
    assert path.read_bytes() == kept
    assert harness([*command, *without, "--json"]) == 0
    rest = json.loads(capsys.readouterr().out)
    assert (rest["answer"], rest["decisions"], rest["without"]) == ("ok", 45, bad)
    assert {each["hour"] for each in rest["hours"]} == {each["hour"] for each in body["hours"]} - set(bad)
    assert harness([*command, *without]) == 0
    assert f"{DATE} without {bad[0]}" in capsys.readouterr().out
    assert watched.head().position == head
    assert max(each["state_bytes"] for each in rest["hours"]) <= 8192


def test_an_hour_or_a_day_that_is_not_there_is_refused(watched: Log, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="judged day"):
        hours(watched, "inputs", DATE, folder=tmp_path)
    run(watched, "inputs", folder=tmp_path)
    with pytest.raises(NotFound, match=f'hour with decisions "{DATE}T03:00:00'):
        hours(watched, "inputs", DATE, without=[f"{DATE}T03:00:00+00:00"], folder=tmp_path)


def test_a_monitor_that_was_registered_before_answers_and_explains_as_it_did(
    event_log: Log, tmp_path: Path
) -> None:
    path = tmp_path / "monitor.toml"
    path.write_text(TEXT.format(id="inputs", more="[drift]\nvisible = 0.9"))
    shop = Broken(event_log)
    shop.days(0, 16)
    declared = read_monitor(path)
    body = registered.check(event_log, declared)
    assert body.pop("hourly")
    event_log.control(registered.REGISTERED, "inputs", body, key="monitor:inputs")
    shop.days(16, 19)
    found = run(event_log, "inputs", folder=tmp_path)
    assert not {"hours", "began"} & {key for each in found.inputs for key in each}
    assert found.inputs[1]["reasons"][0].endswith("share of 0.")
    again = [explain(event_log, "inputs", dt.date.fromisoformat(each["day"])) for each in found.inputs]
    assert again == [[each] for each in found.inputs]
    assert not list((tmp_path / ".harness").rglob("*.hours.json"))
    asked = hours(event_log, "inputs", DATE, folder=tmp_path)
    more = {"hours", "began", "without", "reasons"}
    stored = {key: value for key, value in found.inputs[1].items() if key not in more}
    plain = {key: value for key, value in asked.items() if key not in more}
    assert msgspec.json.decode(canonical_json(plain)) == stored
    assert asked["began"][0]["hour"] == f"{DATE}T14:00:00+00:00"
    assert len(event_log.controls(INPUTS, "inputs")) == len(found.inputs)
