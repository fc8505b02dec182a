"""Blocks that are asked at once have the scores, errors and calls of blocks that are asked in turn."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replay.adapters.answers import Output, read_answer
from replay.adapters.block_model import BlockModel
from replay.adapters.guard import CallFailed, guard
from replay.model import ModelInfo, Queues
from replay.model_errors import ModelUnavailable
from replay.score import BLOCK_ROWS, QUEUED, score_blocks

INFO = ModelInfo("m", "1", "0" * 64, "py", "py:m:f", ("x",))
KILLED = CallFailed("crash: SIGSEGV", killed=True)


def decisions(count, *, holes=(), bad=()):
    x = np.sin(np.arange(count))
    x[list(bad)] = 1e9
    column = pa.array(x, mask=np.isin(np.arange(count), list(holes)))
    ids = [f"d{n}" for n in range(count)]
    return pa.record_batch({"position": np.arange(count) + 1, "decision_id": ids, "f.x": column})


class Queueing:
    """A model that queues its blocks; a bad row raises, or ends all that was asked with it and after it."""

    def __init__(self, *, kills=False):
        self.info, self.calls, self.queued = INFO, Counter(), []
        self._kills = kills
        self._model = BlockModel(INFO, self._call, output=Output(threshold=0.5), nulls="error")

    def _call(self, block):
        x = block.column("x").to_numpy()
        self.calls[x.tobytes()] += 1
        if (x > 1e8).any():
            raise KILLED if self._kills else ValueError("much")
        return read_answer(x, Output(), block.num_rows)

    def _ask(self, blocks):
        self.queued.append(len(blocks))
        found = []
        for block in blocks:
            found.append(guard(self._call, block))
            if found[-1][1] is KILLED:
                break
        return found

    def score(self, columns):
        return self._model.score(columns)

    def score_each(self, blocks):
        return self._model.score_through(blocks, self._ask)


class Alone:
    """The same model, asked block by block."""

    def __init__(self, **how):
        self._of = Queueing(**how)
        self.info, self.calls, self.score = INFO, self._of.calls, self._of.score


COUNT = 6 * BLOCK_ROWS + 100
SOME = st.sets(st.integers(0, COUNT - 1), max_size=4)


@settings(max_examples=25, deadline=None)
@given(SOME, SOME, st.booleans())
def test_the_scores_and_the_calls_are_those_of_blocks_asked_in_turn(holes, bad, kills):
    rows = decisions(COUNT, holes=holes, bad=bad)
    alone, queueing = Alone(kills=kills), Queueing(kills=kills)
    assert isinstance(queueing, Queues)
    assert not isinstance(alone, Queues)
    expected = pa.Table.from_batches(score_blocks(alone, [rows]))
    assert pa.Table.from_batches(score_blocks(queueing, [rows])).equals(expected)
    assert queueing.calls == alone.calls, "a call that failed is not made again"


def test_only_whole_blocks_are_queued():
    model = Queueing()
    list(score_blocks(model, [decisions(COUNT, holes=[BLOCK_ROWS])]))
    assert model.queued == [QUEUED - 1, 2]  # the second block lacks an input, the seventh is short


def test_blocks_before_the_one_that_finds_nobody_are_scored():
    class Away(Queueing):
        def _ask(self, blocks):
            away = (None, CallFailed("unavailable: refused", whole=True))
            return [*super()._ask(blocks)[:2], away]

    model, found = Away(), []
    with pytest.raises(ModelUnavailable):
        found.extend(scores.num_rows for scores in score_blocks(model, [decisions(COUNT)]))
    # `extend` takes what came before the error.
    assert found == [BLOCK_ROWS, BLOCK_ROWS]
