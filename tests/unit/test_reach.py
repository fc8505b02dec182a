"""Settings that nobody can mean are refused where a file is read, each with its key, and none is a crash."""

import math
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.experiment_file import from_declaration
from harness.experiment_lint import lint, read_experiment
from harness.monitor.file import read_monitor
from harness.strict_toml import TomlFileError
from tests.process.test_monitors import TEXT
from tests.support.shop import experiment_text

HUGE = 10**23
RULE = """
[retraining]
margin = 0.001
{key} = {value}
"""


def refused(path: Path, text: str, read: Any) -> str:
    path.write_text(text)
    with pytest.raises(TomlFileError) as fault:
        read(path)
    return str(fault.value)


@pytest.mark.parametrize("value", [str(HUGE), "9" * 400, "nan", "inf", "-1"])
@pytest.mark.parametrize("key", ["min_units", "min_decisions", "max_looks"])
def test_a_count_that_no_log_holds_is_refused(tmp_path: Path, key: str, value: str) -> None:
    plain = {
        "min_units": "min_units = 5",
        "min_decisions": "min_decisions = 100",
        "max_looks": "max_looks = 9",
    }
    text = experiment_text().replace(plain[key], f"{key} = {value}")
    said = refused(tmp_path / "e.toml", text, read_experiment)
    assert f"[policy] {key}: " in said
    assert "1 fault" in said


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ("metrics 1", f"planned_variance = 0.1\nplanned_units = {HUGE}"),
        ("metrics 1", "planned_units = 100\nplanned_variance = 1e300"),
        ("metrics 1", "planned_units = 100\nplanned_variance = 1e-300"),
        ("metrics 1", "prior = 1e300"),
        ("metrics 1", "margin = 5e-324"),
        ("metrics 1", "margin = nan"),
        ("metrics 1", f"quantiles = [0.5, {HUGE}]"),
    ],
)
def test_a_size_that_no_metric_has_is_refused(tmp_path: Path, table: str, line: str) -> None:
    text = experiment_text().replace("clip = 0.1", f"clip = 0.1\n{line}")
    key = line.splitlines()[-1].partition(" ")[0]
    assert f"[{table}] {key}: " in refused(tmp_path / "e.toml", text, read_experiment)


@pytest.mark.parametrize("key", ["slice_margin", "decisions_per_day", "horizon_days", "worth", "cost"])
@pytest.mark.parametrize("value", ["1e300", "nan", "-inf", str(HUGE) + ".0"])
def test_economics_beyond_all_money_are_refused(tmp_path: Path, key: str, value: str) -> None:
    text = experiment_text(more=RULE.format(key=key, value=value))
    assert f"[retraining] {key}: " in refused(tmp_path / "e.toml", text, read_experiment)


def test_a_window_of_twenty_thousand_years_is_refused(tmp_path: Path) -> None:
    text = experiment_text().replace('window = "24h"', 'window = "999999w"')
    assert "[label] window: " in refused(tmp_path / "e.toml", text, read_experiment)
    more = '[label]\nname = "returned"\nwindow = "999999w"'
    assert "[label] window: " in refused(tmp_path / "m.toml", TEXT.format(id="m", more=more), read_monitor)


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ('[[features]]\nname = "x"\nimportance = {value}', "[features 1] importance"),
        ('[[features]]\nname = "x"\nmax_missing = {value}', "[features 1] max_missing"),
        ('[[features]]\nname = "x"\nmax_unseen = {value}', "[features 1] max_unseen"),
        ("[drift]\nlooks_per_year = {value}", "[drift] looks_per_year"),
        ("[drift]\nmin_days = {value}", "[drift] min_days"),
        ("[drift]\nspread = {value}", "[drift] spread"),
        ("[drift]\nfloor = {value}", "[drift] floor"),
        ("[detector]\nrun_days = {value}", "[detector] run_days"),
        ("[detector]\ntolerance = {value}", "[detector] tolerance"),
        ("[detector]\nconfidence = {value}", "[detector] confidence"),
        ('[label]\nname = "r"\nwindow = "1d"\nthreshold = {value}', "[label] threshold"),
    ],
)
@pytest.mark.parametrize("value", [str(HUGE), "9" * 400, "1e300", "nan", "inf", "-inf", "-1"])
def test_a_monitor_is_refused_with_the_key_that_is_out_of_reach(
    tmp_path: Path, more: str, key: str, value: str
) -> None:
    text = TEXT.format(id="m", more=more.format(value=value))
    assert f"{key}: " in refused(tmp_path / "m.toml", text, read_monitor)


@pytest.mark.parametrize("bounds", ["low = nan", "high = inf", "low = 2.0\nhigh = 1.0"])
def test_bounds_of_a_feature_are_numbers_in_order(tmp_path: Path, bounds: str) -> None:
    text = TEXT.format(id="m", more=f'[[features]]\nname = "x"\n{bounds}')
    assert "[features 1] " in refused(tmp_path / "m.toml", text, read_monitor)


def test_what_was_registered_with_such_a_number_is_still_read(tmp_path: Path) -> None:
    path = tmp_path / "e.toml"
    path.write_text(experiment_text())
    declared = read_experiment(path).declaration()
    policy: Any = declared["policy"]
    policy["min_units"] = HUGE
    assert from_declaration(declared).plan.policy.min_units == HUGE
    assert math.isfinite(from_declaration(declared).plan.policy.alpha)


def test_what_is_within_reach_is_no_fault() -> None:
    assert lint(tomllib.loads(experiment_text())) == []
