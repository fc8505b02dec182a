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


def test_the_pace_of_the_machine_is_named_where_it_was_measured() -> None:
    report = {"benchmark": "x", "at": "now", "notes": "", "versions": {}, "rows": []}
    machine = {"processor": "p", "cores": 2, "load": [0.5]}
    assert "pace" not in section({**report, "machine": machine})
    assert "pace 13.4 us" in section({**report, "machine": {**machine, "pace_us": 13.4}})
