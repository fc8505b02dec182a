"""Laws of scoring: the reader's cuts decide nothing, not even the last bit."""

import os
from itertools import pairwise

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import skops.io
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from replay.adapters import open_model
from replay.adapters.answers import Output
from replay.adapters.block_model import BlockModel
from replay.model import ModelInfo
from replay.score import BLOCK_ROWS, JOINED, blocks, score_blocks, score_joined

NAMES = [f"x{i}" for i in range(12)]
ROWS = 3 * BLOCK_ROWS + 17


@pytest.fixture(scope="module")
def decisions():
    rng = np.random.default_rng(3)
    columns = {f"f.{name}": rng.normal(size=ROWS) for name in NAMES}
    return pa.table(
        {
            "position": np.arange(1, ROWS + 1) * 3,  # outcomes lie between
            "decision_id": [f"d{i}" for i in range(ROWS)],
            **columns,
        }
    )


@pytest.fixture(scope="module", params=["logistic", "boosting"])
def model(request, tmp_path_factory):
    rng = np.random.default_rng(5)
    rows = pd.DataFrame(rng.normal(size=(600, len(NAMES))), columns=NAMES)
    label = (rows.x0 + rows.x1 * rows.x2 > 0).astype(int)
    estimator = (
        make_pipeline(StandardScaler(), LogisticRegression())
        if request.param == "logistic"
        else HistGradientBoostingClassifier(max_iter=10)
    )
    folder = tmp_path_factory.mktemp("models")
    skops.io.dump(estimator.fit(rows, label), folder / "model.skops")
    return open_model("sklearn:model.skops", folder=folder)


def cut(table, cuts):
    edges = [0, *sorted(c % (table.num_rows + 1) for c in cuts), table.num_rows]
    for start, stop in pairwise(edges):
        yield from table.slice(start, stop - start).combine_chunks().to_batches()


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(0, ROWS), max_size=6))
def test_scores_are_bit_equal_for_any_cut_of_the_same_rows(model, decisions, cuts):
    whole = pa.Table.from_batches(score_blocks(model, decisions.to_batches()))
    parts = pa.Table.from_batches(score_blocks(model, cut(decisions, cuts)))
    assert whole.equals(parts)
    assert whole["score"].null_count == 0
    assert whole["decision_position"].to_pylist() == decisions["position"].to_pylist()


@given(cuts=st.lists(st.integers(0, ROWS), max_size=8))
def test_blocks_are_fixed_by_ordinal(decisions, cuts):
    sizes = [b.num_rows for b in blocks(cut(decisions, cuts), ("decision_id",))]
    assert sizes == [BLOCK_ROWS] * 3 + [17]


def test_a_bad_row_leaves_its_neighbours_their_bits(model, decisions):
    whole = pa.Table.from_batches(score_blocks(model, decisions.to_batches()))
    column = decisions["f.x0"].to_numpy().copy()
    column[[5, BLOCK_ROWS - 1, ROWS - 1]] = np.nan
    altered = decisions.set_column(2, "f.x0", pa.array(column, mask=np.isnan(column)))
    found = pa.Table.from_batches(score_blocks(model, altered.to_batches()))
    kept = ~np.isnan(column)
    assert np.array_equal(found["score"].to_numpy()[kept], whole["score"].to_numpy()[kept])
    assert found["error"].drop_null().to_pylist() == ["missing input: x0"] * 3


class Types:
    """A model whose score tells the types in which it got its rows; its blocks may be joined."""

    def __init__(self, nulls):
        def call(block):
            told = sum(ord(letter) for kind in block.schema.types for letter in str(kind))
            return np.full(block.num_rows, float(told)), np.full(block.num_rows, None, dtype=object)

        info = ModelInfo("types", "1", "0" * 64, "py", "py:m:f", ("a", "b"))
        self._model = BlockModel(info, call, output=Output(), nulls=nulls)
        self.info = info
        self.score = self._model.score

    def score_joined(self, columns):
        self._model.joined.calls = 1  # no call that is asked block by block as well, which would tell
        return self._model.score_joined(columns)


A_KINDS = st.sampled_from([pa.float64(), pa.int64(), None])
B_KINDS = st.sampled_from([pa.string(), None])


def of_set(rows, first, kinds):
    """Return decisions of one feature set, which may lack a field or have another type for it."""
    ids = pa.array(np.arange(first, first + rows))
    plain = zip(("f.a", "f.b"), (ids, pa.repeat("x", rows)), kinds, strict=True)
    columns = {name: values.cast(kind) for name, values, kind in plain if kind is not None}
    return pa.record_batch({"position": ids, "decision_id": ids.cast(pa.string()), **columns})


@settings(max_examples=25, deadline=None)
@given(
    sets=st.lists(
        st.tuples(st.integers(1, JOINED * BLOCK_ROWS), st.tuples(A_KINDS, B_KINDS)), min_size=1, max_size=4
    ),
    nulls=st.sampled_from(["pass", "error", "value:-1"]),
)
def test_joined_blocks_have_the_types_that_each_has_alone(sets, nulls):
    batches, first = [], 1
    for rows, kinds in [*sets, (JOINED * BLOCK_ROWS, sets[-1][1])]:
        batches.append(of_set(rows, first, kinds))
        first += rows
    alone = pa.Table.from_batches(score_blocks(Types(nulls), batches))
    assert pa.Table.from_batches(score_joined(Types(nulls), batches)).equals(alone)
