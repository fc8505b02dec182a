"""What must arrive whole, declared in an experiment's file: shares of arms, and pairs of every decision."""

from pathlib import Path

import msgspec
import pytest

from harness.experiment_errors import LevelsOfPersons
from harness.experiment_lint import read_experiment
from harness.experiments import register
from harness.log.log import Log
from harness.looks import Look, take_look
from harness.models import add_model
from harness.report.gather import gather
from harness.report.page import render
from harness.strict_toml import TomlFileError
from harness.verdicts import explain
from policies.intake import Intake
from recorders.fields import FeatureSet, Field
from tests.support.pairs import integrity
from tests.support.shop import Shop, experiment_text

ARMS = '\n[arms]\nfeature = "region"\nlevels = ["north", "south"]\nshares = [0.7, 0.3]\n'
PAIRS = '\n[completeness]\nlevels = ["offer"]\nlimit = 0.02\n'


def look(log: Log, folder: Path, more: str, model: str = "oracle") -> Look:
    uri = f"py:tests.support.shop:{model}"
    add_model(log, uri, name=model, version="1", trained_until=0, inputs=["x"], folder=folder)
    (folder / "intake.toml").write_text(experiment_text("intake", f"{model}:1", more=more))
    register(log, read_experiment(folder / "intake.toml"))
    Shop(log).days(0, 7)
    return take_look(log, "intake").look


def gate(found: Look, name: str) -> tuple[str, str]:
    only = next(each for each in found.verdict.gates if each.name == name)
    return only.state, only.reason


def test_arms_and_pairs_that_arrive_whole_pass_and_are_explained_to_the_byte(
    event_log: Log, tmp_path: Path
) -> None:
    found = look(event_log, tmp_path, ARMS + PAIRS)
    intake = found.integrity.intake
    assert isinstance(intake, Intake)
    assert sum(intake.arms.values()) == sum(intake.watched.values()) == found.integrity.decisions
    assert gate(found, "shares of arms")[0] == "passes", intake
    assert gate(found, "completeness of pairs") == ("passes", "0 of 360 decisions lack one.")
    assert explain(event_log, "intake").look == found
    assert "Completeness of pairs" in render(gather(event_log, "intake"))


def test_other_shares_are_invalid_with_the_counts(event_log: Log, tmp_path: Path) -> None:
    found = look(event_log, tmp_path, ARMS.replace("[0.7, 0.3]", "[0.3, 0.7]"))
    assert found.verdict.state == "INVALID"
    assert gate(found, "shares of arms")[0] == "fails"
    assert "find what splits the traffic" in found.verdict.reasons[0]


def test_an_arm_that_nobody_registered_is_invalid(event_log: Log, tmp_path: Path) -> None:
    found = look(event_log, tmp_path, ARMS.replace('"south"', '"west"'))
    state, reason = gate(found, "shares of arms")
    assert state == "fails"
    assert "of no registered arm" in reason


def test_answers_that_are_lacking_beyond_the_limit_are_invalid(event_log: Log, tmp_path: Path) -> None:
    found = look(event_log, tmp_path, PAIRS, model="timid")
    state, reason = gate(found, "completeness of pairs")
    assert (state, found.verdict.state) == ("fails", "INVALID")
    assert reason.startswith("Beyond it: ")


def test_looks_without_it_have_the_bytes_they_had() -> None:
    assert b"intake" not in msgspec.json.encode(integrity(1))


@pytest.mark.parametrize(
    ("given", "key"),
    [
        (ARMS.replace("[0.7, 0.3]", "[0.7, 0.4]"), "shares"),
        (ARMS.replace("[0.7, 0.3]", "[1.0]"), "shares"),
        (ARMS.replace('"south"', '"north"'), "levels"),
        (ARMS + "alpha = 0.6\n", "alpha"),
        (PAIRS.replace("0.02", "0.0"), "limit"),
        (PAIRS.replace('["offer"]', "[]"), "levels"),
        (PAIRS.replace("limit", "limt"), "limit"),
    ],
)
def test_what_cannot_be_watched_is_refused_by_its_key(tmp_path: Path, given: str, key: str) -> None:
    (tmp_path / "intake.toml").write_text(experiment_text("intake", "oracle:1", more=given))
    with pytest.raises(TomlFileError, match=key):
        read_experiment(tmp_path / "intake.toml")


@pytest.mark.parametrize(
    "more",
    [
        '\n[slices]\ncolumns = ["customer"]\n',
        '\n[arms]\nfeature = "customer"\nlevels = ["ada", "bob"]\nshares = [0.5, 0.5]\n',
        '\n[completeness]\nfeature = "income"\nlevels = ["1"]\n',
    ],
)
def test_levels_that_an_erasure_would_not_reach_are_refused_before_any_look_names_them(
    fresh_log: Log, tmp_path: Path, more: str
) -> None:
    person = (Field("customer", "string", subject=True), Field("income", "string", sensitive=True))
    fresh_log.register_feature_set(FeatureSet("persons", 1, (Field("x", "float64"), *person)))
    uri = "py:tests.support.shop:oracle"
    add_model(fresh_log, uri, name="oracle", version="1", trained_until=0, inputs=["x"], folder=tmp_path)
    (tmp_path / "persons.toml").write_text(experiment_text("persons", "oracle:1", more=more))
    head = fresh_log.head().position
    with pytest.raises(LevelsOfPersons, match="stay in the log when their person is erased"):
        register(fresh_log, read_experiment(tmp_path / "persons.toml"))
    assert fresh_log.head().position == head
