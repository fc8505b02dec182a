"""Retraining on a real log: proven, explained to the byte, refused part by part, and shown."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from harness import looks
from harness.backtest import PolicyFile, backtest
from harness.cli.experiment_text import look_text
from harness.errors import UsageError
from harness.exchanged import exchange
from harness.experiment_errors import ExperimentConcluded, TrainedInWindow, TrainingUnknown
from harness.experiment_lint import read_experiment
from harness.experiments import Experiment, register
from harness.log.log import Log
from harness.looks import Look, take_look
from harness.models import add_model
from harness.report.gather import gather
from harness.report.page import render
from harness.strict_toml import TomlFileError
from harness.verdicts import EXIT_CODES, explain, record_verdict
from policies.policy_plan import PolicyPlan
from policies.retrain_rule import RetrainRule
from policies.retraining import Remedy
from tests.support.shop import DECISIONS, Shop

TEXT = """
schema = 1
[experiment]
id = "{id}"
decision_point = "shop.returned"
question = "Does a model of the last two weeks predict returns better than the one that is live?"
owner = "shop@example.com"
[window]
from = {start}
to = {stop}
[champion]
rescore = "plain:1"
[challenger]
model = "{model}"
[label]
name = "returned"
window = "24h"
[unit]
kind = "request"
[[metrics]]
name = "brier"
clip = 0.7
[policy]
name = "retraining"
alpha = 0.05
max_repeats = 1.0
[slices]
columns = ["region"]
[retraining]
margin = 0.005
slice_margin = 0.05
decisions_per_day = 60
worth = 10.0
cost = 50.0
[rivals]
all = "{rival}"
from = 2026-03-15T00:00:00Z
to = 2026-03-28T00:00:00Z
[looks]
every = "7d"
"""
LEARNED = 24  # days: the concept turns on day 10, rivals learn until day 24, the window begins on day 27
START, STOP = "2026-03-28T00:00:00Z", "2026-04-25T00:00:00Z"


class World:
    """A shop in which the concept turned, or not, with the models that learned from it."""

    def __init__(self, log: Log, folder: Path, *, turned: int | None = 10, **shop: Any) -> None:
        self.log, self.folder = log, folder
        self.shop = Shop(log, turned=turned, **shop)
        self.shop.days(0, LEARNED)
        self.until = log.head().position
        for name, until in (
            ("plain", 0),
            ("band", self.until),
            ("blend", self.until),
            ("oracle", self.until),
        ):
            uri = f"py:tests.support.shop:{name}"
            add_model(log, uri, name=name, version="1", trained_until=until, inputs=["x"], folder=folder)

    def register(self, name: str = "again-1", **keys: str) -> Experiment:
        path = self.folder / "retraining.toml"
        given = {"model": "band:1", "rival": "blend:1", "start": START, "stop": STOP} | keys
        path.write_text(TEXT.format(id=name, **given))
        return register(self.log, read_experiment(path))

    def look(self, name: str = "again-1", **keys: Any) -> Look:
        return take_look(self.log, name, folder=self.folder, **keys).look


@pytest.fixture
def turned(event_log: Log, tmp_path: Path) -> World:
    return World(event_log, tmp_path)


def parts(look: Look) -> dict[str, str]:
    return {gate.name: gate.state for gate in look.verdict.gates if gate.name[0].isdigit()}


def remedy(look: Look) -> Remedy:
    found = look.verdict.retraining
    assert isinstance(found, Remedy)
    return found


def test_a_changed_concept_is_proven_recorded_and_explained(
    turned: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    turned.register()
    turned.shop.days(LEARNED, 29)
    early = turned.look()
    assert early.verdict.state == "HOLD"
    assert parts(early)["4 win"] == "waits"
    assert "Warning" not in look_text(early, None)
    (found,) = early.verdict.estimates
    bitten = msgspec.structs.replace(found, clipped=3)
    verdict = msgspec.structs.replace(early.verdict, estimates=(bitten,))
    warned = look_text(msgspec.structs.replace(early, verdict=verdict), None)
    assert f"Warning: brier of 3 of {found.units} decisions differs by more than the clip, 0.7" in warned
    turned.shop.days(29, 50)
    look = turned.look()
    assert look.verdict.state == "RETRAIN", [gate for gate in look.verdict.gates if gate.state != "passes"]
    assert set(parts(look).values()) == {"passes"}
    proven = remedy(look)
    assert (proven.action, proven.challenger, proven.diagnosis.change) == ("retrain", "recent", "concept")
    assert [each.name for each in proven.duels] == ["recent", "all", "recalibrated"]
    assert proven.facts.replayed == look.integrity.decisions
    assert proven.facts.skewed == 0
    assert all(gate.assumption for gate in look.verdict.gates if gate.name[0] in "1234567")
    event = record_verdict(turned.log, "again-1")
    assert EXIT_CODES[event.body["state"]] == 21
    assert explain(turned.log, "again-1").looks == 2
    with pytest.raises(ExperimentConcluded, match="RETRAIN"):
        turned.look()
    page = render(gather(turned.log, "again-1"))
    assert "band:1 learned from newer decisions" in page
    assert "every gate passing gives RETRAIN" in page
    lenient = PolicyPlan(name="retraining", max_repeats=1.0)
    (same,) = backtest(turned.log, PolicyFile(policy=lenient))
    assert ([each.other for each in same.looks], same.differs) == (["HOLD", "RETRAIN"], False)
    (other,) = backtest(turned.log, PolicyFile(policy=lenient, retraining=RetrainRule(margin=0.3)))
    assert (other.other_state, other.differs, other.refused) == ("HOLD", True, None)
    assert any(reason.startswith("4 win") for reason in other.looks[-1].reasons)
    with pytest.raises(UsageError, match="three rivals"):
        exchange(turned.log, "again-1", runs=1, seed=1)
    decide = looks.decide

    def altered(*args: Any, **keys: Any) -> Any:
        facts = msgspec.structs.replace(keys["rivalry"].facts, skewed=1)
        return decide(*args, **keys | {"rivalry": keys["rivalry"]._replace(facts=facts)})

    monkeypatch.setattr(looks, "decide", altered)
    with pytest.raises(looks.LookAltered, match=r"verdict\.gates"):
        explain(turned.log, "again-1")


def test_where_nothing_changed_nothing_is_retrained(event_log: Log, tmp_path: Path) -> None:
    world = World(event_log, tmp_path, turned=None)
    world.register()
    world.shop.days(LEARNED, 50)
    look = world.look()
    assert look.verdict.state == "HOLD"
    assert remedy(look).action == "wait"
    assert remedy(look).diagnosis.change == "none"
    assert "Not decided: 4 win does not hold yet" in render(gather(world.log, "again-1"))


def test_recalibration_is_enough_where_it_closes_the_gap(event_log: Log, tmp_path: Path) -> None:
    world = World(event_log, tmp_path, turned=None)  # the champion is off by a slope: so it ever was
    world.register(model="oracle:1")
    world.shop.days(LEARNED, 90)
    look = world.look()
    assert look.verdict.state == "HOLD"
    assert (remedy(look).action, remedy(look).diagnosis.change) == ("recalibrate", "prior")


def test_a_broken_feature_is_fixed_before_anything_is_retrained(event_log: Log, tmp_path: Path) -> None:
    world = World(event_log, tmp_path, gone=(30, 31))
    world.register()
    world.shop.days(LEARNED, 50)
    look = world.look()
    assert look.verdict.state == "INVALID"
    assert (remedy(look).action, remedy(look).diagnosis.change) == ("fix the data", "broken data")
    assert "region: 120 of" in look.verdict.reasons[0]
    assert "1 integrity" in render(gather(world.log, "again-1"))


def test_a_range_is_read_once_and_a_retraining_cools_down(turned: World) -> None:
    turned.register()
    turned.shop.days(LEARNED, 50)
    turned.look()
    record_verdict(turned.log, "again-1")
    turned.register("again-2")
    again = turned.look("again-2")
    assert again.verdict.state == "INVALID"
    assert "read before" in again.verdict.reasons[0]
    turned.register("again-3", start="2026-04-25T00:00:00Z", stop="2026-06-25T00:00:00Z")
    turned.shop.days(50, 70)
    first = turned.look("again-3")
    assert parts(first)["3 split"] == "passes"
    assert remedy(first).facts.days_since is not None


def test_the_split_asks_for_a_labels_window_between(turned: World) -> None:
    turned.register(start="2026-03-28T00:00:00Z")
    turned.shop.days(LEARNED, 27)
    until = turned.log.head().position - DECISIONS  # the last decision of the day before
    add_model(
        turned.log, "py:tests.support.shop:band", name="band", version="2", trained_until=until,
        inputs=["x"], folder=turned.folder,
    )  # fmt: skip
    turned.register("late", model="band:2")
    turned.shop.days(27, 40)
    look = turned.look("late")
    assert look.verdict.state == "INVALID"
    assert "The gap is" in look.verdict.reasons[0]


def test_what_no_proof_could_read_is_refused_at_registration(turned: World) -> None:
    uri = "py:tests.support.shop:band"
    add_model(turned.log, uri, name="band", version="3", inputs=["x"], folder=turned.folder)
    with pytest.raises(TrainingUnknown, match="band:3"):
        turned.register(rival="band:3")
    turned.shop.days(LEARNED, 32)
    until = turned.log.head().position
    add_model(
        turned.log, uri, name="band", version="4", trained_until=until, inputs=["x"], folder=turned.folder
    )
    with pytest.raises(TrainedInWindow, match="band:4"):
        turned.register(rival="band:4")
    with pytest.raises(TomlFileError, match="reference ends at"):
        turned.register(start="2026-03-27T00:00:00Z")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('rescore = "plain:1"', "", "is not scored again"),
        ("[rivals]\nall", "[wrong]\nall", "wrong"),
        ('name = "retraining"', 'name = "promotion"', "retraining"),
        ("margin = 0.005", "margin = -1", "retraining.margin"),
        ("margin = 0.005", "margin = 0.9", "retraining.margin"),
        ('name = "brier"', 'name = "accuracy"\npositive_decision = "offer"', "metrics"),
    ],
)
def test_the_linter_names_each_fault(tmp_path: Path, old: str, new: str, said: str) -> None:
    text = TEXT.format(id="x", model="band:1", rival="blend:1", start=START, stop=STOP)
    path = tmp_path / "faulty.toml"
    path.write_text(text)
    assert read_experiment(path).retraining
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(TomlFileError) as refused:
        read_experiment(path)
    assert said in str(refused.value)
