"""What a model is given is what was recorded, or its row is an error: no value becomes another on the way."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from harness.log.log import Log
from harness.models import STORE, add_model, registered
from replay.adapters.forms import matrix, numbers_of
from replay.isolation import Limits, open_isolated
from replay.loading_errors import ModelNotLoaded
from replay.model_errors import ModelChanged

LIMITS = Limits(timeout_s=30.0, memory_mb=2048)
ROUNDS = 60


def scored(uri: str, folder: Path, values: pa.Array) -> pa.RecordBatch:
    """Return what the model of `uri` says of rows with one feature."""
    count = len(values)
    block = pa.record_batch(
        {
            "decision_position": pa.array(range(count), pa.int64()),
            "decision_id": [f"d{at}" for at in range(count)],
            "f.kind": values,
        }
    )
    with open_isolated(uri, inputs=["kind"], folder=folder, limits=LIMITS) as model:
        return model.score(block)


def graph(folder: Path, kind: str) -> str:
    """Write a graph that takes 2^53 from whole numbers of a kind, and return its URI."""
    from onnx import TensorProto, helper, save

    of_kind = getattr(TensorProto, kind)
    taken = 2**53 if kind == "INT64" else 0
    nodes = [
        helper.make_node("Sub", ["rows", "taken"], ["left"]),
        helper.make_node("Cast", ["left"], ["p"], to=TensorProto.DOUBLE),
    ]
    ends = (("rows", of_kind), ("p", TensorProto.DOUBLE))
    rows, p = (helper.make_tensor_value_info(name, one, [None, 1]) for name, one in ends)
    made = helper.make_graph(
        nodes, "whole", [rows], [p], [helper.make_tensor("taken", of_kind, [1], [taken])]
    )
    save(
        helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "m.onnx"
    )
    return "onnx:m.onnx"


def test_a_graph_of_whole_numbers_is_given_each_to_its_last_digit(tmp_path: Path) -> None:
    found = scored(graph(tmp_path, "INT64"), tmp_path, pa.array([2**53 + 1, 2**53 + 3, 5]))
    assert found["score"].to_pylist() == [1.0, 3.0, 5.0 - 2**53]


def test_what_a_whole_number_does_not_hold_is_the_rows_error(tmp_path: Path) -> None:
    uri = graph(tmp_path, "INT32")
    assert scored(uri, tmp_path, pa.array([7, 2**40]))["error"].to_pylist() == [
        None,
        "ValueError: input kind is no number that int32 holds",
    ]
    floats = scored(uri, tmp_path, pa.array([7.0, 1.5, np.nan, np.inf, 1e300]))
    assert floats["score"].to_pylist() == [7.0, None, None, None, None]
    empty = scored(uri + "?nulls=pass", tmp_path, pa.array([7, None]))
    assert empty["error"].to_pylist() == [None, "ValueError: input kind is null, and int32 holds no null"]


@pytest.mark.parametrize("value", [2, np.nan])
def test_a_truth_is_nothing_but_true_and_false(value: float) -> None:
    assert numbers_of("a", pa.array([True, False]), np.bool_).tolist() == [True, False]
    assert numbers_of("a", pa.array([1.0, 0.0]), np.bool_).tolist() == [True, False]
    with pytest.raises(ValueError, match="input a is n"):
        matrix(pa.record_batch({"a": pa.array([value])}), np.bool_)


def categories() -> tuple[pd.DataFrame, pd.Series]:
    """Return rows whose one feature is a category that looks like a number."""
    kind = np.random.default_rng(0).choice([100, 200, 300], 512)
    return pd.DataFrame({"kind": pd.Categorical(kind)}), pd.Series(kind == 200).astype(int)


def test_boosters_of_pandas_categories_are_refused_since_their_codes_are_not_recorded(tmp_path: Path) -> None:
    import lightgbm
    import xgboost

    rows, label = categories()
    lightgbm.train(
        {"objective": "binary", "verbose": -1, "num_threads": 1}, lightgbm.Dataset(rows, label), 5
    ).save_model(tmp_path / "m.txt")
    xgboost.XGBClassifier(n_estimators=5, enable_categorical=True, nthread=1).fit(rows, label).save_model(
        tmp_path / "m.ubj"
    )
    for uri in ("lightgbm:m.txt", "xgboost:m.ubj"):
        with pytest.raises(ModelNotLoaded, match="pandas calls categories"):
            scored(uri, tmp_path, pa.array([100, 200, 300]))


def test_a_booster_that_was_stopped_early_is_cut_where_its_estimator_stops(tmp_path: Path) -> None:
    import xgboost

    drawn = np.random.default_rng(1).normal(size=(512, 2))
    rows, label = pd.DataFrame({"kind": drawn[:, 0]}), (drawn.sum(axis=1) > 0).astype(int)
    model = xgboost.XGBClassifier(n_estimators=ROUNDS, early_stopping_rounds=3, nthread=1)
    model.fit(rows[:256], label[:256], eval_set=[(rows[256:], label[256:])], verbose=False)
    model.save_model(tmp_path / "whole.ubj")
    values = pa.array(rows["kind"])
    with pytest.raises(ModelNotLoaded, match=rf"with {model.best_iteration + 1} of \d+ rounds"):
        scored("xgboost:whole.ubj", tmp_path, values)
    model.get_booster()[: model.best_iteration + 1].save_model(tmp_path / "cut.ubj")
    found = scored("xgboost:cut.ubj", tmp_path, values)["score"].to_numpy()
    assert np.array_equal(found, model.predict_proba(rows)[:, 1].astype(np.float64))


def test_a_stored_model_that_was_altered_is_refused_until_the_same_is_registered_again(
    event_log: Log, tmp_path: Path
) -> None:
    def added() -> None:
        add_model(
            event_log, graph(tmp_path, "INT64"), name="m", version="1", inputs=("kind",), folder=tmp_path
        )

    added()
    (kept,) = (tmp_path / STORE).iterdir()
    kept.write_bytes(kept.read_bytes() + b"!")
    with pytest.raises(ModelChanged):
        registered(event_log, "m:1", tmp_path)
    added()
    assert registered(event_log, "m:1", tmp_path)[0].name == "m"
