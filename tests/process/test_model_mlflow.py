"""`mlflow:` against a real registry: the alias is resolved once; what would run code is refused."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from harness import models
from harness.log.log import Log
from replay.adapters import Artefact
from replay.isolation import open_isolated
from replay.model import ModelInfo
from replay.model_errors import PickleRefused
from tests.support import model_zoo

ROOT = Path(__file__).parents[2]


def test_an_alias_is_frozen_to_its_version_and_a_pickle_needs_its_pin(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.support.mlflow_registry", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert (said["first"], said["second"]) == ("models:/late/1.bundle", "models:/late/2.bundle")
    assert said["moved"], "two versions are two artefacts, though the graph is one"
    assert said["inputs"] == ["x", "y"]
    assert (said["scores"], said["errors"]) == ([0.5, 0.5], [None, None])
    refused, half = said["pickle"]
    assert "runs code when it is loaded (mlflow.pyfunc.model)" in refused
    assert half == "1.5"


@pytest.mark.parametrize(
    ("target", "resolved"), [("models:/late@challenger", "models:/late/3"), ("models:/late/3", None)]
)
def test_what_an_alias_meant_is_in_the_log(
    event_log: Log, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, target: str, resolved: str | None
) -> None:
    uri = f"mlflow:{target}"
    opened = SimpleNamespace(info=ModelInfo("late", "7", "1" * 64, "mlflow", uri, ("x",)))
    held = Artefact("0" * 64, b"model", "models:/late/3.bundle")
    monkeypatch.setattr(models, "read_artefact", lambda *_: held)
    monkeypatch.setattr(models, "open_isolated", lambda *_, **__: opened)
    event = models.add_model(event_log, uri, name="late", version="7", folder=tmp_path)
    assert event.body.get("resolved") == resolved
    assert models.get_model(event_log, "late:7") == opened.info


@pytest.mark.parametrize(
    ("altered", "named"),
    [
        ({"python_function": {"code": "helpers"}}, "what is in helpers"),
        ({"lightgbm": {"code": "helpers"}}, "what is in helpers"),
        ({"lightgbm": {"model_class": "lightgbm.sklearn.LGBMClassifier"}}, "lightgbm.sklearn.LGBMClassifier"),
        ({"xgboost": {"model_class": "helpers.Booster"}}, "helpers.Booster"),
    ],
)
def test_what_a_flavor_of_data_runs_beside_needs_the_pin(
    tmp_path: Path, altered: dict[str, dict[str, str]], named: str
) -> None:
    _uri, _scorer = model_zoo.lightgbm(tmp_path)
    flavors = {
        "python_function": {"loader_module": "mlflow.lightgbm", "data": "model.txt"},
        "lightgbm": {"data": "model.txt"},
    }
    for flavor, more in altered.items():
        flavors[flavor] = flavors.get(flavor, {}) | more
    (tmp_path / "MLmodel").write_text(yaml.safe_dump({"flavors": flavors, "mlflow_version": "3.5.0"}))
    (tmp_path / "helpers" / "lightgbm").mkdir(parents=True)
    (tmp_path / "helpers" / "lightgbm" / "__init__.py").write_text("raise RuntimeError('it ran')")
    with pytest.raises(PickleRefused, match=rf"runs code when it is loaded \({named}\)"):
        open_isolated("mlflow:.", inputs=["x", "y"], folder=tmp_path)
