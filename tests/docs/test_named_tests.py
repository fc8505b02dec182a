"""Every test that a document names as its proof is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"\btests/[\w/.-]+\.(?:py|c)\b|\btests(?:\.\w+)+\b")
DOCUMENTS = [ROOT / "docs" / name for name in ("doors.md", "recorder.md", "sidecar.md")]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_a_test_that_is_named_is_there(document: Path) -> None:
    named = set(NAMED.findall(document.read_text()))
    files = {name if "/" in name else name.replace(".", "/") + ".py" for name in named}
    assert [name for name in sorted(files) if not (ROOT / name).exists()] == []


def test_the_sidecar_names_what_shows_it() -> None:
    named = NAMED.findall((ROOT / "docs/sidecar.md").read_text())
    assert "tests/process/test_sidecar_kills.py" in named
    assert len(set(named)) > 20
