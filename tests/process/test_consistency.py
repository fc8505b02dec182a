"""`harness consistency check`: a transformation that still computes what was served, and some that do not."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recorders.fields import FeatureSet, Field
from tests.support.history import FEATURES, POINT, History

RETYPED = {"items": "float64"}
SOURCE = """
import numpy as np

def good(raw):
    n = raw["n"].to_numpy()
    amount = np.sin(n * 1.7) * 10 + np.cos(n * 0.3)
    amount[n % 97 == 96] = np.nan
    return raw.assign(amount=amount, items=n % 7)[["decision_id", "amount", "items"]]

def renamed(raw):
    return raw.assign(colour=1)[["colour"]]

def off(raw):
    found = good(raw)
    found["amount"] = found["amount"] * (1 + 1e-12)
    found.loc[found.index[:3], "items"] += 1
    return found

def turned(raw):
    return good(raw)[::-1]

def broken(raw):
    raise RuntimeError("no such input")

def short(raw):
    return raw[:1]

def sorted_on_the_way(raw):
    return good(raw.sort_values("n", ascending=False))[["amount", "items"]]

def twice(raw):
    return good(raw)[["amount", "items", "amount"]]

def empty(raw):
    return raw[["decision_id"]]

def status(raw):
    return raw.assign(statuses="")[["statuses"]]

def talks(raw):
    print("rows:", len(raw))
    return good(raw)
"""


@pytest.fixture
def harness(event_log, tmp_path, monkeypatch, command):
    history = History(event_log)
    history.decisions(0, 1_000)
    (tmp_path / "shop_features.py").write_text(SOURCE)
    rows = {"decision_id": [f"d{n}" for n in range(1_000)], "n": np.arange(1_000)}
    pq.write_table(pa.table(rows), tmp_path / "raw.parquet")
    pq.write_table(pa.table(rows).slice(0, 700), tmp_path / "some.parquet")
    again = pa.concat_tables([pa.table(rows).slice(0, 700), pa.table(rows).slice(7, 2)])
    pq.write_table(again, tmp_path / "twice.parquet")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_DATABASE_URL", event_log.url)

    def call(function, *words, raw="raw.parquet", code=0):
        given = ["--raw", raw] if raw else []
        asked = ("consistency", "check", f"py:shop_features:{function}", "-d", POINT)
        return command(*asked, *given, *words, code=code)

    call.history = history
    return call


def test_what_still_computes_the_same_agrees(harness):
    shown = harness("good", "--sample", "1")
    assert "1,000 of 1,000 decisions" in shown
    assert shown.endswith("They agree.\n")


def test_a_sample_is_the_same_for_the_same_seed(harness):
    found = [json.loads(harness("good", "--sample", "0.1", "--seed", seed, "--json")) for seed in "aab"]
    assert found[0] == found[1]
    assert 60 < found[0]["result"]["sampled"] < 140
    assert found[0]["result"]["sampled"] != found[2]["result"]["sampled"] or found[0] != found[2]


def test_what_moved_is_counted_with_its_worst_rows(harness):
    result = json.loads(harness("off", "--sample", "1", "--json", code=30))["result"]
    amount, items = result["fields"]
    assert amount["mismatch"] > 900
    assert 0 < amount["smape"] < 1e-11
    assert items["mismatch"] == 3
    assert {row["decision_id"] for row in items["worst"]} == {"d0", "d1", "d2"}
    shown = harness("off", "--sample", "1", "--tolerance", "amount=rel:1e-9", code=30)
    assert "d0: served 0, now 1" in shown
    assert [line.split()[2] for line in shown.splitlines() if line.startswith(("amount", "items"))] == [
        "0",
        "3",
    ]


def test_decisions_without_raw_inputs_are_counted(harness):
    shown = harness("good", "--sample", "1", raw="some.parquet", code=30)
    assert "300 sampled decisions have no raw inputs." in shown


def test_of_several_feature_sets_one_is_chosen(harness):
    fields = tuple(Field(field.name, RETYPED.get(field.name, field.type)) for field in FEATURES.fields)
    later = FeatureSet(FEATURES.name, 2, fields)
    harness.history.decisions(1_000, 1_010, feature_set=later)
    told = harness("good", "--sample", "1", code=2)
    assert f"{FEATURES.label} (1,000 decisions), {later.label} (10 decisions)" in told
    assert f"--feature-set {FEATURES.label}" in told
    shown = harness("good", "--sample", "1", "--feature-set", FEATURES.label)
    assert "1,000 of 1,000 decisions" in shown
    assert shown.endswith("They agree.\n")
    assert f"Known: {FEATURES.label}, {later.label}." in harness("good", "--feature-set", "x:1", code=2)


@pytest.mark.parametrize(
    ("function", "words", "raw", "code", "said"),
    [
        ("broken", (), "raw.parquet", 2, "raised RuntimeError: no such input"),
        ("short", (), "raw.parquet", 2, "answered a DataFrame of 1 rows"),
        ("turned", (), "raw.parquet", 2, "answered rows of other decisions, or in another order"),
        ("sorted_on_the_way", (), "raw.parquet", 2, "answered the rows in another order"),
        ("twice", (), "raw.parquet", 2, "answered amount more than once"),
        ("empty", (), "raw.parquet", 2, "answered no feature"),
        ("status", (), "raw.parquet", 2, "'statuses'"),
        ("renamed", (), "raw.parquet", 2, "'colour'"),
        ("nothing", (), "raw.parquet", 2, "has no attribute 'nothing'"),
        ("good", (), "twice.parquet", 2, "2 of 702 rows of raw inputs"),
        ("good", ("--tolerance", "amount=near"), "raw.parquet", 2, "is no tolerance"),
        ("good", ("--tolerance", "colour=exact"), "raw.parquet", 2, "'colour'"),
        ("good", ("--tolerance", "amount"), "raw.parquet", 2, "'amount' does not say which feature"),
        ("good", ("--tolerance", "amount=abs:1", "--tolerance", "amount=exact"), "raw.parquet", 2, "twice"),
        ("good", ("--sample", "0"), "raw.parquet", 2, "The share is 0"),
        ("good", ("--sample", "1e-9"), "raw.parquet", 2, "The sample holds none of 1,000 decisions"),
        ("good", ("--from", "900", "--to", "900"), "raw.parquet", 2, "No decision of"),
        ("good", (), "shop_features.py", 2, "cannot be read"),
        ("good", (), None, 2, "raised KeyError"),
    ],
)
def test_what_cannot_be_checked_is_said(harness, function, words, raw, code, said):
    assert said in harness(function, *words, raw=raw, code=code)


def test_what_the_function_prints_is_no_part_of_the_answer(harness):
    assert json.loads(harness("talks", "--sample", "1", "--json"))["agrees"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("py:no_such_module:good", "no module 'no_such_module'"),
        ("py:broken_module:good", "does not run"),
        ("sklearn:shop_features.py", "is no function of features"),
        ("recorded:champion", "is no function of features"),
        ("shop_features:good", "no adapter"),
    ],
)
def test_a_name_of_no_function_is_refused(harness, tmp_path, command, name, said):
    (tmp_path / "broken_module.py").write_text("import nothing_like_this\n")
    assert said in command("consistency", "check", name, "-d", POINT, "--raw", "raw.parquet", code=2)
