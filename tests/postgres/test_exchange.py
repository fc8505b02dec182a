"""`harness experiment exchange`: A/A on an experiment's own looks, where a promotion is always wrong."""

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from harness.exchange_looks import Turned, exchangeable, kept_looks, turned
from harness.experiment_lint import read_experiment
from harness.experiments import get_experiment, register
from harness.log.log import Log
from harness.looks import stored_looks, take_look
from harness.models import add_model
from policies.estimate import estimate
from policies.evidence import Evidence
from tests.support.command_line import Command
from tests.support.shop import Shop, experiment_text

DAYS, REQUESTS = 'kind = "day"\ntimezone = "UTC"', 'kind = "request"'


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


@pytest.mark.parametrize("unit", [DAYS, REQUESTS])
def test_without_a_coin_the_units_give_the_evidence_of_the_look(
    event_log: Log, tmp_path: Path, harness: Command, unit: str
) -> None:
    shop = entered(event_log, tmp_path, experiment_text().replace(DAYS, unit))
    shop.days(0, 9)
    stored = Evidence.from_json(take_look(event_log, "returned-1").look.evidence)
    experiment = get_experiment(event_log, "returned-1")
    looks = stored_looks(event_log, "returned-1")
    plan = exchangeable("returned-1", experiment.plan, looks)
    (kept,) = kept_looks(event_log, experiment, plan, looks)
    nobody = np.zeros(0, dtype=np.int64)
    same = turned(kept, plan, Turned(nobody, {}))
    assert same.metrics == {metric.name: stored.metrics[metric.name] for metric in plan.metrics}
    everybody = next(iter(kept.units.values())).keys
    one, other = same.metrics["brier"], turned(kept, plan, Turned(everybody, {})).metrics["brier"]
    assert (other.champion, other.challenger) == (one.challenger, one.champion)
    worst = turned(kept, plan, Turned(nobody, {"brier": (-1, everybody)}))
    (found,) = estimate(msgspec.structs.replace(worst, plan=plan.digest), plan)
    assert found.point == pytest.approx(-plan.clip("brier"), abs=1e-7)


@pytest.mark.parametrize(
    ("policy", "told"),
    [("noninferiority", "made worse by 0.02 on brier"), ("rollback", "made better by 0.02 on brier")],
)
def test_single_decisions_are_measured_again_and_a_margin_has_a_truth_where_promoting_is_wrong(
    event_log: Log, harness: Command, tmp_path: Path, policy: str, told: str
) -> None:
    text = experiment_text().replace(DAYS, REQUESTS).replace("[policy]", f'[policy]\nname = "{policy}"')
    text = text.replace('name = "brier"', 'name = "brier"\nmargin = 0.02')
    shop = entered(event_log, tmp_path, text)
    for week in range(2):
        shop.days(7 * week, 7 * week + 7)
        take_look(event_log, "returned-1")
    code, out = harness("experiment", "exchange", "returned-1", "--runs", "60", "--json")
    found = json.loads(out)
    assert (code, found["holds"], found["looks"], found["unit"]) == (0, True, 2, "decisions")
    assert found["promoted"] <= found["limit"] + found["tolerance"]
    assert f"{told}, no more" in harness("experiment", "exchange", "returned-1", "--runs", "2")[1]


def test_what_cannot_be_exchanged_is_refused_with_its_reason(
    event_log: Log, harness: Command, tmp_path: Path
) -> None:
    hidden = 'name = "brier"\nblocked_decision = "offer"\neffect = 0.02'
    text = experiment_text(identification="blocked").replace('name = "brier"', hidden)
    shop = entered(event_log, tmp_path, text)
    shop.days(0, 7)
    take_look(event_log, "returned-1")
    code, out = harness("experiment", "exchange", "returned-1")
    assert (code, "brier (blocked)" in out, "certify --shipped" in out) == (2, True, True)
