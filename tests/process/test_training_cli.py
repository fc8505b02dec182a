"""`harness training-set` with a specification of its own: the file, the funnel, what is refused and how."""

import contextlib
import copy
import json
import sys
from functools import partial, reduce
from operator import getitem

import pytest

from harness.cli.main import run
from harness.training.folder import TrainingSet
from recorders.errors import HarnessError
from tests.support.history import POINT, History

SPEC = f"""
decision_point = "{POINT}"
from = 2
to = 1002
features = ["amount", "kind"]

[[labels]]
name = "fraud"
window = "3h"

[where]
kind = ["card", "bank"]

[split]
by = "unit"
test = 0.25
seed = "spring"

[[gates]]
feature = "amount"
max_null = 0.02
"""


@pytest.fixture
def harness(event_log, tmp_path, monkeypatch, command):
    history = History(event_log)
    history.decisions(0, 1_000)
    history.outcomes(0, 900)
    history.decisions(1_100, 1_101)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_DATABASE_URL", event_log.url)
    (tmp_path / "spec.toml").write_text(SPEC)

    return partial(command, "training-set")


def test_a_file_says_it_all_and_the_funnel_shows_where_rows_went(harness, tmp_path):
    shown = harness("create", "--spec", "spec.toml", "--out", "set")
    assert "gates    2 hold" in shown
    funnel = [line.split() for line in shown.splitlines() if line.startswith(("funnel", "         "))]
    assert [line[:3] for line in funnel] == [
        ["funnel", "decisions", "1,000"],
        ["-", "excluded", "333"],
        ["-", "immature", "53"],
        ["-", "missing", "14"],
        ["=", "rows", "600"],
    ]
    made = json.loads((tmp_path / "set" / "manifest.json").read_text())
    assert made["format"] == "training-set/2"
    assert sum(made["splits"].values()) == 600
    assert "log and files give 600 rows" in harness("verify", "set")
    assert made["id"] in harness("list")
    assert "seed" not in harness("show", made["id"])


def test_a_folder_is_shown_as_it_says_itself_without_any_log(harness, tmp_path, monkeypatch):
    harness("create", "--spec", "spec.toml", "--out", "set")
    made = json.loads((tmp_path / "set" / "manifest.json").read_text())
    registered = harness("show", made["id"])
    monkeypatch.setenv("HARNESS_DATABASE_URL", "postgresql://127.0.0.1:9/none")
    shown = harness("show", "set")
    assert shown.startswith(registered)
    assert "folder   set, 1 part" in shown.removeprefix(registered)
    assert json.loads(harness("show", "set", "--json")) == made
    path = tmp_path / "set" / "manifest.json"
    for harm in ({"cut": 7}, {"counts": {}}, {"rows": "many"}, {"parts": 1}, {"as_of": None}):
        path.write_text(json.dumps(made | harm))
        assert "cannot be used: " in harness("show", "set", code=40), harm
    path.write_text(json.dumps(made | {"splits": {"train\x1b[2J": 1}}))
    assert "\\x1b[2J" in harness("show", "set")


def test_each_label_and_the_folds_are_told_in_a_line(harness, tmp_path):
    several = SPEC.replace('by = "unit"\ntest = 0.25', 'by = "unit_folds"\nfolds = 3').replace(
        "[where]", '[[labels]]\nname = "amount"\nwindow = "36h"\nimmature = "censor"\n\n[where]'
    )
    (tmp_path / "spec.toml").write_text(several)
    shown = harness("create", "--spec", "spec.toml", "--out", "set").splitlines()
    assert [line for line in shown if line.startswith(("label", "folds"))] == [
        "label    fraud, counted when the decision is 3h old",
        "label    amount, counted when the decision is 36h old, younger ones censored",
        'folds    3 by unit: the column "fold" has the number of the one it tests',
    ]


