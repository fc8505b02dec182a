"""`harness experiment exchange`: A/A on an experiment's own looks, where a promotion is always wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.cli.main import run
from harness.experiment_lint import read_experiment
from harness.experiments import register
from harness.log.log import Log
from harness.looks import take_look
from harness.models import add_model
from tests.support.shop import Shop, experiment_text

Command = Callable[..., tuple[int, str]]
DAYS, REQUESTS = 'kind = "day"\ntimezone = "UTC"', 'kind = "request"'


@pytest.fixture
def harness(
    event_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Command:
    monkeypatch.setenv("HARNESS_DATABASE_URL", event_log.url)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str]:
        code = run(arguments)
        seen = capfd.readouterr()
        return code, seen.out + seen.err

    return call


def entered(log: Log, folder: Path, text: str) -> Shop:
    shop, uri = Shop(log), "py:tests.support.shop:oracle"
    add_model(log, uri, name="oracle", version="1", trained_until=0, inputs=["x"], folder=folder)
    (folder / "experiment.toml").write_text(text)
    register(log, read_experiment(folder / "experiment.toml"))
    return shop


def test_equal_models_are_promoted_rarely_where_the_better_one_was_and_a_naive_test_is_fooled(
    event_log: Log, harness: Command, tmp_path: Path
) -> None:
    shop = entered(event_log, tmp_path, experiment_text())
    code, out = harness("experiment", "exchange", "returned-1")
    assert (code, "was not looked at" in out) == (2, True)
    states = []
    for week in range(5):
        shop.days(7 * week, 7 * week + 7)
        states.append(take_look(event_log, "returned-1").look.verdict.state)
    assert "PROMOTE" in states
    code, out = harness("experiment", "exchange", "returned-1", "--runs", "60", "--json")
    told = json.loads(out)
    assert (code, told["looks"], told["holds"]) == (0, len(states), True)
    assert told["units"] >= 28
    assert told["promoted"] <= told["limit"] + told["tolerance"] < told["naive"] + 0.1
    assert told["naive"] > told["promoted"]
    assert json.loads(harness("experiment", "exchange", "returned-1", "--runs", "60", "--json")[1]) == told
    text = harness("experiment", "exchange", "returned-1", "--runs", "5")[1]
    assert "both are equally good" in text


def test_looks_without_units_are_refused(event_log: Log, harness: Command, tmp_path: Path) -> None:
    shop = entered(event_log, tmp_path, experiment_text().replace(DAYS, REQUESTS))
    shop.days(0, 7)
    take_look(event_log, "returned-1")
    code, out = harness("experiment", "exchange", "returned-1")
    assert (code, "single decisions" in out) == (2, True)
