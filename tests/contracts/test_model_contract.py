"""What every adapter promises, shown on one small model of each kind, in a process of its own."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from replay.adapters.uri import OPTIONS
from replay.isolation import Limits, open_isolated
from replay.score import BLOCK_ROWS, score_blocks
from tests.support import model_zoo

ROWS = BLOCK_ROWS + 37
LIMITS = Limits(timeout_s=60.0)


@pytest.fixture(scope="module")
def decisions():
    rng = np.random.default_rng(11)
    x, y = rng.normal(size=ROWS), rng.normal(size=ROWS)
    return pa.table(
        {
            "position": np.arange(1, ROWS + 1) * 2,
            "decision_id": [f"d{i}" for i in range(ROWS)],
            "f.x": x,
            "f.y": y,
        }
    )


class Case:
    def __init__(self, uri, scorer, folder):
        self.uri, self.scorer, self.folder = uri, scorer, folder

    def opened(self, **more):
        mark = "&" if "?" in self.uri else "?"
        options = "&".join(f"{key}={value}" for key, value in more.items())
        uri = f"{self.uri}{mark}{options}" if options else self.uri
        return open_isolated(uri, inputs=model_zoo.NAMES, folder=self.folder, limits=LIMITS)


@pytest.fixture(
    scope="module", params=[*model_zoo.LOCAL, *model_zoo.REMOTE], ids=lambda p: getattr(p, "__name__", p)
)
def case(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    if isinstance(request.param, str):
        with model_zoo.served() as place:
            yield Case(model_zoo.REMOTE[request.param].format(place), model_zoo.expected, folder)
        return
    uri, scorer = request.param(folder)
    yield Case(uri, scorer, folder)


@pytest.fixture(scope="module")
def model(case):
    with case.opened() as model:
        yield model


def scores_of(model, table):
    return pa.Table.from_batches(score_blocks(model, table.to_batches()))


def test_it_scores_row_by_row_and_echoes_the_ids(case, model, decisions):
    out = scores_of(model, decisions)
    assert out["decision_id"].equals(decisions["decision_id"])
    assert out["decision_position"].to_pylist() == decisions["position"].to_pylist()
    assert out["error"].null_count == ROWS
    wanted = case.scorer(decisions["f.x"].to_numpy(), decisions["f.y"].to_numpy())
    np.testing.assert_allclose(out["score"].to_numpy(), wanted, rtol=2e-6)


def test_its_scores_are_the_same_bits_for_any_cut_and_each_time(model, decisions):
    whole = scores_of(model, decisions)
    edges = [0, 1, 8, 64, 1000, ROWS]
    parts = [batch for a, b in pairwise(edges) for batch in decisions.slice(a, b - a).to_batches()]
    assert pa.Table.from_batches(score_blocks(model, parts)).equals(whole)


def test_a_row_that_lacks_an_input_is_an_error_and_its_neighbours_keep_their_bits(model, decisions):
    whole = scores_of(model, decisions)["score"].to_numpy()
    x = decisions["f.x"].to_numpy().copy()
    holes = pa.array(x, mask=np.isin(np.arange(ROWS), [3, ROWS - 1]))
    out = scores_of(model, decisions.set_column(2, "f.x", holes))
    assert [at for at, error in enumerate(out["error"].to_pylist()) if error] == [3, ROWS - 1]
    assert set(out["error"].drop_null().to_pylist()) == {"missing input: x"}
    kept = np.delete(np.arange(ROWS), [3, ROWS - 1])
    np.testing.assert_array_equal(out["score"].to_numpy()[kept], whole[kept])


def test_options_decide_scores_and_digest(case, model, decisions):
    table = decisions.slice(0, 3).set_column(2, "f.x", pa.array([None, 2.0, -2.0], pa.float64()))
    with case.opened(nulls="value:0", threshold=0.5, decisions="yes,no") as other:
        out = scores_of(other, table)
        assert other.info.digest != model.info.digest
    wanted = case.scorer([0.0, 2.0, -2.0], table["f.y"].to_numpy())
    np.testing.assert_allclose(out["score"].to_numpy(), wanted, rtol=2e-6)
    assert out["decision"].to_pylist() == ["yes" if p >= 0.5 else "no" for p in out["score"].to_pylist()]


def test_text_where_it_takes_numbers_costs_rows_and_not_the_run(model, decisions):
    table = decisions.slice(0, 4).set_column(2, "f.x", pa.array(["a", "b", "c", "d"]))
    out = scores_of(model, table)
    assert out["score"].null_count == 4
    assert out["error"].null_count == 0


def test_every_adapter_is_in_this_suite():
    schemes = {scheme.replace("https", "http") for scheme in OPTIONS} - {"recorded", "torch", "mlflow"}
    assert schemes == {
        "py",
        "sklearn",
        "onnx",
        "lightgbm",
        "xgboost",
        "pickle",
        "exec",
        "oip+http",
        "http+json",
    }
