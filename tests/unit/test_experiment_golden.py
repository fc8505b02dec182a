"""What was registered once is read for ever: keys may be added with a default, none may change."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.experiment_file import from_declaration

GOLDEN = Path(__file__).parents[1] / "golden"


def subset(old: Any, new: Any) -> bool:
    """Return whether every value of `old` stands in `new` unchanged."""
    if isinstance(old, dict):
        return all(key in new and subset(value, new[key]) for key, value in old.items())
    if isinstance(old, list | tuple):
        return len(old) == len(new) and all(map(subset, old, new))
    return bool(old == new)


@pytest.mark.parametrize("name", ["experiment_declaration_1.json"])
def test_a_declaration_of_every_version_is_read(name: str) -> None:
    written = json.loads((GOLDEN / name).read_text())
    assert subset(written, from_declaration(written).declaration())
