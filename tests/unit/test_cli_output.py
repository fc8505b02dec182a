"""What programs read: JSON of one strict form, also for what JSON has no form for."""

import json
import math
from datetime import timedelta

import click
import pytest

from harness.cli.output import show_usage, to_json
from harness.cli.places import duration
from harness.errors import NotFound, UnknownPosition, UsageError
from harness.log.events import Verification
from harness.log.places import parse


def refuse(word: str) -> float:
    raise AssertionError(f"{word} is no JSON")


def test_json_is_strict_for_programs_that_are() -> None:
    data = {"a": [math.nan, math.inf, {"b": -math.inf}], "v": Verification(1, 2, 0, 0), "t": (1.5, True)}
    found = json.loads(to_json(data), parse_constant=refuse)
    assert found["a"] == ["NaN", "Infinity", {"b": "-Infinity"}]
    assert (found["v"]["start"], found["t"]) == (1, [1.5, True])


def test_json_on_a_terminal_cannot_steer_it() -> None:
    text = to_json({"a": "é\x1b[2J\x9b\x7f\u2028"})
    assert text.isprintable()
    assert json.loads(text) == {"a": "é\x1b[2J\x9b\x7f\u2028"}


def test_a_refused_command_line_has_three_parts_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    context = click.Context(click.Command("tail"), info_name="harness log tail")
    show_usage(click.UsageError("No such option: --x", context))
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["happened"] == "No such option: --x"
    assert error["expected"].startswith("Expected harness log tail")
    assert error["remedy"] == 'See "harness log tail --help".'
    assert (error["type"], error["exit_code"]) == ("UsageError", 2)


PLACES = ["--5", "9" * 5_000, "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", "²", "1.5", ""]


@pytest.mark.parametrize("place", PLACES)
def test_text_that_is_no_place_is_refused_in_few_words(place: str) -> None:
    with pytest.raises(UsageError, match="is no place in the log") as caught:
        parse(place)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("place", [True, 1.5, b"1"])
def test_a_value_that_is_no_place_is_refused(place: object) -> None:
    with pytest.raises(UsageError, match="is no place in the log"):
        parse(place)  # type: ignore[arg-type]  # the refused case


@pytest.mark.parametrize("text", ["99999999999999d", "9" * 400 + "s"])
def test_a_duration_beyond_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="longer than time"):
        duration(text)
    assert duration("7d") == timedelta(days=7)


def test_a_place_that_does_not_exist_says_what_does() -> None:
    assert "from 1 to 19" in str(UnknownPosition(0, 19, first=1))
    assert "the log is empty" in str(UnknownPosition(5, 0))
    assert "as of position 10" in str(UnknownPosition(12, 10, cut=True))


@pytest.mark.parametrize("noun", ["experiment", "feature set", "model", "replay", "schedule", "training set"])
def test_what_is_not_found_is_listed_by_a_command_that_exists(noun: str) -> None:
    from harness.cli.main import cli

    command = NotFound(noun, "x", ["y"]).remedy.split('"')[1].split()
    found: click.Command = cli
    for word in command[1:3]:
        assert isinstance(found, click.Group)
        inner = found.get_command(click.Context(found), word)
        assert inner is not None, command
        found = inner