@pytest.mark.parametrize(
    ("change", "said", "code"),
    [
        (("[split]", "[spilt]"), "nearest known key is 'split'", 2),
        (("test = 0.25", 'test = 0.25\ngap = "1h"'), "the key gap, which it does not read", 2),
        (('by = "unit"', 'by = "unit_folds"\nfolds = 3'), "Expected only folds, seed", 2),
        (('window = "3h"', 'window = "3 hours"'), "such as", 2),
        (("test = 0.25", "test = 25.0"), "Expected a share above 0 and below 1", 2),
        (("to = 1002", "to = 9000"), "Choose a later --as-of or an earlier --to", 2),
        (('name = "fraud"', 'name = "froud"'), "Known: fraud", 2),
        (('window = "3h"', 'window = "90d"'), "Expected decisions as old as the window", 2),
        (("max_null = 0.02", "max_null = 0.001"), "gates failed", 30),
        (
            ('["card", "bank"]', '["crad"]'),
            "1,000 excluded. Expected at least one row. Check what where asks for",
            1,
        ),
        (
            ("[[gates]]", '[weights]\npolicy = "ips"\ntarget = "decision:blok"\n[[gates]]'),
            "nobody decided 'blok'",
            2,
        ),
        (("decision_point", "decision_pint"), "Every key must be known", 2),
    ],
)
def test_what_a_file_gets_wrong_is_said(harness, tmp_path, change, said, code):
    (tmp_path / "spec.toml").write_text(SPEC.replace(*change))
    assert said in harness("create", "--spec", "spec.toml", "--out", "set", code=code)
    assert not (tmp_path / "set").exists()


def test_a_file_and_options_do_not_mix(harness):
    assert "--spec and --label are given" in harness("create", "--spec", "spec.toml", "--label", "x", code=2)
    told = harness("create", "--spec", "spec.toml", "--from", "500", "--gap", "3h", code=2)
    assert {"--from", "--gap"} <= set(told.replace(",", "").split())
    assert "--spec and --from are given" in harness("create", "--spec", "spec.toml", "--from", "1", code=2)
    assert "lacks --label, --window" in harness("create", "-d", POINT, code=2)
    plain = ("create", "-d", POINT, "--label", "fraud", "--window", "3h")
    for gap in ("1h", "nonsense"):
        assert "--gap is given without --test-from" in harness(*plain, "--gap", gap, code=2)


@pytest.mark.parametrize("given", ["", " , "])
def test_features_that_name_none_are_not_a_set_without_features(harness, given):
    told = harness("create", "-d", POINT, "--label", "fraud", "--window", "3h", "--features", given, code=2)
    assert "names none. Expected one or more" in told


def test_a_manifest_that_lies_about_its_form_is_refused(harness, tmp_path):
    harness("create", "--spec", "spec.toml", "--out", "set")
    path = tmp_path / "set" / "manifest.json"
    manifest = json.loads(path.read_text())
    for change, said in (
        ({"format": "training-set/9"}, "its format is"),
        ({"parts": 1}, "list of parts"),
        ({"parts": [{"file": 1, "sha256": ""}]}, "list of parts"),
        ({"parts": [1]}, "list of parts"),
    ):
        path.write_text(json.dumps(manifest | change))
        assert said in harness("verify", "set", code=40)
        harness("export", manifest["id"], "--out", "set", code=0 if "parts" in change else 40)
    path.write_text("{")
    # As the remedy says: where nobody can read whose folder it is, nothing is written before it is away.
    harness("export", manifest["id"], "--out", "set", code=40)
    (tmp_path / "set").rename(tmp_path / "damaged")
    harness("export", manifest["id"], "--out", "set")
    assert "hold" in harness("verify", "set")


def test_a_manifest_with_a_key_that_cannot_be_is_never_a_traceback(harness, tmp_path):
    """Each key at any depth is gone, of another type, or huge."""
    harness("create", "--spec", "spec.toml", "--out", "set")
    path = tmp_path / "set" / "manifest.json"
    whole = json.loads(path.read_text())
    for keys in list(places(whole)):
        for value in (None, True, -1, 10**30, 1.5, "x" * 1_000, [], {}, [None], {"a": None}):
            manifest = copy.deepcopy(whole)
            reduce(getitem, keys[:-1], manifest)[keys[-1]] = value
            path.write_text(json.dumps(manifest))
            assert run(["training-set", "show", str(tmp_path / "set")]) in {0, 40}, (keys, value)
            for read in (lambda made: next(made.batches(), None), lambda made: made.fold(1)):
                with contextlib.suppress(HarnessError):
                    read(TrainingSet.open(tmp_path / "set"))


def places(value, before=()):
    """Yield the keys that lead to everything in a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield (*before, key)
        yield from places(inner, (*before, key))


def test_spark_is_asked_for_by_name_and_its_absence_says_what_to_install(harness, monkeypatch):
    for name in [each for each in sys.modules if each.partition(".")[0] == "pyspark"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyspark", None)
    told = harness("create", "--spec", "spec.toml", "--out", "set", "--spark", "local[1]", code=2)
    assert "pip install 'shadow-harness[spark]'" in told
