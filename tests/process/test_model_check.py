"""`harness model check`: each fault of a model is found by the check that is there for it, by its name."""

import json

import pytest

from harness.cli.main import run
from harness.model_check import CHECKED, Question, check
from harness.models import add_model
from replay.isolation import Limits
from tests.support.history import POINT, History

SOURCE = """
import os, socket
import numpy as np
inputs = ("amount", "items")
kept = []
calls = [0]

def good(frame):
    return 1 / (1 + np.exp(-frame["amount"] / 100 - frame["items"]))

def peeks(frame):
    return frame["amount"] - frame["amount"].mean()

def chance(frame):
    return np.random.default_rng().normal(size=len(frame))

def remembers(frame):
    calls[0] += 1
    return frame["amount"] + calls[0]

def by_process(frame):
    return frame["amount"] + os.getpid()

def places(frame):
    return frame["amount"] * (1 + np.arange(len(frame)) % 2 * 2e-16)

def leaks(frame):
    kept.append(np.ones(2**17))
    return frame["amount"]

def reaches(frame):
    try:
        socket.create_connection(("127.0.0.1", 9), 1)
    except OSError:
        pass
    return frame["amount"]

def brittle(frame):
    if not np.isfinite(frame["amount"]).all():
        os._exit(4)
    return frame["amount"]

def infects(frame):
    return frame["amount"] + (1 if (frame["items"] < 0).any() else 0)

def constant(frame):
    return np.zeros(len(frame))

def broken(frame):
    raise RuntimeError("no")
"""
for_all = [line.split("(")[0][4:] for line in SOURCE.splitlines() if line.startswith("def ")]
LIMITS = Limits(timeout_s=20.0, memory_mb=2048)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("checked")
    (place / "candidates.py").write_text(SOURCE + "".join(f"\n{n}.inputs = inputs" for n in for_all) + "\n")
    return place


@pytest.fixture
def asked(event_log, folder):
    part = History(event_log).decisions(0, 1_500)

    def ask(name, **more):
        question = Question(f"py:candidates:{name}", POINT, *part, rows=1_200, **more)
        return check(event_log, question, folder=folder, limits=LIMITS)

    return ask


def states(checked):
    return {finding.check: finding.state for finding in checked.findings if finding.state != "pass"}


def test_a_sound_model_passes_and_only_its_training_is_unknown(asked):
    checked = asked("good")
    assert states(checked) == {"contract": "warn", "look-ahead": "warn"}
    assert (checked.state, checked.claim, checked.rows) == ("warn", "bit", 1_200)
    assert [finding.check for finding in checked.findings] == [
        "look-ahead",
        "contract",
        "range",
        "determinism",
        "fresh process",
        "batch size",
        "column order",
        "row order",
        "prefix",
        "odd values",
        "memory",
        "latency",
        "side effects",
    ]


@pytest.mark.parametrize(
    ("name", "found", "claim"),
    [
        ("peeks", {"prefix": "fail"}, "nothing"),
        ("chance", {"determinism": "fail", "fresh process": "fail"}, "nothing"),
        ("remembers", {"determinism": "fail"}, "nothing"),
        ("by_process", {"fresh process": "fail"}, "nothing"),
        ("leaks", {"memory": "fail"}, "bit"),
        ("reaches", {"side effects": "fail"}, "bit"),
        ("brittle", {"odd values": "fail", "survival": "fail"}, "bit"),
        ("infects", {"odd values": "fail"}, "bit"),
        ("constant", {"range": "warn"}, "bit"),
        ("broken", {"contract": "fail"}, "nothing"),
    ],
)
def test_a_fault_is_found_by_the_check_that_is_there_for_it(asked, name, found, claim):
    checked = asked(name)
    assert found.items() <= states(checked).items(), checked
    assert checked.claim == claim


def test_last_bits_that_depend_on_the_place_are_told_and_decisions_near_the_threshold_counted(asked):
    checked = asked("places?threshold=6")
    assert states(checked)["row order"] == "warn"
    assert checked.claim == "digits"
    (near,) = [finding for finding in checked.findings if finding.check == "fragile decisions"]
    assert near.figures["threshold"] == 6.0


def test_a_model_that_has_seen_the_rows_fails_and_the_finding_is_kept(event_log, folder, capsys):
    part = History(event_log).decisions(0, 300)
    add_model(
        event_log, "py:candidates:good", name="good", version="1", trained_until=part[1] - 1, folder=folder
    )
    question = Question("good:1", POINT, *part)
    checked = check(event_log, question, folder=folder, limits=LIMITS)
    assert states(checked)["look-ahead"] == "fail"
    (event,) = event_log.controls(CHECKED, "good:1")
    assert (event.body["state"], event.body["digest"]) == ("fail", checked.digest)


def test_the_command_prints_a_table_or_json_and_fails_with_20(event_log, folder, monkeypatch, capsys):
    History(event_log).decisions(0, 300)
    monkeypatch.setenv("HARNESS_DATABASE_URL", event_log.url)
    command = ["model", "check", "-d", POINT, "-C", str(folder), "--rows", "200"]
    with pytest.raises(SystemExit) as ended:
        run([*command, "py:candidates:broken"])
    assert ended.value.code == 20
    assert "✗ contract" in capsys.readouterr().out
    assert run([*command, "py:candidates:good", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["state"], told["claim"]) == ("warn", "bit")
