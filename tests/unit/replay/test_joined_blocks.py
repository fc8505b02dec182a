"""Several blocks in one call have the bits of each alone, or they are asked alone."""

import numpy as np
import pyarrow as pa
import pytest

from replay.adapters.answers import Output, read_answer
from replay.adapters.block_model import BlockModel
from replay.model import Joins, ModelInfo
from replay.score import BLOCK_ROWS, JOINED, score_blocks, score_joined

INFO = ModelInfo("m", "1", "0" * 64, "py", "py:m:f", ("x",))
CALL = JOINED * BLOCK_ROWS


def decisions(count, *, holes=()):
    numbers = np.arange(count)
    x = pa.array(np.sin(numbers), mask=np.isin(numbers, holes))
    return pa.record_batch({"position": numbers + 1, "decision_id": [f"d{n}" for n in numbers], "f.x": x})


class Watched:
    """A model of its own sizes: it notes how many rows each call had."""

    def __init__(self, answer, **output):
        self.sizes = []
        self._answer = answer

        def call(block):
            self.sizes.append(block.num_rows)
            return read_answer(self._answer(block.column("x").to_numpy()), Output(), block.num_rows)

        self.model = BlockModel(INFO, call, output=Output(**output), nulls="error")


def both(answer, rows, **output):
    alone = Watched(answer, **output)
    expected = pa.Table.from_batches(score_blocks(alone.model, [rows]))
    joined = Watched(answer, **output)
    found = pa.Table.from_batches(score_joined(joined.model, [rows.slice(0, 700), rows.slice(700)]))
    assert found.equals(expected)
    assert set(alone.sizes) == {BLOCK_ROWS}
    return joined


def test_a_call_has_the_rows_of_all_its_blocks_and_the_first_is_verified_whole():
    seen = both(lambda x: x * 2, decisions(10 * CALL + 1_500), threshold=0.5)
    assert isinstance(seen.model, Joins)
    assert seen.sizes.count(CALL) == 10
    # All of the first call, one block of the ninth, and what is left at the end.
    assert seen.sizes.count(BLOCK_ROWS) == JOINED + 1 + 2
    assert seen.model.joined.counts == {"calls": 10, "verified": JOINED + 1, "mismatched": 0, "failed": 0}


def test_other_bits_in_company_are_seen_before_any_score_is_given_out():
    seen = both(lambda x: x + (x.size > BLOCK_ROWS) * 1e-16 * (x > 0.9) + x * 0, decisions(3 * CALL))
    assert seen.model.joined.ended
    assert seen.model.joined.mismatched == 1
    assert seen.sizes.count(CALL) == 1


def test_bits_that_change_later_are_counted_and_end_it():
    calls = 0

    def turns(x):
        nonlocal calls
        calls += x.size == CALL
        return x + (calls > 8) * (x.size == CALL)

    model = Watched(turns).model
    rows = pa.Table.from_batches(score_joined(model, [decisions(12 * CALL)]))
    assert model.joined.mismatched == 1
    assert (
        rows.column("score").to_numpy()[8 * CALL :].tolist()
        == np.sin(np.arange(8 * CALL, 12 * CALL)).tolist()
    )


def test_what_fails_in_company_is_asked_alone_and_two_failures_end_it():
    def fussy(x):
        if x.size > BLOCK_ROWS:
            raise MemoryError("too many")
        return x

    seen = both(fussy, decisions(4 * CALL))
    assert seen.model.joined.failed == 2
    assert seen.sizes.count(CALL) == 2


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_bad_scores_fail_their_rows_as_they_do_alone(bad):
    seen = both(lambda x: np.where(x > 0.999, bad, x), decisions(2 * CALL), threshold=0.5)
    assert seen.sizes.count(CALL) == 2


def test_a_call_with_a_row_that_lacks_an_input_is_not_joined():
    seen = both(lambda x: x, decisions(2 * CALL, holes=[CALL + 5]))
    assert seen.sizes.count(CALL) == 1
