"""`policies` knows no clock, no chance and no file: shown by what it imports and calls."""

import ast
from pathlib import Path

import pytest

from policies import __all__ as public
from policies import plan_from

SOURCES = sorted((Path(__file__).parents[2] / "policies").rglob("*.py"))
IMPURE = {
    "io",
    "logging",
    "os",
    "pathlib",
    "random",
    "secrets",
    "shutil",
    "socket",
    "subprocess",
    "threading",
    "time",
}
CALLS = {"now", "open", "print", "today", "utcnow", "urandom", "default_rng"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_module_reaches_for_the_world(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert IMPURE.isdisjoint(name.name.split(".")[0] for name in node.names)
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] not in IMPURE
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            assert called not in CALLS


def test_the_public_names_are_few_and_sorted():
    assert list(public) == sorted(public)
    assert len(public) <= 10


def test_reading_the_digest_changes_nothing():
    plan = plan_from({"metrics": [{"name": "brier"}]})
    before = plan.to_json()
    assert plan.digest == plan_from({"metrics": [{"name": "brier"}]}).digest
    assert plan.to_json() == before
