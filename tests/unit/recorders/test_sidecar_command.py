"""`python -m recorders.sidecar` as an operator meets it without the harness: help, options, errors."""

import json
import logging
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.cli.doors import map_
from recorders.sidecar.__main__ import VERBS, main
from tests.support.doors import GOLDEN


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture
def settings(tmp_path: Path) -> str:
    path = tmp_path / "sidecar.toml"
    path.write_text(f'folder = "{tmp_path / "s"}"\n')
    return str(path)


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_says_what_it_does(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """All had one text, of which no word was about any of them."""
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert VERBS[verb] in shown
    assert ("--new-writer" in shown) == (verb == "ship")
    assert ("--sample" in shown) == (verb == "map")
    assert ("--timeout" in shown) == (verb in ("drain", "ship"))


@pytest.mark.parametrize(
    "given",
    [
        ["status", "--new-writer"],
        ["inspect", "--from", "3"],
        ["run", "--timeout", "3"],
        ["drain", "--timeout", "nan"],
        ["drain", "--timeout", "-1"],
        ["ship", "--timeout", "soon"],
        ["stop"],
    ],
)
def test_what_a_verb_does_not_take_is_refused(given: list[str], settings: str) -> None:
    """It was taken, and forgotten."""
    with pytest.raises(SystemExit) as ended:
        main([*given, "--config", settings])
    assert ended.value.code == 2


@pytest.mark.parametrize("before", [True, False])
def test_settings_are_named_before_the_verb_or_after_it(
    before: bool, settings: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ["--config", settings]
    assert main([*named, "status"] if before else ["status", *named]) == 1
    told = capsys.readouterr().err
    assert str(tmp_path / "s") in told
    assert "Start it with `python -m recorders.sidecar run`" in told
    assert "harness sidecar" not in told


def test_an_error_is_json_where_that_is_asked_for(settings: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--config", settings, "--json"]) == 2
    shown = capsys.readouterr()
    error = json.loads(shown.err)["error"]
    assert shown.out == ""
    assert (error["type"], error["exit_code"]) == ("SettingsError", 2)
    assert error["message"] == " ".join([error["happened"], error["expected"], error["remedy"]])


def test_a_mapping_is_proposed_in_the_words_of_the_harness(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--sample", str(GOLDEN / "table-csv" / "capture.csv"), "-d", "shop.paid"]
    assert main(["map", *given]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# Proposed from ")
    assert tomllib.loads(text)["decision_point"] == "shop.paid"
    assert CliRunner().invoke(map_, given).output == text
    assert main(["map", *given, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert text.startswith(found["mapping"].rstrip())
    assert f"# It takes {found['taken']} rows of the sample and refuses {found['refused']}." in text


def test_what_no_mapping_can_be_proposed_for_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = str(GOLDEN / "table-csv" / "capture.csv")
    assert main(["map", "--sample", sample, "--source", "tables"]) == 2
    assert main(["map", "--sample", str(tmp_path / "none.csv")]) != 0
    assert str(tmp_path / "none.csv") in capsys.readouterr().err
