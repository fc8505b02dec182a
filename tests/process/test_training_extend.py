"""A set that is continued is the set that a build from nothing gives, whatever came in between."""

from datetime import timedelta

import pytest

from harness.cli.main import run
from harness.training.compare import diff_training_sets
from harness.training.errors import NotAnExtension
from harness.training.extend import extend_training_set
from harness.training.sets import Place, build_training_set
from harness.training.spec import Spec
from replay.labels import LabelRule
from replay.splits import Split
from tests.support.history import POINT, History

RULES = {
    "plain": {"labels": (LabelRule(name="fraud", window=timedelta(hours=3)),)},
    "by unit": {
        "labels": (LabelRule(name="fraud", window=timedelta(hours=3)),),
        "split": Split(by="unit", test=0.3),
    },
    "weighted": {"labels": (LabelRule(name="fraud", window=timedelta(hours=16), immature="weight"),)},
}


@pytest.mark.parametrize("rule", RULES)
def test_it_equals_a_build_from_nothing(event_log, tmp_path, rule):
    history = History(event_log)
    start, stop = history.decisions(0, 300)
    history.outcomes(0, 200)
    spec = Spec(decision_point=POINT, start=start, stop=stop, **RULES[rule])
    first = build_training_set(event_log, spec, place=Place(tmp_path / "first"))
    history.outcomes(50, 60, flip=True)
    history.decisions(0, 10)
    history.outcomes(200, 300)
    _, later = history.decisions(300, 700)
    history.outcomes(300, 600)
    history.decisions(900, 901)
    longer, _reused = extend_training_set(event_log, first.folder, to=later, place=Place(tmp_path / "longer"))
    at = longer.manifest["as_of"]["position"]
    whole = build_training_set(
        event_log,
        Spec(decision_point=POINT, start=start, stop=later, **RULES[rule]),
        as_of=at,
        place=Place(tmp_path / "whole", rows_per_part=97),
    )
    assert (longer.id, longer.digest) == (whole.id, whole.digest)
    changes = diff_training_sets(event_log, first.id, longer.id).counts
    assert changes["relabelled"] == 10
    assert changes["added"] > 200
    assert first.verify(event_log)["holds"]


def test_it_goes_on_and_never_back(event_log, tmp_path, monkeypatch, capsys):
    history = History(event_log)
    start, stop = history.decisions(0, 300)
    history.outcomes(0, 300)
    history.decisions(900, 901)
    spec = Spec(decision_point=POINT, start=start, stop=stop, **RULES["plain"])
    first = build_training_set(event_log, spec, place=Place(tmp_path / "first"))
    with pytest.raises(NotAnExtension, match=f"its range stops at {stop}"):
        extend_training_set(event_log, first.id, to=stop - 1)
    with pytest.raises(NotAnExtension, match="it is known at position") as caught:
        extend_training_set(event_log, first.id, as_of=stop)
    assert caught.value.exit_code == 2
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HARNESS_DATABASE_URL", event_log.url)
    assert run(["training-set", "extend", first.id, "--out", "longer"]) == 0
    assert "301 decisions" in capsys.readouterr().out
    assert run(["training-set", "extend", first.id, "--to", "2", "--out", "x"]) == 2
    assert run(["training-set", "extend", "ts-nothing"]) == 2
