"""The commands around experiments, as a user types them: output, exit codes, bad input."""

import json
from pathlib import Path
from typing import Any

import pytest

from harness.experiments import REGISTERED, TAKEN
from harness.log.log import Log
from tests.support.command_line import Command
from tests.support.shop import Shop, entered, experiment_text


@pytest.fixture
def shop(event_log: Log, tmp_path: Path) -> Shop:
    return entered(event_log, tmp_path, ("oracle", "contrary"))


def declared(folder: Path, **keys: Any) -> str:
    (folder / "experiment.toml").write_text(experiment_text(**keys))
    return "experiment.toml"


def test_from_registration_to_promotion(shop: Shop, harness: Command, tmp_path: Path) -> None:
    file = declared(tmp_path)
    assert harness("experiment", "lint", file)[0] == 0
    assert "Nothing was stored" in harness("experiment", "register", file, "--dry-run")[1]
    code, out = harness("experiment", "register", file)
    assert code == 0
    assert "before its window opened" in out
    assert harness("experiment", "register", file) == (0, out)
    shop.days(0, 5)
    code, out = harness("evaluate", "returned-1")
    assert (code, out.split()[0]) == (0, "HOLD")
    assert "Nothing has changed" in harness("evaluate", "returned-1")[1]
    code, out = harness("decide", "returned-1")
    assert (code, out.split()[0]) == (10, "HOLD")
    shop.days(5, 41)
    assert "have no score yet" in harness("evaluate", "returned-1", "--dry-run")[1]
    # What two processes measured is what one recomputes below.
    assert harness("evaluate", "returned-1", "--workers", "2")[1].startswith("PROMOTE")
    code, out = harness("decide", "returned-1", "--json")
    assert (code, json.loads(out)["body"]["state"]) == (0, "PROMOTE")
    code, out = harness("verdict", "explain", "returned-1")
    assert code == 0
    assert "2 looks were recomputed from the log: every byte agrees." in out
    assert "Concluded: PROMOTE" in harness("experiment", "show", "returned-1")[1]
    assert "PROMOTE" in harness("experiment", "list")[1]
    assert harness("experiment", "watch", "returned-1")[1].count("\n") == 4
    code, out = harness("verdict", "approve", "returned-1", "--by", "Ada", "-m", "it wins")
    assert code == 0
    assert "oracle:1 is promoted at shop.returned" in out
    code, out = harness("evaluate", "returned-1")
    assert code == 1
    assert "concluded" in out


def test_after_the_window_no_look_is_promised(shop: Shop, harness: Command, tmp_path: Path) -> None:
    file = Path(declared(tmp_path))
    file.write_text(file.read_text().replace("min_units = 5", "min_units = 100"))
    harness("experiment", "register", str(file))
    shop.days(0, 41)
    assert "The window is over" not in harness("evaluate", "returned-1")[1]
    assert "The next look is due" in harness("experiment", "show", "returned-1")[1]
    shop.days(41, 43)
    seen = [harness("evaluate", "returned-1")[1], harness("verdict", "show", "returned-1")[1]]
    seen.append(harness("experiment", "show", "returned-1")[1])
    for out in seen:
        assert "The window is over; it ends as HOLD." in out
        assert "About" not in out
        assert "next look" not in out
    status = json.loads(harness("experiment", "show", "returned-1", "--json")[1])["status"]
    assert (status["next_look"], status["window_over"]) == (None, True)


def test_a_worse_challenger_ends_in_exit_code_20(shop: Shop, harness: Command, tmp_path: Path) -> None:
    harness("experiment", "register", declared(tmp_path, model="contrary:1"))
    shop.days(0, 30)
    harness("evaluate", "returned-1")
    assert harness("decide", "returned-1", "--dry-run")[0] == 20
    assert harness("decide", "returned-1")[0] == 20
    code, out = harness("verdict", "approve", "returned-1", "--by", "Ada", "-m", "still")
    assert (code, "REJECT" in out) == (1, True)


def test_json_says_everything_that_text_says(shop: Shop, harness: Command, tmp_path: Path) -> None:
    harness("experiment", "register", declared(tmp_path))
    shop.days(0, 5)
    look = json.loads(harness("evaluate", "returned-1", "--json")[1])["look"]
    assert look["verdict"]["state"] == "HOLD"
    assert look["integrity"]["decisions"] == look["integrity"]["used"] + sum(
        look["integrity"]["reasons"].values()
    )
    shown = json.loads(harness("verdict", "show", "returned-1", "--look", "1", "--json")[1])
    assert shown["look"] == look
    by_position = json.loads(harness("verdict", "show", str(shown["position"]), "--json")[1])
    assert by_position["look"] == look
    assert json.loads(harness("experiment", "show", "returned-1", "--json")[1])["status"]["max_looks"] == 9


