"""The experiment file: every fault is found at once, and each message names the key and the remedy."""

import datetime as dt
import math
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.experiment_file import ExperimentFile, from_declaration
from harness.experiment_lint import lint, read_experiment
from harness.experiment_reference import KEYS, TABLES, reference, template
from harness.strict_toml import TomlFileError, known_keys
from policies.metrics import METRICS
from recorders.canonical import canonical_json

GOOD = """
schema = 1
[experiment]
id = "late-gbm-1"
decision_point = "flights.late"
question = "Are late arrivals predicted better?"
owner = "ops@example.com"
[window]
from = 2013-05-01T00:00:00-04:00
to = 2013-07-01T00:00:00-04:00
[challenger]
model = "late-gbm:1"
[label]
name = "late"
window = "24h"
[unit]
kind = "day"
timezone = "America/New_York"
[[metrics]]
name = "brier"
clip = 0.1
[policy]
alpha = 0.05
max_looks = 9
"""


def tables(**changed: Any) -> dict[str, Any]:
    found = tomllib.loads(GOOD)
    for dotted, value in changed.items():
        table, _, key = dotted.partition("__")
        home = found["metrics"][0] if table == "metrics" else found.setdefault(table, {})
        if value is None:
            del home[key]
        else:
            home[key] = value
    return found


def faults(**changed: Any) -> list[str]:
    return [str(problem) for problem in lint(tables(**changed))]


AWKWARD = [
    *(math.nan, math.inf, -math.inf, 0, -1, 1, 2, 0.5, 1e308, 1e-320, 2**63 - 1, True),
    *("", "x", "24h", "-1h", "1e9d", "refuse", "a:1", "py:nope:f", "py::", "retraining", "logged_action"),
    *([], [1], [math.nan, 1, 2, 3], [1, 2, 3, 4], [0, 0, 0, 0], ["harm", "harm"], {"a": 1}),
    *(dt.datetime(2026, 1, 1, tzinfo=dt.UTC), dt.datetime(1, 1, 1, tzinfo=dt.UTC), dt.date(2026, 1, 1)),
]


@given(
    metric=st.sampled_from(sorted(METRICS)),
    changed=st.dictionaries(st.sampled_from(sorted(KEYS)), st.sampled_from(AWKWARD), max_size=3),
)
@example(metric="brier", changed={"metrics.reference": 2})
def test_any_value_at_any_key_is_taken_or_a_fault_with_a_name(metric: str, changed: dict[str, Any]) -> None:
    values = {key.replace(".", "__"): value for key, value in changed.items() if "." in key}
    found = lint(tables(**{"metrics__name": metric} | values))
    assert all(str(problem) for problem in found)


def test_a_good_file_has_no_fault_and_its_declaration_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "good.toml"
    path.write_text(GOOD)
    experiment = read_experiment(path)
    declared = experiment.declaration()
    canonical_json(declared)
    assert declared["window"] == {"from": "2013-05-01T04:00:00Z", "to": "2013-07-01T04:00:00Z"}
    assert from_declaration(declared) == experiment.in_utc()
    assert from_declaration(declared).digest == experiment.digest


