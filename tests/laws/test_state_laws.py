"""Laws of models that remember: a row sees all rows of its key before it, however the rows are cut."""

import math
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.adapters import open_model
from replay.adapters.in_order import waves
from replay.loading_errors import KeyNotAnInput
from replay.model_errors import RemembersNothing, StateLost
from replay.score import score_blocks

SOURCE = """
import json

class Since:
    inputs = ("who", "amount")

    def __init__(self):
        self.seen = {}

    def predict(self, frame):
        means = [self.seen.get(who, (0, 0.0)) for who in frame["who"]]
        before = [total / count if count else 0.0 for count, total in means]
        return frame["amount"] * 0.1 + before

    def observe(self, frame):
        for who, amount in zip(frame["who"], frame["amount"]):
            count, total = self.seen.get(who, (0, 0.0))
            self.seen[who] = (count + 1, total + amount)

    def snapshot(self):
        return json.dumps(sorted(self.seen.items())).encode()

    def restore(self, state):
        self.seen = {who: tuple(known) for who, known in json.loads(state)}

class Chokes(Since):
    def observe(self, frame):
        if (frame["amount"] > 1e6).any():
            raise RuntimeError("too much")
        super().observe(frame)

class NoBytes(Since):
    def snapshot(self):
        return "text"

def forgetful(frame):
    return frame["amount"]
forgetful.inputs = ("who", "amount")
"""
EDGES = st.sampled_from([0.0, -0.0, 1e-9, 1e5])
ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.sampled_from("abcd")),
        st.one_of(st.none(), EDGES, st.floats(-100, 100)),
    ),
    min_size=1,
    max_size=60,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("remembering")
    (place / "memory.py").write_text(SOURCE)
    return place


def table(rows):
    return pa.table(
        {
            "position": pa.array(range(3, 3 + 2 * len(rows), 2), pa.int64()),
            "decision_id": [f"d{at}" for at in range(len(rows))],
            "f.who": pa.array([who for who, _ in rows], pa.string()),
            "f.amount": pa.array([amount for _, amount in rows], pa.float64()),
        }
    )


def one_by_one(rows):
    """Return the scores by the definition, None for a row that lacks an input."""
    seen, scores = {}, []
    for who, amount in rows:
        if who is None or amount is None:
            scores.append(None)
            continue
        count, total = seen.get(who, (0, 0.0))
        scores.append(amount * 0.1 + (total / count if count else 0.0))
        seen[who] = (count + 1, total + amount)
    return scores


@settings(deadline=None, max_examples=40)
@given(rows=ROWS, cuts=st.lists(st.integers(0, 60), max_size=4))
def test_scores_are_those_of_one_row_after_another_for_any_cut(folder, rows, cuts):
    model = open_model("py:memory:Since?key=who", folder=folder)
    whole = table(rows)
    edges = [0, *sorted(cut % (len(rows) + 1) for cut in cuts), len(rows)]
    parts = []
    for first, stop in pairwise(edges):  # each part by itself, as a tail scores what has come
        parts += score_blocks(model, whole.slice(first, stop - first).combine_chunks().to_batches())
    found = pa.Table.from_batches(parts)
    assert found["score"].to_pylist() == one_by_one(rows)
    assert found["decision_position"].to_pylist() == whole["position"].to_pylist()
    lacking = [who is None or amount is None for who, amount in rows]
    assert [error is not None for error in found["error"].to_pylist()] == lacking


@settings(deadline=None, max_examples=40)
@given(rows=ROWS, at=st.integers(0, 60))
def test_a_snapshot_is_all_that_a_model_knows(folder, rows, at):
    whole, at = table(rows), at % (len(rows) + 1)
    first = open_model("py:memory:Since?key=who", folder=folder)
    for block in whole.slice(0, at).combine_chunks().to_batches():
        first.observe(block)
    other = open_model("py:memory:Since?key=who", folder=folder)
    other.restore(first.snapshot())
    rest = whole.slice(at).combine_chunks().to_batches()
    found = [score for block in score_blocks(other, rest) for score in block.column("score").to_pylist()]
    assert found == one_by_one(rows)[at:]
    other.reset()
    assert other.snapshot() == b"[]"


@given(keys=st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=40))
def test_waves_hold_each_key_once_and_all_rows_in_the_order_of_their_key(keys):
    met = [wave.tolist() for wave in waves(pa.array(keys, pa.int64()))]
    for wave in met:
        assert len({keys[at] for at in wave}) == len(wave)
        assert wave == sorted(wave)
    flat = [at for wave in met for at in wave]
    for key in {key for key in keys if key is not None}:
        own = [at for at in flat if keys[at] == key]
        assert own == [at for at, other in enumerate(keys) if other == key]
    assert sorted(flat) == [at for at, key in enumerate(keys) if key is not None]
    counts = [keys.count(key) for key in set(keys) - {None}]
    assert len(met) == max(counts, default=0)


def test_keys_may_be_dictionaries_numbers_or_lacking():
    coded = pa.array(["a", None, "a"]).dictionary_encode()
    assert [wave.tolist() for wave in waves(coded)] == [[0], [2]]
    floats = pa.array([math.nan, 1.0, math.nan])
    assert [wave.tolist() for wave in waves(floats)] == [[0, 1], [2]]
    assert list(waves(pa.nulls(3))) == []
    assert list(waves(pa.array([], pa.string()))) == []


def test_what_fails_to_remember_says_so_and_is_no_row_error(folder):
    model = open_model("py:memory:Chokes?key=who", folder=folder)
    (batch,) = table([("a", 1.0), ("b", 2e6)]).combine_chunks().to_batches()
    with pytest.raises(StateLost, match=r"failed in observe\(\): RuntimeError: too much"):
        list(score_blocks(model, [batch]))
    with pytest.raises(StateLost, match=r"snapshot\(\) returned str, expected bytes"):
        open_model("py:memory:NoBytes?key=who", folder=folder)
    with pytest.raises(StateLost, match=r"failed in restore\(\)"):
        model.restore(b"{")
    with pytest.raises(RemembersNothing, match="its function lacks observe, snapshot, restore"):
        open_model("py:memory:forgetful?key=who", folder=folder)
    with pytest.raises(KeyNotAnInput, match="'whom'"):
        open_model("py:memory:Since?key=whom", folder=folder)


def test_a_row_whose_score_fails_is_observed_all_the_same(folder):
    (folder / "refuses.py").write_text(
        SOURCE + "class Refuses(Since):\n    def predict(self, frame):\n"
        "        if (frame['amount'] == 7).any():\n            raise ValueError('seven')\n"
        "        return super().predict(frame)\n"
    )
    model = open_model("py:refuses:Refuses?key=who", folder=folder)
    (batch,) = table([("a", 7.0), ("b", 1.0), ("a", 1.0)]).combine_chunks().to_batches()
    (scores,) = score_blocks(model, [batch])
    assert np.array(scores["score"].to_pylist(), dtype=float)[1:].tolist() == [0.1, 7.1]
    assert scores["error"].to_pylist() == ["ValueError: seven", None, None]