def test_a_template_is_written_once_and_lints_clean(shop: Shop, harness: Command) -> None:
    given = ["experiment", "new", "next-1", "--decision-point", "shop.returned", "--challenger", "oracle:1"]
    code, out = harness(*given, "--label", "returned", "--from", "2026-05-01T00:00:00Z")
    assert code == 0, out
    assert harness("experiment", "lint", "next-1.toml")[0] == 0
    assert harness("experiment", "register", "next-1.toml")[0] == 0
    code, out = harness(*given)
    assert code == 2
    assert "exists" in out
    code, out = harness(*given, "-o", "nowhere/next-1.toml")
    assert code == 2
    assert "cannot be written" in out


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("alpha = 0.05", "alhpa = 0.05", "The nearest known key is 'alpha'"),
        ("2026-03-02T00:00:00Z", "2026-03-02T00:00:00", "has no offset"),
        ("[challenger]", "[challenger", "not TOML"),
    ],
)
def test_a_bad_file_ends_in_exit_code_2_and_stores_nothing(
    shop: Shop, harness: Command, tmp_path: Path, old: str, new: str, words: str
) -> None:
    file = Path(declared(tmp_path))
    file.write_text(file.read_text().replace(old, new))
    head = shop.log.head().position
    for command in ("lint", "register"):
        code, out = harness("experiment", command, str(file))
        assert code == 2
        assert words in out
    assert shop.log.head().position == head


def test_a_changed_file_is_refused_with_both_digests(shop: Shop, harness: Command, tmp_path: Path) -> None:
    harness("experiment", "register", declared(tmp_path))
    code, out = harness("experiment", "register", declared(tmp_path, max_looks=8))
    assert code == 2
    assert "new experiment id" in out


@pytest.mark.parametrize("command", [("evaluate",), ("decide",), ("verdict", "show"), ("experiment", "show")])
def test_an_unknown_experiment_is_named_with_the_nearest(
    shop: Shop, harness: Command, tmp_path: Path, command: tuple[str, ...]
) -> None:
    harness("experiment", "register", declared(tmp_path))
    code, out = harness(*command, "returnd-1")
    assert code == 2
    assert "returned-1" in out


def test_a_database_that_is_down_is_said(
    harness: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_DATABASE_URL", "postgresql://127.0.0.1:1/none")
    code, out = harness("evaluate", "returned-1")
    assert code == 1
    assert "does not answer" in out


def test_what_cannot_be_read_of_one_experiment_stops_no_other(
    shop: Shop, harness: Command, tmp_path: Path
) -> None:
    for name in ("first", "last"):
        event = shop.log.control(REGISTERED, "new\x1b[2J", {"form": 9}) if name == "last" else None
        assert harness("experiment", "register", declared(tmp_path, name=name))[0] == 0
    assert event is not None
    code, out = harness("experiment", "list")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:4]] == ["first", r"new\x1b[2J", "last"]
    assert f"registered at position {event.position}, cannot be read: it lacks 'registered'" in out
    assert "\x1b" not in out
    listed = json.loads(harness("experiment", "list", "--json")[1])
    assert [each["state"] for each in listed] == ["no look yet", "unreadable", "no look yet"]
    shop.log.control(TAKEN, "last", {"number": 1})
    code, out = harness("experiment", "list")
    assert (code, "look altered" in out, "first" in out) == (40, True, True)


def test_schedules_are_listed_and_run(shop: Shop, harness: Command, tmp_path: Path) -> None:
    harness("experiment", "register", declared(tmp_path))
    shop.days(0, 5)
    assert harness("schedule", "serve")[0] == 2
    (tmp_path / "harness.toml").write_text(
        '[[schedule]]\nname = "weekly"\njob = "evaluate"\nexperiment = "returned-1"\nevery = "7d"\n'
        '[[schedule]]\nname = "nobody"\njob = "replay"\nexperiment = "nobody"\ncron = "0 3 * * mon"\n'
    )
    assert "never ran" in harness("schedule", "list")[1]
    code, out = harness("schedule", "run", "weekly", "--once", "--json")
    assert (code, json.loads(out)["state"]) == (0, "completed")
    assert "ended" in harness("schedule", "run", "weekly", "--once")[1]
    assert "completed" in harness("schedule", "list")[1]
    assert harness("schedule", "run", "nobody", "--once")[0] == 1
    code, out = harness("schedule", "run", "weakly", "--once")
    assert code == 2
    assert "weekly" in out
