"""Each treatment of immature decisions with all weights and splits: a set that verifies, or a refusal."""

from datetime import timedelta
from itertools import product

import numpy as np
import pyarrow as pa
import pytest

from harness.models import add_model
from harness.replay_runner import run_replay
from harness.training.errors import SpecUnusable
from harness.training.registry import verify_training_set
from harness.training.sets import DECLARED, Place, build_training_set
from harness.training.spec import Spec
from recorders.columns import decision_schema
from replay.labels import LabelRule
from replay.splits import Split
from replay.weights import Weights
from tests.support.history import FEATURES, MINUTE, POINT, START, History, rows

SIZE = 600
EDGE = START + 300 * MINUTE
GAP = timedelta(hours=1)
SOURCE = """
import pandas as pd

def half(frame):
    amount = frame["amount"].fillna(0.0)
    decision = amount.gt(2).map({True: "block", False: "pass"})
    return pd.DataFrame({"score": 1 / (1 + 2 ** -amount), "decision": decision})
half.inputs = ("amount",)
"""
POLICIES = [None, "ips", "snips", "dr"]
TARGETS = [None, "decision:block", "model:half:1"]
SPLITS = {
    "none": None,
    "time": Split(by="time", test_from=EDGE, gap=GAP),
    "unit": Split(by="unit", test=0.2),
    "rolling": Split(by="rolling", test_from=EDGE, every=timedelta(hours=1), folds=3, gap=GAP),
    "unit_folds": Split(by="unit_folds", folds=3),
}


@pytest.fixture
def history(event_log, tmp_path):
    """Decisions that explored and were sampled by chance; old ones without outcome, young ones with it."""
    (tmp_path / "deciding_models.py").write_text(SOURCE)
    made = History(event_log)
    first = event_log.head().position + 1
    schema = decision_schema(FEATURES)
    plain = rows(np.arange(SIZE), FEATURES)
    for name in ("propensity", "inclusion"):
        at = schema.get_field_index(name)
        plain = plain.set_column(at, name, pa.array(np.where(np.arange(SIZE) % 3, 0.5, 0.25)))
    made.append("decision", plain.cast(schema), FEATURES.digest)
    made.part = first, first + SIZE
    made.outcomes(0, SIZE - 120)
    made.outcomes(SIZE - 60, SIZE - 20, hours=0.01)
    made.decisions(SIZE + 100, SIZE + 101)
    add_model(event_log, "py:deciding_models:half", name="half", version="1", folder=tmp_path)
    run_replay(event_log, "half:1", decision_point=POINT, start=first, stop=first + SIZE, folder=tmp_path)
    return made


def spec_of(history, immature, weights, split):
    return Spec(
        decision_point=POINT,
        start=history.part[0],
        stop=history.part[1],
        labels=(LabelRule(name="fraud", window=timedelta(hours=3), immature=immature),),
        split=split,
        weights=weights,
    )


def all_weights():
    """Yield the weights that there are: none, by sampling, and by each policy for each target."""
    for policy, target, inclusion in product(POLICIES, TARGETS, [False, True]):
        if policy is None:
            if target is None:
                yield Weights(inclusion=True) if inclusion else None
        elif policy != "dr" or target is not None:
            reward = "half:1" if policy == "dr" else None
            yield Weights(policy=policy, target=target, reward=reward, inclusion=inclusion, min_effective=20)


@pytest.mark.parametrize("immature", ["exclude", "censor", "weight"])
@pytest.mark.parametrize("split", SPLITS)
def test_each_is_built_and_verifies_or_is_refused(event_log, history, tmp_path, immature, split):
    refused = 0
    for number, weights in enumerate(all_weights()):
        spec = spec_of(history, immature, weights, SPLITS[split])
        if weights is not None and weights.policy == "dr" and (immature != "exclude" or weights.inclusion):
            before = len(event_log.controls(DECLARED))
            with pytest.raises(SpecUnusable, match=r"dr weights with (immature|inclusion) =") as caught:
                build_training_set(event_log, spec, place=Place(tmp_path / f"{number}"))
            assert caught.value.exit_code == 2
            assert len(event_log.controls(DECLARED)) == before
            refused += 1
            continue
        made = build_training_set(event_log, spec, place=Place(tmp_path / f"{number}"))
        assert made.verify(event_log)["holds"]
        counts = dict(made.manifest["counts"])
        assert counts.pop("decisions") == made.manifest["rows"] + sum(counts.values())
        if weights is not None:
            assert np.isfinite(made.to_arrow()["weight"]).all()
    assert refused == (2 if immature == "exclude" else 4)


def test_a_set_that_was_registered_so_before_is_still_read(event_log, history, tmp_path, monkeypatch):
    weights = Weights(policy="dr", target="decision:block", reward="half:1", inclusion=True)
    with monkeypatch.context() as older:
        older.setattr("harness.training.sets.check_declarable", lambda _spec: None)
        spec = spec_of(history, "exclude", weights, None)
        made = build_training_set(event_log, spec, place=Place(tmp_path / "set"))
    assert verify_training_set(event_log, made.id)["holds"]
