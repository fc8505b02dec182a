"""Metrics that read more of the log than scores: whole days, failures, latencies, functions of one's own."""

from pathlib import Path

import pytest

from harness.experiment_errors import MetricAltered, MetricFailed
from harness.experiment_lint import read_experiment
from harness.experiments import register
from harness.log.log import Log
from harness.looks import Look, take_look
from harness.models import add_model
from harness.report.gather import gather
from harness.report.page import render
from harness.strict_toml import TomlFileError
from harness.verdicts import explain
from tests.support.shop import Shop, entered, experiment_text

OWN = """
import pyarrow.compute as pc


def regret(rows):
    wrong = pc.abs(pc.subtract(rows["label"], rows["score"]))
    return pc.multiply(wrong, rows["f.x"]).to_numpy()
"""
MORE = """
[[metrics]]
name = "auc"
role = "guardrail"
margin = 0.5
[[metrics]]
name = "py:regrets:regret"
role = "guardrail"
direction = "lower"
bound = 1.0
clip = 0.3
margin = 0.1
features = ["x"]
[[metrics]]
name = "error_rate"
role = "guardrail"
margin = 0.3
[[metrics]]
name = "timeout_rate"
role = "context"
[[metrics]]
name = "latency_over"
role = "context"
slo_us = 10_000
[policy]
"""


@pytest.fixture
def shop(event_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "regrets.py").write_text(OWN)
    return entered(event_log, tmp_path, ("oracle", "timid"))


def look(shop: Shop, model: str, tmp_path: Path, days: int = 41) -> Look:
    path = tmp_path / f"{model}.toml"
    path.write_text(experiment_text(model, f"{model}:1").replace("[policy]\n", MORE))
    register(shop.log, read_experiment(path))
    shop.days(0, days)
    return take_look(shop.log, model).look


def test_every_metric_of_the_log_gates_and_is_explained_to_the_byte(shop: Shop, tmp_path: Path) -> None:
    found = look(shop, "oracle", tmp_path)
    by_name = {each.metric: each for each in found.verdict.estimates}
    assert found.verdict.state == "PROMOTE", found.verdict.reasons
    assert by_name["auc"].units == by_name["brier"].units == 39
    assert by_name["py:regrets:regret"].decisions == by_name["brier"].decisions
    assert 0 < by_name["py:regrets:regret"].challenger < by_name["py:regrets:regret"].champion < 0.5
    assert by_name["error_rate"].challenger == 0.0
    assert by_name["latency_over"].reasons == {"champion_latency_missing": found.integrity.used}
    assert explain(shop.log, "oracle").look == found
    assert "regret" in render(gather(shop.log, "oracle"))
    (tmp_path / "regrets.py").write_text(OWN.replace("abs(", "abs_checked("))
    with pytest.raises(MetricAltered, match="as registered"):
        explain(shop.log, "oracle")


def test_failures_are_counted_and_reject(shop: Shop, tmp_path: Path) -> None:
    found = look(shop, "timid", tmp_path, days=26)
    by_name = {each.metric: each for each in found.verdict.estimates}
    errors, timeouts = by_name["error_rate"], by_name["timeout_rate"]
    assert errors.champion == 0.0
    assert errors.challenger == timeouts.challenger > 0.7
    assert errors.challenger == pytest.approx(found.integrity.failed / errors.decisions, abs=1e-9)
    assert errors.decisions == found.integrity.scored + found.integrity.failed
    assert by_name["brier"].decisions == found.integrity.scored
    assert by_name["auc"].decisions == found.integrity.used  # of some days one label alone has a score
    assert by_name["brier"].reasons == {"challenger_missing": found.integrity.failed}
    assert found.verdict.state == "REJECT"
    assert explain(shop.log, "timid").look == found


LOGGED = """
[[metrics]]
name = "outcome"
identification = "logged_action"
bound = 1.0
weight_max = 5.0
reward_model = "py:rewards:expected"
[policy]
max_repeats = 1.0
"""
REWARDS = """
import numpy as np


def expected(rows):
    assert "label" not in rows.column_names
    return np.where(np.array(rows["decision"].to_pylist()) == "offer", 0.5, 0.2)
"""


