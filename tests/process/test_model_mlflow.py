"""`mlflow:` against a real registry: the alias is resolved once; what would run code is refused."""

import json
import subprocess
import sys
from pathlib import Path

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