def test_one_instant_written_with_two_offsets_is_one_experiment(tmp_path: Path) -> None:
    one, two = tmp_path / "one.toml", tmp_path / "two.toml"
    one.write_text(GOOD)
    two.write_text(GOOD.replace("2013-05-01T00:00:00-04:00", "2013-05-01T04:00:00Z"))
    assert read_experiment(one).digest == read_experiment(two).digest


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"policy__alhpa": 0.1}, ["[policy] alhpa", "'alpha'"]),
        ({"metrics__name": "latency_over", "metrics__slo_us": 9}, ["[metrics 1] ask_every", "asked"]),
        ({"metrics__slo_su": 9}, ["[metrics 1] slo_su", "'slo_us'"]),
        ({"metrics__weight_mx": 9.0}, ["[metrics 1] weight_mx", "'weight_max'"]),
        (
            {"metrics__identification": "logged_action", "unit__kind": "request", "unit__timezone": None},
            ["[metrics 1] weight_max", "no largest weight"],
        ),
        ({"metrics__directon": "lower"}, ["[metrics 1] directon", "'direction'"]),
        ({"label__alpha": 0.1}, ["[label] alpha", "[policy]"]),
        ({"policy__alpha": 1.5}, ["[policy] alpha", "1.5"]),
        ({"policy__alpha": "0.05"}, ["[policy] alpha", "a number"]),
        ({"metrics__margin": -0.1}, ["[metrics 1] margin", "-0.1"]),
        ({"metrics__name": "brierr"}, ["[metrics 1] name", "brier"]),
        ({"unit__kind": "dayy"}, ["[unit] kind", '"request", "column", "day"']),
        ({"unit__timezone": "America/New_Yrok"}, ["[unit] timezone", "'America/New_York'"]),
        ({"unit__timezone": None}, ["[unit] timezone"]),
        ({"label__window": "a day"}, ["[label] window", '"24h"']),
        ({"label__window": None}, ["[label] window", "missing"]),
        ({"window__from": dt.datetime(2013, 5, 1)}, ["[window] from", "no offset"]),  # noqa: DTZ001
        ({"window__from": dt.date(2013, 5, 1)}, ["[window] from", "no offset"]),
        ({"window__from": 5}, ["[window] from, to", "two positions"]),
        ({"window__to": dt.datetime(2013, 4, 1, tzinfo=dt.UTC)}, ["[window] from, to", "from before to"]),
        ({"experiment__id": "late gbm"}, ["[experiment] id", "late-gbm-1"]),
        ({"challenger__model": "late-gbm"}, ["[challenger] model", "late-gbm:1"]),
        ({"champion__uri": "live"}, ["[champion] uri", "recorded:champion"]),
    ],
)
def test_a_fault_is_named_with_table_key_and_remedy(changed: dict[str, Any], words: list[str]) -> None:
    found = faults(**changed)
    assert len(found) == 1, found
    for word in words:
        assert word in found[0]


def test_all_faults_are_found_at_once() -> None:
    found = faults(policy__alhpa=0.1, label__window=None, metrics__clip=-1.0, unit__kind="week")
    assert len(found) == 4, found


def test_a_missing_table_and_a_table_that_is_a_value_are_named() -> None:
    broken = tables()
    del broken["challenger"]
    broken["metrics"] = {"name": "brier"}
    found = [str(problem) for problem in lint(broken)]
    assert any(text.startswith("challenger: the table [challenger] is missing") for text in found), found
    assert any("Write one [[metrics]] for each" in text for text in found), found


def test_two_metrics_of_one_name_are_refused() -> None:
    twice = tables()
    twice["metrics"].append(twice["metrics"][0])
    assert ["each metric once" in str(problem) for problem in lint(twice)] == [True]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        (b"[experiment\n", "not TOML"),
        (b"\xff\xfe", "not UTF-8"),
        (b"", "missing"),
    ],
)
def test_a_file_that_is_no_toml_is_refused(tmp_path: Path, content: bytes | None, words: str) -> None:
    path = tmp_path / "experiment.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TomlFileError, match=words) as caught:
        read_experiment(path)
    assert caught.value.exit_code == 2
    told = str(caught.value)
    assert str(path) in told
    assert ("can be read" in told) == (content != b"")
    assert "experiment.toml: experiment.toml" not in told


def test_every_key_of_the_structs_has_its_sentence() -> None:
    known = known_keys(ExperimentFile)
    dotted = {f"{table}.{key}" if table else key for table, keys in known.items() for key in keys}
    assert dotted == set(KEYS)
    assert set(known) == set(TABLES)


def test_the_template_lints_clean_and_shows_every_key() -> None:
    start = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    text = template(
        {
            "experiment.id": "new-1",
            "experiment.decision_point": "shop.checkout",
            "experiment.question": 'Is "new" better?',
            "challenger.model": "new:1",
            "label.name": "returned",
        },
        start=start,
        stop=start + dt.timedelta(days=28),
    )
    assert lint(tomllib.loads(text)) == []
    for each in reference():
        assert f"{each.key} = " in text
