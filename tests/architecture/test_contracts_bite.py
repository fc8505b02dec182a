"""Each import contract is shown to bite: a rule is broken in a copy of the tree, and the linter says so."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("harness", "recorders", "replay", "policies")


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command; lint_imports_command()",
    ]
    return subprocess.run([*command, "--no-cache"], cwd=tree, capture_output=True, text=True, check=False)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_the_tree_keeps_every_contract(tree: Path) -> None:
    done = lint(tree)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("module", "line", "contract"),
    [
        ("recorders/frame.py", "import replay.ranges", "Imports run downwards"),
        ("replay/ranges.py", "import policies.plan", "Imports run downwards"),
        ("policies/plan.py", "import replay.ranges", "Imports run downwards"),
        ("replay/ranges.py", "import harness.errors", "Imports run downwards"),
        ("recorders/recorder.py", "import pyarrow", "The recorder's SDK modules"),
        ("recorders/fields.py", "import recorders.columns", "The recorder's SDK modules"),
        ("recorders/integrations/asgi.py", "import starlette", "The recorder's SDK modules"),
        ("recorders/integrations/model.py", "import mlflow", "The recorder's SDK modules"),
        ("policies/plan.py", "import sqlalchemy", "Databases, schedulers"),
        ("replay/ranges.py", "import click", "Databases, schedulers"),
        ("harness/errors.py", "import scipy", "scipy and statsmodels"),
        ("replay/ranges.py", "import psycopg", "replay and policies do no database work"),
    ],
)
def test_a_broken_rule_is_named(tree: Path, module: str, line: str, contract: str) -> None:
    path = tree / module
    path.write_text(path.read_text() + f"\n{line}\n")
    done = lint(tree)
    assert done.returncode == 1
    shown = " ".join(done.stdout.split())  # long names are wrapped
    assert re.search(rf"{re.escape(contract)}[^.]* BROKEN", shown), done.stdout
