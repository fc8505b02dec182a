"""What challengers did in shadow, in a training set: features born there, weights of the policy they are."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from harness.errors import NotFound
from harness.models import add_model
from harness.replay_runner import run_replay
from harness.training.sets import Place, build_training_set
from harness.training.spec import Born, Spec
from recorders.columns import decision_schema
from replay.labels import LabelRule
from replay.weights import Weights
from tests.support.history import FEATURES, POINT, History, rows

SOURCE = """
def half(frame):
    return frame["amount"] / 2
half.inputs = ("amount",)
"""


@pytest.fixture
def history(event_log, tmp_path):
    """1,000 decisions that explored with chance 0.5, their outcomes, and scores of half:1 on 600 of them."""
    (tmp_path / "shadow_models.py").write_text(SOURCE)
    made = History(event_log)
    first = event_log.head().position + 1
    schema = decision_schema(FEATURES)
    plain = rows(np.arange(1_000), FEATURES)
    plain = plain.set_column(
        schema.get_field_index("propensity"), "propensity", pa.array(np.full(1_000, 0.5))
    )
    made.append("decision", plain.cast(schema), FEATURES.digest)
    made.part = first, first + 1_000
    made.outcomes(0, 900)
    made.decisions(1_100, 1_101)
    add_model(event_log, "py:shadow_models:half", name="half", version="1", folder=tmp_path)
    run_replay(event_log, "half:1", decision_point=POINT, start=first, stop=first + 600, folder=tmp_path)
    return made


def built(log, history, out, **more):
    spec = Spec(
        decision_point=POINT,
        start=history.part[0],
        stop=history.part[1],
        labels=(LabelRule(name="fraud", window=timedelta(hours=3)),),
        **more,
    )
    made = build_training_set(log, spec, place=Place(out))
    assert made.verify(log)["holds"]
    counts = dict(made.manifest["counts"])
    assert counts.pop("decisions") == made.manifest["rows"] + sum(counts.values())
    return made


def test_a_feature_born_in_shadow_says_where_it_comes_from(event_log, history, tmp_path):
    made = built(event_log, history, tmp_path / "set", born=(Born(name="half", model="half:1"),))
    assert made.manifest["provenance"] == {
        "amount": "served",
        "items": "served",
        "kind": "served",
        "half": "shadow_served",
    }
    frame = made.to_pandas()
    scored = frame[:600]
    assert np.array_equal(scored.half, scored.amount / 2, equal_nan=True)
    # 300 rows were never scored, and six of the 600 had no amount to score.
    assert made.manifest["absent"] == {"half": 306} == {"half": frame.half.isna().sum()}
    with pytest.raises(NotFound, match="model"):
        built(event_log, history, tmp_path / "x", born=(Born(name="half", model="half:2"),))


def test_scores_that_came_later_are_not_known_yet(event_log, history, tmp_path):
    made = built(event_log, history, tmp_path / "set", born=(Born(name="half", model="half:1"),))
    first, stop = history.part
    run_replay(event_log, "half:1", decision_point=POINT, start=first + 600, stop=stop, folder=tmp_path)
    assert made.verify(event_log)["holds"]
    assert (
        built(event_log, history, tmp_path / "later", born=(Born(name="half", model="half:1"),)).digest
        != made.digest
    )


def test_dr_rows_without_a_label_stand_for_what_the_target_would_not_have_seen(event_log, history, tmp_path):
    plan = Weights(policy="dr", target="decision:block", reward="half:1")
    made = built(event_log, history, tmp_path / "set", weights=plan)
    assert made.manifest["counts"]["unscored"] > 0
    frame = made.to_pandas()
    did = {
        f"d{n}": decision
        for n, decision in enumerate(rows(np.arange(1_000), FEATURES)["decision"].to_pylist())
    }
    blocked = frame.decision_id.map(did) == "block"
    assert frame.weight.equals(blocked * 2.0)
    reward = frame.amount / 2
    assert np.allclose(frame.label_dr, reward + frame.weight * (frame.label - reward).where(blocked, 0.0))


def test_a_target_that_decided_nothing_leaves_no_row(event_log, history, tmp_path):
    from harness.replay_errors import EmptyTrainingSet

    with pytest.raises(EmptyTrainingSet, match="900 unscored"):
        built(event_log, history, tmp_path / "x", weights=Weights(policy="ips", target="model:half:1"))