def test_a_logged_action_is_estimated_from_the_recorded_propensities(
    event_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rewards.py").write_text(REWARDS)
    shop = Shop(event_log, explored=0.25)
    uri = "py:tests.support.shop:oracle?threshold=0.0&decisions=offer,none"
    add_model(event_log, uri, name="generous", version="1", trained_until=0, inputs=["x"], folder=tmp_path)
    text = experiment_text("logged", "generous:1").partition("[[metrics]]")
    unit = text[0].replace('kind = "day"\ntimezone = "UTC"', 'kind = "request"')
    path = tmp_path / "logged.toml"
    path.write_text(unit + LOGGED + text[2].partition("[policy]\n")[2])
    register(event_log, read_experiment(path))
    shop.days(0, 30)
    found = take_look(event_log, "logged").look
    only = found.verdict.estimates[0]
    assert only.champion == pytest.approx(0.225, abs=0.05)
    for point in (only.challenger, only.off_policy.snips, only.off_policy.doubly_robust):
        assert point == pytest.approx(0.6, abs=0.1)
    assert found.verdict.state == "PROMOTE", found.verdict.reasons
    assert explain(event_log, "logged").look == found
    assert "PROMOTE" in render(gather(event_log, "logged")).upper()
    path.write_text(path.read_text().replace("weight_max = 5.0\n", "").replace("logged", "other", 1))
    with pytest.raises(TomlFileError, match="weight_max"):
        read_experiment(path)


BLOCKED = """
[[metrics]]
name = "accuracy"
positive_decision = "offer"
identification = "blocked"
blocked_decision = "none"
effect = 0.05
[policy]
max_repeats = 1.0
"""


def test_blocked_outcomes_are_bounded_and_every_decision_is_counted(event_log: Log, tmp_path: Path) -> None:
    shop = Shop(event_log)
    uri = "py:tests.support.shop:oracle?threshold=0.9&decisions=none,offer"
    add_model(event_log, uri, name="open", version="1", trained_until=0, inputs=["x"], folder=tmp_path)
    text = experiment_text("blocked", "open:1").partition("[[metrics]]")
    unit = text[0].replace('kind = "day"\ntimezone = "UTC"', 'kind = "request"')
    path = tmp_path / "blocked.toml"
    path.write_text(unit + BLOCKED + text[2].partition("[policy]\n")[2])
    register(event_log, read_experiment(path))
    for day in range(8):
        shop.decisions(day)
        shop.outcomes(day, decision="offer")
    found = take_look(event_log, "blocked").look
    only = found.verdict.estimates[0]
    assert found.verdict.state == "NOT_IDENTIFIABLE"
    assert "hide an outcome" in found.verdict.reasons[0]
    assert found.integrity.reasons["missing"] == 0
    assert only.decisions == found.integrity.used == found.integrity.matured
    assert 0.3 < only.blocked.share < 0.5
    assert explain(event_log, "blocked").look == found
    assert "bounds" in render(gather(event_log, "blocked"))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import time\ndef regret(rows):\n    return [time.time()]", "line 1 .* uses time"),
        ("import numpy as np\ndef regret(rows):\n    return np.random.rand(3)", "uses random"),
        ("def other(rows):\n    return rows", "regret"),
        ("def regret(rows:\n", "no Python"),
    ],
)
def test_a_function_that_cannot_be_a_metric_is_refused_with_the_file(
    shop: Shop, tmp_path: Path, source: str, words: str
) -> None:
    (tmp_path / "regrets.py").write_text(source)
    path = tmp_path / "e.toml"
    path.write_text(experiment_text().replace("[policy]\n", MORE))
    with pytest.raises(TomlFileError, match=words):
        read_experiment(path)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("[1.0]", r"gave \(1,\)"),
        ("[float(k) for k in range(rows.num_rows)]", "rows are reversed"),
        ("1 / 0", "ZeroDivisionError"),
        ("['a'] * rows.num_rows", "ValueError"),
        ("(_ for _ in ()).throw(type('Leave', (SystemExit,), {})(7))", "Leave: 7"),
    ],
)
def test_a_function_that_is_none_of_a_row_stops_the_look(
    shop: Shop, tmp_path: Path, body: str, words: str
) -> None:
    (tmp_path / "regrets.py").write_text(f"def regret(rows):\n    return {body}\n")
    with pytest.raises(MetricFailed, match=words):
        look(shop, "oracle", tmp_path, days=5)
