"""benchmarks/README.md is made of the results, and says what they say now."""

import json

import pytest

from benchmarks.tools.readme import FOLDER, README, section, text


def test_the_readme_is_current() -> None:
    found = README.read_text(encoding="utf-8")
    assert found == text(), "run `python -m benchmarks.tools.readme`"


@pytest.mark.parametrize("name", sorted(path.stem for path in (FOLDER / "results").glob("*.json")))
def test_a_missed_target_is_in_the_table(name: str) -> None:
    report = json.loads((FOLDER / "results" / f"{name}.json").read_text(encoding="utf-8"))
    missed = sum(row["holds"] is False for row in report["rows"])
    assert section(report).count("**missed**") == missed
