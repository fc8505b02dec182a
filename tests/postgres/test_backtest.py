"""`harness policy backtest`: the past of a log under another policy."""

import json
from pathlib import Path

import pytest

from harness.experiment_lint import read_experiment
from harness.experiments import register
from harness.log.log import Log
from harness.looks import take_look
from harness.models import add_model
from tests.support.command_line import Command
from tests.support.shop import Shop, experiment_text


def policy(folder: Path, text: str) -> str:
    (folder / "policy.toml").write_text(f"[policy]\n{text}\n")
    return "policy.toml"


def test_every_look_is_read_under_the_other_policy(event_log: Log, harness: Command, tmp_path: Path) -> None:
    file = policy(tmp_path, "alpha = 0.05\ngrid = [16, 0.01, 0.9]\nmin_units = 5\nmin_decisions = 100")
    code, out = harness("policy", "backtest", file)
    assert (code, "harness evaluate" in out) == (0, True)
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
    (tmp_path / "experiment.toml").write_text(experiment_text())
    register(event_log, read_experiment(tmp_path / "experiment.toml"))
    states = []
    for week in range(5):
        shop.days(7 * week, 7 * week + 7)
        states.append(take_look(event_log, "returned-1").look.verdict.state)
    assert "PROMOTE" in states
    code, out = harness("policy", "backtest", file, "--json")
    (same,) = json.loads(out)
    assert (code, same["differs"], [each["other"] for each in same["looks"]]) == (0, False, states)
    careful = policy(tmp_path, "alpha = 0.000001\ngrid = [16, 0.01, 0.9]")
    code, out = harness("policy", "backtest", careful)
    assert "HOLD, look 5" in out
    assert "1 of 1 would have been decided otherwise" in out
    needs = policy(tmp_path, 'name = "noninferiority"')
    assert "cannot be read: metrics.brier.margin" in harness("policy", "backtest", needs)[1]
    proof = policy(tmp_path, 'name = "retraining"\n[retraining]\nmargin = 0.01')
    assert "cannot be read: rivals" in harness("policy", "backtest", proof)[1]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("alpha = 0.1\n[retraining]\nmargin = 0.1", "without policy.name"),
        ("alpha = 0.1\n[retraining]\nmargin = -1.0", "at least 0"),
        ("alhpa = 0.1", "'alpha'"),
        ("alpha = 0.9", "below 0.5"),
        ('name = "promote"', "promotion"),
    ],
)
def test_a_policy_that_is_none_is_refused(harness: Command, tmp_path: Path, text: str, says: str) -> None:
    code, out = harness("policy", "backtest", policy(tmp_path, text))
    assert code == 2
    assert says in out
