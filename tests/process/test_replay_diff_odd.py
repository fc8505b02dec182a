"""Comparisons over what a log can hold beside the plain: odd values, other types, models that are gone."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from harness.cli.main import run
from harness.differences import Question, compare_models
from harness.errors import UsageError
from harness.known_differences import KnownDifference, covered, register_known
from harness.models import add_model
from harness.replay_runner import run_replay
from recorders.fields import FeatureSet, Field
from recorders.inprocess import InProcessLink
from recorders.recorder import Recorder
from replay.differences import DIFFERS, Differences, Sides, states
from replay.tolerance import Tolerance

POINT = "shop.odd"
START = datetime(2024, 3, 1, tzinfo=UTC)
FIELDS = (
    Field("amount", "float64"),
    Field("hash", "int64"),
    Field("at", "timestamp"),
    Field("blob", "bytes"),
    Field("list", "list[float64]"),
)
SOURCE = """
import pandas as pd

def of(edge):
    def decide(frame):
        return pd.DataFrame({"decision": ["block" if a > edge else "pass" for a in frame["amount"]]})
    decide.inputs = ("amount",)
    return decide

low, high = of(0.5), of(80.5)

def scores(frame):
    return frame["amount"] / 100
scores.inputs = ("amount",)
"""


def record(log, features, values, batch=100):
    log.register_feature_set(features)
    link = InProcessLink(log.url, [features])
    for at in range(0, len(values), batch):
        recorder = Recorder(POINT, features, link, model="live", model_version="1")
        for value in values[at : at + batch]:
            recorder.record(value, score=0.5, decision="pass")
        recorder.close()
        assert recorder.counters.acked == len(values[at : at + batch])


def known(log, where, models=("low:1", "high:1")):
    until = "2100-01-01T00:00:00Z"
    return register_known(log, decision_point=POINT, models=models, where=where, reason="r", until=until)


def row(number):
    return {
        "amount": float(number),
        "hash": 2**62 + number,
        "at": START + timedelta(hours=number),
        "blob": bytes([255, number % 256]),
        "list": [1.0, float(number)],
    }


@pytest.fixture
def world(fresh_log, tmp_path):
    record(fresh_log, FeatureSet("odd", 1, FIELDS), [row(n) for n in range(300)])
    (tmp_path / "odd_models.py").write_text(SOURCE)
    for name in ("low", "high", "scores"):
        add_model(fresh_log, f"py:odd_models:{name}", name=name, version="1", folder=tmp_path)
        place = {"decision_point": POINT, "start": 1, "stop": fresh_log.head().position + 1}
        run_replay(fresh_log, f"{name}:1", **place, folder=tmp_path)
    return fresh_log, tmp_path


def asked(world, a="low:1", b="high:1", **more):
    log, folder = world
    stop = log.head().position + 1
    return compare_models(log, Question(a, b, POINT, 1, stop, **more), folder=folder)


def test_features_of_every_type_are_cut_into_slices_or_left_out(world):
    found = asked(world, cost="hash")
    assert set(found.account.slices.counts) == {"amount", "hash"}
    assert found.account.by_state["differs"] == 80
    assert all(change["feature"] == "amount" for change in found.changes.values())


def test_a_single_early_decision_does_not_decide_how_numbers_are_cut(world):
    log, folder = world
    record(log, FeatureSet("odd", 1, FIELDS), [row(n) for n in range(300, 320)], batch=1)
    start = log.head().position - 40
    question = Question("low:1", "recorded", POINT, start, log.head().position + 1)
    place = {"decision_point": POINT, "start": start, "stop": question.stop}
    run_replay(log, "low:1", **place, folder=folder)
    counts = compare_models(log, question, folder=folder).account.slices.counts["amount"]
    assert len(counts) == 10
    assert sum(rows for rows, _ in counts.values()) == 20


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ({"at": "2024-03-01T01:00:00Z"}, 1),
        ({"at": "2024-03-01T02:00:00+01:00"}, 1),
        ({"hash": str(2**62 + 1)}, 1),
        ({"blob": "x"}, 0),
    ],
)
def test_a_known_difference_is_found_by_values_of_every_type(world, where, rows):
    log, _folder = world
    known(log, where)
    assert asked(world).account.by_state["known"] == rows


@pytest.mark.parametrize(
    "where",
    [{"hash": str(2**63)}, {"hash": "9" * 40}, {"at": "yesterday"}, {"at": "2024-03-01"}, {"list": "[1.0]"}],
)
def test_a_value_that_no_row_can_have_is_refused_when_it_is_said(world, where):
    log, _folder = world
    with pytest.raises(UsageError, match="Expected a value that it can have"):
        known(log, where)


@pytest.mark.parametrize("where", [{"customer": "ada@example.com"}, {"amount": "1", "income": "9"}])
def test_what_an_erasure_would_not_reach_is_not_said_in_the_log(fresh_log, where):
    person = (Field("customer", "string", subject=True), Field("income", "float64", sensitive=True))
    fresh_log.register_feature_set(FeatureSet("persons", 1, (Field("amount", "float64"), *person)))
    head = fresh_log.head().position
    with pytest.raises(UsageError, match="of --where is kept encrypted"):
        known(fresh_log, where, models=("a:1", "b:1"))
    assert fresh_log.head().position == head


@pytest.mark.parametrize(
    ("column", "value", "about"),
    [
        (pa.array([5, None], pa.int64()), str(2**63), [False, False]),
        (pa.array([float("nan"), 1.0, None]), "nan", [True, False, False]),
        (pa.array([[1.0], None]), "[1.0]", [False, False]),
        (pa.array([b"\xff", b"ab", None]), "ab", [False, True, False]),
    ],
)
def test_what_an_older_log_says_of_such_values_stops_no_comparison(column, value, about):
    until = datetime(2100, 1, 1, tzinfo=UTC)
    said = KnownDifference("a:1", "b:1", POINT, {"x": value}, "said", until, 1)
    assert covered(pa.RecordBatch.from_pydict({"f.x": column}), [said]).tolist() == about


def test_a_feature_may_change_its_type_between_feature_sets(world):
    log, folder = world
    text = FeatureSet("odd", 2, (Field("amount", "float64"), Field("hash", "string")))
    record(log, text, [{"amount": 40.0, "hash": "4611686018427387905"}] * 3)
    place = {"decision_point": POINT, "start": 1, "stop": log.head().position + 1}
    for name in ("low", "high"):
        run_replay(log, f"{name}:1", **place, folder=folder)
    known(log, {"hash": str(2**62 + 1)})
    found = asked(world)
    assert found.account.by_state["known"] == 4
    assert found.account.by_state["differs"] == 79
    assert found.changes


def test_what_is_known_makes_no_other_slice_look_guilty(world):
    log, folder = world
    features = FeatureSet("odd", 3, (Field("amount", "float64"), Field("kind", "string")))
    start = log.head().position + 1
    record(log, features, [{"amount": 40.0 + n % 5, "kind": "abc"[n % 3]} for n in range(300)])
    question = Question("low:1", "high:1", POINT, start, log.head().position + 1)
    for name in ("low", "high"):
        place = {"decision_point": POINT, "start": start, "stop": question.stop}
        run_replay(log, f"{name}:1", **place, folder=folder)
    known(log, {"kind": "a"})
    found = compare_models(log, question, folder=folder)
    assert (found.account.by_state["known"], found.account.by_state["differs"]) == (100, 200)
    assert found.slices == ()


def test_scores_are_no_answer_where_decisions_alone_are_compared(world, monkeypatch, capsys):
    log, folder = world
    found = asked(world, "low:1", "scores:1", tolerance=Tolerance("decision"))
    assert found.account.by_state["lacking"] == found.account.rows == 300
    assert found.account.lacking == {"b: no decision": 300}
    monkeypatch.setenv("HARNESS_DATABASE_URL", log.url)
    words = ["replay", "diff", "low:1", "scores:1", "-d", POINT, "--tolerance", "decision", "-C", str(folder)]
    assert run(words) == 10  # nothing was compared, so nobody can say that nothing differs
    assert '"--threshold" makes decisions of scores' in capsys.readouterr().out


def test_a_model_that_cannot_be_asked_any_more_is_compared_by_its_scores(world, monkeypatch, capsys):
    log, folder = world
    (folder / "odd_models.py").write_text("raise SystemExit(3)\n")
    monkeypatch.setenv("HARNESS_DATABASE_URL", log.url)
    words = ["replay", "diff", "low:1", "high:1", "-d", POINT, "-C", str(folder)]
    assert run(words) == 10
    text = capsys.readouterr().out
    assert "flips      80 from block to pass" in text
    assert "what flips them back was not searched: " in text
    assert run([*words, "--json"]) == 10
    told = json.loads(capsys.readouterr().out)
    assert told["smallest_changes"] == {}
    assert told["changes_unsearched"]


def test_another_form_of_file_is_refused_before_anything_is_compared(monkeypatch, capsys):
    monkeypatch.setenv("HARNESS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    assert run(["replay", "diff", "low:1", "high:1", "-d", POINT, "-o", "worst.xlsx"]) == 2
    assert "neither Parquet nor CSV" in capsys.readouterr().err


def test_a_difference_that_no_double_holds_weighs_most():
    nothing = pa.nulls(3, pa.string())
    a, b = np.array([1e308, np.inf, 0.25]), np.array([-1e308, 1.0, 0.5])
    sides = Sides(a, b, nothing, nothing, nothing, nothing)
    found = states(sides, Tolerance("absolute", 0.1), np.zeros(3, dtype=np.bool_))
    assert found.tolist() == [DIFFERS] * 3
    account = Differences(3)
    ids = pa.RecordBatch.from_pydict({"position": [1, 2, 3], "decision_id": ["x", "y", "z"]})
    account.update(ids, sides, found, np.array([1.0, 0.0, 1.0]))
    assert account.largest == np.inf
    assert account.worst.column("decision_id").to_pylist() == ["x", "z", "y"]
    assert account.worst.column("weight").to_pylist() == [np.inf, 0.25, 0.0]
