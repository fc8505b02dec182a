"""Writers whose clocks are ahead or behind: what the command line says, and what a set makes of them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from harness.cli.main import run
from harness.log.log import Log
from harness.training.historical import get_historical_features
from recorders.fields import FeatureSet, Field
from recorders.inprocess import InProcessLink
from recorders.recorder import Recorder

POINT, FEATURES = "fraud.checkout", FeatureSet("fraud", 1, (Field("amount", "float64"),))
HOUR = timedelta(hours=1)


@pytest.fixture
def log(fresh_log: Log, monkeypatch: pytest.MonkeyPatch) -> Log:
    monkeypatch.setenv("HARNESS_DATABASE_URL", fresh_log.url)
    fresh_log.register_feature_set(FEATURES)
    return fresh_log


def record(log: Log, name: str, skew: timedelta) -> None:
    """Record ten decisions of ten minutes ago, and their outcomes, by a clock that is wrong by `skew`."""
    at = datetime.now(UTC) - timedelta(minutes=10) + skew
    link = InProcessLink(log.url, [FEATURES])
    with Recorder(POINT, FEATURES, link, model="m", model_version="1") as recorder:
        for number in range(10):
            identifier = f"{name}-{number}"
            recorder.record({"amount": 1.0}, decision_id=identifier, occurred_at=at)
            recorder.outcome(identifier, "late", number % 2 == 0, occurred_at=at)


def test_a_clock_that_is_ahead_is_named_with_what_follows(
    log: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(log, "right", timedelta(0))
    assert run(["log", "stats", "-C", str(tmp_path)]) == 0
    assert "ahead of the log's clock" not in capsys.readouterr().out
    record(log, "behind", -HOUR)
    first = log.head().position + 1
    record(log, "ahead", 24 * HOUR)
    assert run(["log", "stats", "-C", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert f"decision {POINT}: 1 writer recorded events up to 23:" in said
    assert f"first in the batch at {first}" in said
    assert said.count("Correct the clock") == 1
    assert run(["log", "stats", "-C", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["ahead_of_the_clock"]
    assert [(one["kind"], one["writers"], one["batches"]) for one in found] == [
        ("decision", 1, 1),
        ("outcome", 1, 1),
    ]
    for command in (["log", "verify"], ["log", "gaps"], ["log", "seal"]):
        assert run([*command, "-C", str(tmp_path)]) == 0, command


def test_a_decision_ahead_of_the_clock_waits_and_one_behind_is_counted_early(
    log: Log, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, skew in (("right", timedelta(0)), ("ahead", 24 * HOUR), ("behind", -HOUR)):
        record(log, name, skew)
    capsys.readouterr()
    cut = ["training-set", "create", "-d", POINT, "--label", "late", "-C", str(tmp_path), "--json"]
    for window, rows in (("1m", 20), ("30m", 10)):
        assert run([*cut, "--window", window, "--out", str(tmp_path / window)]) == 0
        made = json.loads(capsys.readouterr().out)
        assert made["rows"] == rows, "of the right clock and the one behind; of the latter alone"
    edge = (datetime.now(UTC) - timedelta(minutes=30)).isoformat()
    assert run([*cut, "--window", "1m", "--test-from", edge, "--out", str(tmp_path / "split")]) == 0
    splits = json.loads(capsys.readouterr().out)["splits"]
    assert splits == {"train": 10, "test": 10}, "splits by time go by the same clocks: docs/training-sets.md"


def test_a_feature_is_served_at_the_time_that_its_recorder_said(log: Log) -> None:
    for name, skew in (("ahead", 23 * HOUR), ("behind", -HOUR)):
        record(log, name, skew)
    now = datetime.now(UTC)
    asked = [
        ("ahead-1", now),
        ("ahead-1", now + 23 * HOUR),
        ("behind-1", now - HOUR),
        ("behind-1", now - 2 * HOUR),
    ]
    with Recorder(
        POINT, FEATURES, InProcessLink(log.url, [FEATURES]), model="m", model_version="1"
    ) as recorder:
        for name, skew in (("ahead-1", 23 * HOUR), ("behind-1", -HOUR)):
            at = now + skew - timedelta(minutes=5)
            recorder.record({"amount": 2.0}, decision_id=f"of {name}", unit=name, occurred_at=at)
    table = pa.table(
        {
            "unit": [unit for unit, _ in asked],
            "event_timestamp": pa.array([at for _, at in asked], pa.timestamp("us", "UTC")),
        }
    )
    found = get_historical_features(log, table, [f"{POINT}:amount"]).to_arrow()["amount"].to_pylist()
    assert found == [None, 2.0, 2.0, None]
