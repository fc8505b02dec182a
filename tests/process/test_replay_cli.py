import json
import re
import subprocess
import sys

import pytest

from tests.support.history import POINT, History

SOURCE = """
def half(frame):
    return frame["amount"] / 2
half.inputs = ("amount",)
def dies(frame):
    import os
    os._exit(3)
dies.inputs = ("amount",)
class Nothing:
    pass
"""


@pytest.fixture
def shop(event_log, tmp_path, monkeypatch):
    """The command line in a folder with a model file, beside a log with 2,000 decisions and outcomes."""
    (tmp_path / "cli_models.py").write_text(SOURCE)
    made = History(event_log)
    made.part = made.decisions(0, 2_000)
    made.outcomes(0, 2_000)
    made.decisions(3_000, 3_001)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_DATABASE_URL", event_log.url)
    return made


@pytest.fixture
def harness(shop, command):
    def call(*words, code=0):
        said = command(*words, code=code)
        return json.loads(said) if "--json" in words else said

    call.part = [str(edge) for edge in shop.part]
    return call


def test_a_model_from_file_to_scores(harness):
    assert "No model is registered" in harness("model", "list")
    added = harness("model", "add", "py:cli_models:half", "--name", "half", "--version", "1", "--json")
    assert added["inputs"] == ["amount"]
    assert "half:1" in harness("model", "list")
    assert added["digest"] in harness("model", "show", "half:1")
    assert "recorded  rules:1" in harness("model", "at", POINT, "--time", "2024-03-01T10:00:00Z")

    start, stop = harness.part
    words = ("replay", "run", "--model", "half:1", "-d", POINT, "--from", start, "--to", stop)
    first = harness(*words, "--json")
    assert (first["rows"], first["failed"]) == (2_000, 20)
    assert "1,980 of 2,000 decisions, 20 failed" in harness(*words)
    assert "20 x missing input: amount" in harness("replay", "show", first["id"][:8])
    assert "completed" in harness("replay", "list")
    harness("model", "add", "py:cli_models:dies", "--name", "dies", "--version", "1")
    words = ("replay", "run", "--model", "dies:1", "-d", POINT, "--from", start, "--to", stop)
    harness(*words, code=1)
    (line,) = (each for each in harness("replay", "list").splitlines() if "dies:1" in each)
    assert line.endswith("ended: circuit open (12 crash in 0 blocks)")
    run_id = line.split()[0]
    assert "circuit open (12 crash in 0 blocks); the same command" in harness("replay", "show", run_id)
    assert harness("replay", "show", run_id, "--json")["ended"].startswith("ended: circuit open")
    floor = harness("replay", "noise-floor", "-d", POINT, "--from", start, "--to", stop, "--json")
    assert floor["unregistered"] == 2_000


def test_a_training_set_from_cut_to_proof(harness, tmp_path):
    words = (
        "training-set",
        "create",
        "-d",
        POINT,
        "--label",
        "fraud",
        "--window",
        "3h",
        "--to",
        harness.part[1],
    )
    made = harness(*words, "--test-from", "2024-03-02T00:00:00Z", "--gap", "3h", "--out", "march", "--json")
    assert made["rows"] == 2_000 - 180
    assert made["splits"] == {"train": 1_260, "test": 560}
    assert made["id"] in harness("training-set", "list")
    shown = harness("training-set", "show", made["id"])
    assert "1,820 rows of 2,000 decisions" in shown
    assert re.search(r"gap +180\b", shown)
    assert "log and files give 1,820 rows" in harness("training-set", "verify", "march")
    assert "the log gives 1,820 rows" in harness("training-set", "verify", made["id"])
    assert "in 4 parts" in harness(
        "training-set", "export", made["id"], "--out", "again", "--rows-per-part", "500"
    )
    assert (tmp_path / "again" / "manifest.json").exists()
    default = harness(*words, "--where", "kind=card,coin", "--json")
    assert default["counts"]["excluded"] == 667
    assert (tmp_path / ".harness" / "training-sets" / default["id"] / "manifest.json").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            ("model", "add", "py:cli_models:Nothing", "--name", "n", "--version", "1", "--inputs", "amount"),
            1,
            "without",
        ),
        (
            ("model", "add", "py:cli_models:absent", "--name", "n", "--version", "1", "--inputs", "a"),
            1,
            "absent",
        ),
        (("model", "add", "nope:x", "--name", "n", "--version", "1"), 2, "no adapter"),
        (("model", "show", "hal:1"), 2, "There is no model"),
        (("replay", "run", "--model", "x:1", "-d", POINT), 2, "There is no model"),
        (("replay", "show", "abc"), 2, "There is no replay"),
        (("training-set", "verify", "ts-none"), 2, "There is no training set"),
        (
            ("training-set", "create", "-d", "nowhere", "--label", "x", "--window", "1h"),
            2,
            "No decision of 'nowhere'",
        ),
        (("training-set", "create", "-d", POINT, "--label", "x", "--window", "1 day"), 2, "is no duration"),
        (
            ("training-set", "create", "-d", POINT, "--label", "x", "--window", "1h", "--from", "2024-03-01"),
            2,
            "no offset",
        ),
        (
            ("training-set", "create", "-d", POINT, "--label", "x", "--window", "1h", "--where", "kind"),
            2,
            "selection",
        ),
        (("training-set", "create", "-d", POINT, "--label", "x", "--window", "1h"), 2, "Known: fraud"),
    ],
)
def test_what_cannot_be_done_says_why_and_how_it_can(harness, words, code, said):
    error = harness(*words, "--json", code=code)["error"]
    assert said in error["message"]
    assert error["exit_code"] == code
    assert error["remedy"]


def test_the_commands_start_without_loading_what_they_do_not_use():
    modules = "harness.cli.model, harness.cli.replay, harness.cli.training_set"
    code = f"import sys, {modules}; print('pandas' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "False"


def test_a_stopped_run_is_listed_with_what_it_has_scored(harness):
    harness("model", "add", "py:cli_models:half", "--name", "half", "--version", "1")
    run = (
        "replay",
        "run",
        "--model",
        "half:1",
        "-d",
        POINT,
        "--to",
        harness.part[1],
        "--max-time",
        "0.0001s",
    )
    harness(*run, code=75)
    (found,) = harness("replay", "list", "--json")
    assert (found["rows"], found["scored"], found["failed"]) == (2_000, 1_980, 20)
    assert (found["errors"], found["digest"]) == ({"missing input: amount": 20}, None)
    (line,) = harness("replay", "list").splitlines()[1:]
    assert re.search(r"2,000 +20  out of its budget of time", line)
    assert "1,980 of 2,000 decisions, 20 failed" in harness("replay", "show", found["id"][:8])


def test_nothing_is_drained_where_nothing_was_recorded(harness):
    harness("model", "add", "py:cli_models:half", "--name", "half", "--version", "1")
    said = harness("shadow", "drain", "--model", "half:1", "-d", POINT + "s", "--from", "1", code=2)
    assert f'no decision point "{POINT}s". Known: {POINT}.' in said


def test_nothing_is_followed_from_a_place_that_the_log_has_not_reached(harness):
    """A mistyped place would leave a tail in the log that says for ever that it is not behind."""
    harness("model", "add", "py:cli_models:half", "--name", "half", "--version", "1")
    named = ("--model", "half:1", "-d", POINT, "--from", "99999999")
    for verb in ("start", "drain"):
        assert "99999999" in harness("shadow", verb, *named, code=2)
    assert harness("shadow", "status", "--json") == []
