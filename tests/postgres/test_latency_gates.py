"""An objective of latency that gates: registered first, asked one decision alone, counted to the last."""

from pathlib import Path

import pytest

from harness.asked_alone import ASKED
from harness.budget import Budget, Meter
from harness.experiment_lint import read_experiment
from harness.experiments import get_experiment, register
from harness.log.log import Log
from harness.looks import Look, take_look
from harness.models import add_model
from harness.replay_errors import BudgetSpent
from harness.report.gather import gather
from harness.report.page import render
from harness.verdicts import explain
from tests.support.shop import DECISIONS, Shop, experiment_text

DAYS = 10
MODELS = """
import time

def quick(frame):
    return frame["x"]

def slow(frame):
    time.sleep(0.15)
    return frame["x"]

def stalls(frame):
    if len(frame) == 1 and frame["x"].iloc[0] > 0.97:
        time.sleep(60)
    if len(frame) == 1 and frame["x"].iloc[0] < 0.05:
        raise ValueError("too small")
    if len(frame) > 1 and (frame["x"] < 0.01).any():
        raise TimeoutError("timed out")
    return frame["x"]
"""
GATE = """
[[metrics]]
name = "latency_over"
role = "guardrail"
slo_us = {slo_us}
ask_every = {every}
margin = 0.2
[policy]
max_repeats = 1.0
"""


@pytest.fixture
def shop(event_log: Log, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "late_models.py").write_text(MODELS)
    (tmp_path / "harness.toml").write_text("[challengers]\ntimeout_s = 2.0\n")
    for name in ("quick", "slow", "stalls"):
        add_model(
            event_log,
            f"py:late_models:{name}",
            name=name,
            version="1",
            trained_until=0,
            inputs=["x"],
            folder=tmp_path,
        )
    shop = Shop(event_log, latency_us=1_000)
    shop.days(0, DAYS)
    return shop


def registered(log: Log, name: str, model: str, every: int = 8, slo_us: int = 100_000) -> None:
    text = experiment_text(name, f"{model}:1").replace("[policy]\n", GATE.format(every=every, slo_us=slo_us))
    path = Path(f"{name}.toml")
    path.write_text(text.replace('kind = "day"\ntimezone = "UTC"', 'kind = "request"'))
    register(log, read_experiment(path))


def looked(log: Log, name: str, **how: object) -> Look:
    return take_look(log, name, folder=Path.cwd(), **how).look  # type: ignore[arg-type]  # each is one of its own


def asked(log: Log) -> dict[str, list[int]]:
    """Return the positions that each model was asked alone, as often as it was."""
    found: dict[str, list[int]] = {}
    for event in log.controls(ASKED):
        body = event.body
        positions = [position for position, _us in body["took"]] + body["late"]
        found.setdefault(event.subject, []).extend(positions)
    return found


def test_a_slow_challenger_is_rejected_and_a_quick_one_shown_to_keep_the_objective(
    shop: Shop, event_log: Log
) -> None:
    for model in ("quick", "slow"):
        registered(event_log, model, model)
        declared = get_experiment(event_log, model).event.body["declaration"]["metrics"][1]
        assert (declared["slo_us"], declared["ask_every"], declared["margin"]) == (100_000, 8, 0.2)
        found = looked(event_log, model)
        gates = {gate.name: gate for gate in found.verdict.gates}
        late = next(each for each in found.verdict.estimates if each.metric == "latency_over")
        assert found.integrity.reasons["unusable"] == found.integrity.failed == 0
        assert gates["coverage"].state == "passes"
        unasked = found.integrity.used - late.decisions
        assert 40 < late.decisions < 90
        assert late.reasons == {"challenger_latency_missing": unasked}
        assert late.champion == 0.0
        assert (late.challenger == 1.0) == (model == "slow")
        assert gates["latency_over: harm"].state == ("fails" if model == "slow" else "passes")
        assert gates["latency_over: noninferiority"].state == ("waits" if model == "slow" else "passes")
        assert (found.verdict.state == "REJECT") == (model == "slow")
        assert explain(event_log, model).look == found
    page = render(gather(event_log, "slow"))
    assert "share beyond the latency objective" in page
    assert "which is a gate" in page
    assert "SLO 100\u202fms" in page
    assert f"{unasked:,} challenger latency missing" in page


def test_what_times_out_is_beyond_any_objective_and_what_fails_has_no_latency(
    shop: Shop, event_log: Log
) -> None:
    registered(event_log, "stalls", "stalls", every=1, slo_us=5_000_000)
    found = looked(event_log, "stalls")
    rows = [row for day in range(1, DAYS) for row in shop._rows(day)]
    xs = [float(row["x"]) for row in rows]  # type: ignore[arg-type]  # it is one
    (event,) = event_log.controls(ASKED)
    assert event.body["timeout_us"] == 2_000_000
    assert len(event.body["late"]) >= sum(x > 0.97 or x < 0.01 for x in xs) > 5
    assert event.body["unanswered"] == {"ValueError: too small": sum(0.01 <= x < 0.05 for x in xs)}
    late = next(each for each in found.verdict.estimates if each.metric == "latency_over")
    matured = found.integrity.used + found.integrity.failed
    assert found.integrity.failed > 0
    lost = late.reasons["challenger_latency_missing"]
    assert late.decisions == matured - lost
    assert 0 < lost <= sum(0.01 <= x < 0.05 for x in xs)
    assert late.challenger is not None
    assert round(late.challenger * late.decisions) == len(
        [p for p in event.body["late"] if p in positions_used(event_log, found)]
    )
    assert explain(event_log, "stalls").look == found


def positions_used(log: Log, look: Look) -> set[int]:
    """Return the positions of the decisions that were mature at a look: all but those of its last day."""
    batches = log.read(look.start, look.stop, kind="decision", columns=["decision_id"])
    positions = [p for batch in batches for p in batch.column("position").to_pylist()]
    return set(positions[: look.integrity.used + look.integrity.failed])


def test_each_decision_is_asked_once_whoever_asks_and_whenever_it_is_cut(shop: Shop, event_log: Log) -> None:
    registered(event_log, "first", "quick", every=8)
    meter = Meter(Budget(cpu_s=1e-9))
    with pytest.raises(BudgetSpent):
        looked(event_log, "first", meter=meter)
    with pytest.raises(BudgetSpent):
        looked(event_log, "first", meter=Meter(Budget(cpu_s=1e-9)))
    looked(event_log, "first")
    before = asked(event_log)["quick:1"]
    assert len(before) == len(set(before)) > 40
    looked(event_log, "first")
    registered(event_log, "second", "quick", every=16)
    second = looked(event_log, "second")
    assert asked(event_log)["quick:1"] == before
    registered(event_log, "third", "quick", every=4)
    looked(event_log, "third")
    after = asked(event_log)["quick:1"]
    assert set(before) < set(after)
    again = explain(event_log, "second").look
    assert again == second
    shop.days(DAYS, DAYS + 1)
    looked(event_log, "third")
    assert len(asked(event_log)["quick:1"]) > len(after)
    assert len(set(asked(event_log)["quick:1"])) < DECISIONS * (DAYS + 1)
