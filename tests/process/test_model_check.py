"""`harness model check`: each fault of a model is found by the check that is there for it, by its name."""

import json

import pytest

from harness.cli.main import run
from harness.errors import UsageError
from harness.model_check import CHECKED, Question, check
from harness.models import add_model
from replay.checks import suite
from replay.isolation import Limits
from tests.support.answering import answering
from tests.support.history import POINT, History

SOURCE = """
import os, socket, time
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

def hangs(frame):
    time.sleep(3600)

def leaks(frame):
    kept.append(np.ones(2**17))
    return frame["amount"]

def leaks_behind(frame):
    if not kept:
        np.ones(2**26)  # a peak, as of a file that is read whole
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

def counts(frame):
    return frame["amount"] + len(frame) / 1000

def constant(frame):
    return np.zeros(len(frame))

def broken(frame):
    raise RuntimeError("no")
"""
REMEMBERING = """
import json, os

class Sound:
    inputs = ("amount", "items")

    def __init__(self):
        self.seen, self.all = {}, 0

    def predict(self, frame):
        return [a / 3 + self.seen.get(str(i), 0) for a, i in zip(frame["amount"], frame["items"])]

    def observe(self, frame):
        for items in frame["items"]:
            self.seen[str(items)] = self.seen.get(str(items), 0) + 1
            self.all += 1

    def snapshot(self):
        return json.dumps([sorted(self.seen.items()), self.all]).encode()

    def restore(self, state):
        seen, self.all = json.loads(state)
        self.seen = dict(seen)

class BeyondItsKey(Sound):
    def predict(self, frame):
        return frame["amount"] + self.all

class Forgets(Sound):
    def snapshot(self):
        return b"[[], 0]"

class Signed(Sound):
    def snapshot(self):
        return super().snapshot() + b" " * (os.getpid() % 97)

class NeedsNone(Sound):
    def predict(self, frame):
        return frame["amount"]
"""
for_all = [line.split("(")[0][4:] for line in SOURCE.splitlines() if line.startswith("def ")]
LIMITS = Limits(timeout_s=20.0, memory_mb=2048)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("checked")
    (place / "remembering.py").write_text(REMEMBERING)
    (place / "candidates.py").write_text(SOURCE + "".join(f"\n{n}.inputs = inputs" for n in for_all) + "\n")
    return place


@pytest.fixture
def asked(event_log, folder):
    part = History(event_log).decisions(0, 1_500)

    def ask(name, rows=1_200, **more):
        uri = name if name.startswith("py:") else f"py:candidates:{name}"
        question = Question(uri, POINT, *part, rows=rows, **more)
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
        "joined blocks",
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
        ("leaks_behind", {"memory": "fail"}, "bit"),
        ("reaches", {"side effects": "fail"}, "bit"),
        ("brittle", {"odd values": "fail", "survival": "fail"}, "bit"),
        ("infects", {"odd values": "fail"}, "bit"),
        ("counts", {"joined blocks": "fail"}, "bit"),
        ("constant", {"range": "warn"}, "bit"),
        ("broken", {"contract": "fail"}, "nothing"),
    ],
)
def test_a_fault_is_found_by_the_check_that_is_there_for_it(asked, name, found, claim):
    checked = asked(name)
    assert found.items() <= states(checked).items(), checked
    assert checked.claim == claim


@pytest.mark.parametrize(
    ("name", "found", "claim"),
    [
        ("Sound", {}, "bit"),
        ("BeyondItsKey", {"other keys": "fail", "snapshot": "fail"}, "nothing"),
        ("Forgets", {"snapshot": "fail"}, "nothing"),
        ("Signed", {"snapshot": "warn"}, "bit"),
        ("NeedsNone", {"remembers": "warn"}, "bit"),
    ],
)
def test_what_is_wrong_with_a_memory_is_found(asked, name, found, claim):
    checked = asked(f"py:remembering:{name}?key=items", rows=300)
    told = {
        check: state for check, state in states(checked).items() if check not in {"contract", "look-ahead"}
    }
    assert told == found, checked
    assert checked.claim == claim
    assert {"remembers", "snapshot"} <= {finding.check for finding in checked.findings}


