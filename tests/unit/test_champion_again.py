import json
import sys

import pyarrow as pa
import pytest

from harness.champion_again import champion_noise
from replay.model import ModelInfo

PLAIN = ModelInfo(name="plain", version="1", digest="0" * 64, adapter="python", uri="py:a:b", inputs=())
DECISIONS = pa.table(
    {
        "position": [1, 2, 3, 4, 5],
        "model": ["plain", "plain", "plain", "plain", "other"],
        "model_version": ["1", "1", "1", "1", "1"],
        "score": [0.5, 0.5, None, 0.25, 0.5],
        "decision": ["yes", "yes", "no", None, "yes"],
    }
)


def again(**columns: list[object]) -> pa.Table:
    kinds = {"decision_position": pa.int64(), "score": pa.float64()}
    return pa.table({key: pa.array(rows, kinds.get(key, pa.string())) for key, rows in columns.items()})


def test_what_this_very_model_decided_is_compared_bit_by_bit() -> None:
    scores = again(
        decision_position=[1, 2, 3, 4, 5],
        score=[0.5, 0.5 + 2**-53, 0.1, None, 0.9],
        decision=["yes", "no", "no", "no", "no"],
        error=[None, None, None, "overflow", None],
    )
    found = champion_noise(DECISIONS, scores, PLAIN)
    assert found is not None
    assert found["rows"] == 3
    assert (found["failed"], found["unscored"]) == (1, 1)
    assert (found["differing_scores"], found["max_abs_difference"]) == (1, 1.11022302463e-16)
    assert (found["decisions_compared"], found["differing_decisions"]) == (3, 1)
    assert sum(found["histogram"].values()) == 2


def test_nothing_scored_again_is_no_noise_floor() -> None:
    nothing = again(decision_position=[], score=[], decision=[], error=[])
    assert champion_noise(DECISIONS, nothing, PLAIN) is None


def test_what_the_champion_raised_on_counts_as_failed_until_it_has_a_score() -> None:
    nothing = again(decision_position=[], score=[], decision=[], error=[])
    found = champion_noise(DECISIONS, nothing, PLAIN, error="ValueError: no")
    assert found is not None
    assert (found["rows"], found["failed"], found["error"]) == (0, 4, "ValueError: no")
    scores = again(decision_position=[1, 2, 3, 4], score=[0.5] * 4, decision=[None] * 4, error=[None] * 4)
    later = champion_noise(DECISIONS, scores, PLAIN, error="ValueError: no")
    assert later is not None
    assert later["failed"] == 0
    assert "error" not in later


def test_scores_that_are_infinite_have_a_place_in_json() -> None:
    infinite = float("inf")
    live = DECISIONS.set_column(3, "score", pa.array([infinite, infinite, -infinite, 1e308, 0.5]))
    scores = again(
        decision_position=[1, 2, 3, 4],
        score=[infinite, 0.5, infinite, -1e308],
        decision=["yes", "yes", "no", None],
        error=[None] * 4,
    )
    found = champion_noise(live, scores, PLAIN)
    assert found is not None
    assert (found["differing_scores"], found["histogram"]["equal"], found["histogram"]["> 0.001"]) == (
        3,
        1,
        3,
    )
    assert found["max_abs_difference"] == pytest.approx(sys.float_info.max)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
