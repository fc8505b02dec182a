"""Numbers that a specification cannot mean are refused by their key before any row is read."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from harness.training.errors import SpecUnusable
from harness.training.sets import Place, build_training_set
from harness.training.spec import FOLDS, DriftGate, Gate, Spec
from replay.labels import LabelRule
from replay.splits import Split
from tests.support.history import POINT, History

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"gates": (Gate(feature="amount", low=math.nan),)}, r"has gates\.low nan"),
        ({"gates": (Gate(feature="amount", max_null=math.nan),)}, r"has gates\.max_null nan"),
        ({"gates": (Gate(feature="amount", high=math.inf),)}, r"has gates\.high inf"),
        ({"drift": DriftGate(against="ts-1", floor=math.nan)}, r"has drift\.floor nan"),
        ({"where": {"amount": [1.0, math.nan]}}, r"has where\.amount nan"),
        ({"split": Split(by="unit_folds", folds=FOLDS + 1)}, "has 10,001 folds"),
        (
            {"split": Split(by="rolling", test_from=BEGIN, every=timedelta(seconds=1), folds=10**9)},
            "has 1,000,000,000 folds",
        ),
    ],
)
def test_a_number_that_no_set_can_have_is_refused_by_its_key(event_log, tmp_path, words, said):
    start, stop = History(event_log).decisions(0, 10)
    label = LabelRule(name="fraud", window=timedelta(hours=3))
    wanted = Spec(decision_point=POINT, start=start, stop=stop, labels=(label,), **words)
    with pytest.raises(SpecUnusable, match=said):
        build_training_set(event_log, wanted, place=Place(tmp_path / "set"))
    assert event_log.head().position == stop - 1, "nothing was declared"
    assert not (tmp_path / "set").exists()