def test_last_bits_that_depend_on_the_place_are_told_and_decisions_near_the_threshold_counted(asked):
    checked = asked("places?threshold=6")
    assert states(checked)["row order"] == "warn"
    assert checked.claim == "digits"
    (near,) = [finding for finding in checked.findings if finding.check == "fragile decisions"]
    assert near.figures["threshold"] == 6.0


def test_a_model_that_hangs_ends_the_check_when_its_patience_does(event_log, folder, monkeypatch):
    monkeypatch.setattr(suite, "PATIENCE_S", 0.5)
    part = History(event_log).decisions(0, 300)
    quick = Limits(timeout_s=0.4, memory_mb=2048)
    checked = check(event_log, Question("py:candidates:hangs", POINT, *part), folder=folder, limits=quick)
    (survival,) = [each for each in checked.findings if each.check == "survival" and "kills" in each.figures]
    assert (survival.state, survival.figures["kills"]) == ("fail", {"timeout": 2})


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


@pytest.mark.parametrize(("until", "state"), [(0, "pass"), (5, "fail")])
def test_up_to_where_a_model_was_trained_can_be_said_before_it_is_registered(
    event_log, folder, monkeypatch, capsys, until, state
):
    start, stop = History(event_log).decisions(0, 300)
    monkeypatch.setenv("HARNESS_DATABASE_URL", event_log.url)
    command = f"model check py:candidates:good -d {POINT} --rows 40 --json --inputs amount,items,amount"
    place = f"--from {start} --to {stop} --trained-until {start + until - 1}"
    with pytest.raises(SystemExit) as ended:  # which of two columns is meant, it does not know
        run([*command.split(), *place.split(), "-C", str(folder)])
    assert ended.value.code == 20
    found = json.loads(capsys.readouterr().out)["findings"]
    assert {each["check"]: each["state"] for each in found}["look-ahead"] == state


def test_what_a_registration_says_is_not_said_again(event_log, folder):
    part = History(event_log).decisions(0, 300)
    add_model(event_log, "py:candidates:good", name="good", version="1", folder=folder)
    for more in ({"trained_until": 5}, {"inputs": ("amount",)}):
        with pytest.raises(UsageError, match="good:1 is registered"):
            check(event_log, Question("good:1", POINT, *part, **more), folder=folder, limits=LIMITS)


def test_a_served_model_is_not_said_to_have_tried_no_network(event_log, tmp_path):
    part = History(event_log).decisions(0, 300)
    with answering() as server:
        uri = f"http+json://127.0.0.1:{server.server_port}/score?out=predictions.*.score"
        question = Question(uri, POINT, *part, rows=40, inputs=("items",))
        checked = check(event_log, question, folder=tmp_path, limits=LIMITS)
    (found,) = (finding for finding in checked.findings if finding.check == "side effects")
    assert found.state == "pass"
    assert found.found.startswith("not watched")


def test_our_own_start_of_a_program_is_no_side_effect_of_its(event_log, tmp_path):
    (tmp_path / "score.py").write_text(
        "import json, sys\n"
        "print(json.dumps({'inputs': ['items']}), flush=True)\n"
        "for line in sys.stdin:\n"
        "    asked = json.loads(line)\n"
        "    scores = [value / 2 for value in asked['columns']['items']]\n"
        "    print(json.dumps({'rows': asked['rows'], 'scores': scores}), flush=True)\n"
    )
    part = History(event_log).decisions(0, 300)
    checked = check(
        event_log, Question("exec:python3 score.py", POINT, *part, rows=40), folder=tmp_path, limits=LIMITS
    )
    (found,) = (finding for finding in checked.findings if finding.check == "side effects")
    assert (found.state, found.figures["attempts"]) == ("pass", {})
    assert "not watched" in found.found
    assert "fail" not in states(checked).values()


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
