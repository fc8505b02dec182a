"""The files of the demo that a user edits: sound, and the same in the examples as in the package."""

import tomllib
from pathlib import Path

import pytest

from harness.config import Config
from harness.demo.flights import FEATURES
from harness.demo.folder import EDITABLE, packaged
from harness.experiment_lint import lint
from harness.schedule_file import read_schedules
from recorders.fields import FeatureSet

EXAMPLES = Path(__file__).parents[2] / "examples" / "flights"
EXPERIMENTS = ("experiment.toml", "experiment_autumn.toml")


@pytest.mark.parametrize("name", EDITABLE)
def test_the_example_is_the_packaged_file(name: str) -> None:
    assert (EXAMPLES / name).read_text(encoding="utf-8") == packaged(name)


def test_the_feature_set_declares_what_the_requests_have() -> None:
    declared = FeatureSet.from_toml(packaged("feature_set.toml"))
    assert tuple(field.name for field in declared.fields) == FEATURES
    assert {field.role for field in declared.fields} == {"feature"}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_experiments_lint_clean(name: str) -> None:
    assert lint(tomllib.loads(packaged(name))) == []


def test_the_schedules_look_at_the_experiments() -> None:
    experiments = {tomllib.loads(packaged(name))["experiment"]["id"] for name in EXPERIMENTS}
    assert {schedule.experiment for schedule in read_schedules(Config.load(EXAMPLES))} == experiments
