import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from recorders.columns import SCORE_SCHEMA
from replay.adapters.answers import Output, read_answer
from replay.adapters.block_model import BlockModel
from replay.adapters.forms import form_of
from replay.adapters.guard import guard, reason_of
from replay.adapters.recorded import RecordedModel
from replay.errors import ColumnsError
from replay.model import ModelInfo
from replay.model_errors import ModelInputsError
from replay.score import BLOCK_ROWS, columns_for, score_blocks
from replay.terminated import Terminated

INFO = ModelInfo("m", "1", "0" * 64, "py", "py:m:f", ("x",))


def rows(values, kind=None):
    n = len(values)
    return pa.record_batch(
        {
            "decision_position": pa.array(range(n), pa.int64()),
            "decision_id": [f"d{i}" for i in range(n)],
            "f.x": pa.array(values, kind or pa.float64()),
        }
    )


def model_of(call, output, nulls):
    form = form_of("frame", nulls=nulls)
    return BlockModel(
        INFO, lambda block: read_answer(call(form(block)), output, block.num_rows), output=output, nulls=nulls
    )


def scored(call, values, *, nulls="error", kind=None, **output):
    out = model_of(call, Output(**output), nulls).score(rows(values, kind))
    assert out.schema == SCORE_SCHEMA
    out.validate(full=True)
    return out.to_pydict()


def test_a_function_of_a_frame_scores_row_by_row():
    out = scored(lambda frame: frame.x * 2, [1.0, 2.0])
    assert out["score"] == [2.0, 4.0]
    assert out["decision_id"] == ["d0", "d1"]
    assert out["error"] == [None, None]


def test_only_the_rows_that_it_cannot_score_fail():
    def fussy(frame):
        if (frame.x == 3).any():
            raise ValueError(f"no threes {object()}")
        return frame.x

    out = scored(fussy, [float(i) for i in range(10)])
    assert out["error"] == [None] * 3 + ["ValueError: no threes <object object at 0x>"] + [None] * 6
    assert out["score"][3] is None
    assert out["score"][:3] == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (lambda f: f.x.where(f.x != 1, np.nan), "score is nan"),
        (lambda f: f.x.where(f.x != 1, np.inf), "score is inf"),
        (lambda f: f.x[f.x != 1], "ValueError: answer of shape (0,) for 1024 rows"),
        (lambda f: np.zeros((len(f), 3)), "ValueError: 3 columns of scores: choose one with ?class="),
        (lambda f: [{}] * len(f), "TypeError: float() argument"),
        (lambda _: None, "ValueError: answer of shape () for 1024 rows"),
    ],
)
def test_an_answer_that_is_no_score_is_an_error_of_its_row(answer, error):
    out = scored(answer, [0.0, 1.0, 2.0])
    assert out["error"][1].startswith(error)
    assert out["score"][1] is None


def test_a_missing_input_is_the_rows_error_unless_nulls_may_pass():
    out = scored(lambda f: f.x, [1.0, None])
    assert (out["score"], out["error"]) == ([1.0, None], [None, "missing input: x"])
    out = scored(lambda f: f.x.fillna(9.0), [1.0, None], nulls="pass")
    assert out["score"] == [1.0, 9.0]


@pytest.mark.parametrize(
    ("kind", "plain", "nulls"),
    [
        (pa.int64(), 7, "value:0.5"),
        (pa.int64(), 7, "value:nan"),
        (pa.timestamp("us", tz="UTC"), 7, "value:-1"),
        (pa.binary(), b"7", "value:-1"),
        (pa.list_(pa.float64()), [7.0], "value:-1"),
    ],
    ids=str,
)
def test_a_missing_input_whose_type_does_not_hold_the_value_is_the_rows_error(kind, plain, nulls):
    out = scored(lambda f: [1.0] * len(f), [plain, None], kind=kind, nulls=nulls)
    assert (out["score"], out["error"]) == ([1.0, None], [None, "missing input: x"])


def test_a_column_has_one_type_whether_or_not_its_block_has_nulls():
    kinds = set()

    def spy(frame):
        kinds.add(str(frame.x.dtype))
        return frame.x.fillna(0)

    scored(spy, [1, 2], nulls="pass", kind=pa.int64())
    scored(spy, [1, None], nulls="pass", kind=pa.int64())
    scored(spy, [True, None], nulls="pass", kind=pa.bool_())
    assert kinds == {"float64"}


def test_a_threshold_makes_decisions():
    out = scored(lambda f: f.x, [0.2, 0.5, np.nan], threshold=0.5, decisions=("late", "on_time"))
    assert out["decision"] == ["on_time", "late", None]


def test_a_model_may_answer_decisions_alone_or_both():
    assert scored(lambda f: np.where(f.x > 0, "yes", "no"), [1.0, -1.0])["decision"] == ["yes", "no"]
    both = scored(lambda f: pd.DataFrame({"score": f.x, "decision": ["hm"] * len(f)}), [1.0])
    assert (both["score"], both["decision"], both["error"]) == ([1.0], ["hm"], [None])


def test_of_two_columns_the_second_is_the_score():
    assert scored(lambda f: np.column_stack([1 - f.x, f.x]), [0.25])["score"] == [0.25]
    assert scored(lambda f: np.column_stack([1 - f.x, f.x]), [0.25], column=0)["score"] == [0.75]


def test_a_model_that_writes_into_its_frame_harms_nobody():
    def rude(frame):
        frame["x"] = 0.0
        if len(frame) > 1 and (frame.index == 0).all():
            raise ValueError
        return frame.x + 1

    out = scored(rude, [5.0, 6.0])
    assert out["score"] == [1.0, 1.0]


def test_every_call_sees_one_number_of_rows():
    sizes = set()

    def spy(frame):
        sizes.add(len(frame))
        if (frame.x == 7).any():
            raise ValueError
        return frame.x

    scored(spy, [float(i) for i in range(BLOCK_ROWS + 5)])
    assert sizes == {BLOCK_ROWS}


def test_a_range_without_the_input_is_named_before_anything_is_scored():
    batch = rows([1.0]).rename_columns(["decision_position", "decision_id", "f.y"])
    with pytest.raises(ModelInputsError, match=r"'x'.*Expected inputs out of: y"):
        model_of(lambda f: f.x, Output(), "error").score(batch)


def test_a_batch_of_an_older_feature_set_has_the_input_missing():
    old = pa.record_batch({"position": pa.array([1], pa.int64()), "decision_id": ["a"]})
    new = pa.record_batch({"position": pa.array([2], pa.int64()), "decision_id": ["b"], "f.x": [1.0]})
    model = model_of(lambda f: f.x, Output(), "error")
    out = pa.Table.from_batches(score_blocks(model, [old, new])).to_pydict()
    assert (out["score"], out["error"]) == ([None, 1.0], ["missing input: x", None])


def test_feature_sets_whose_types_do_not_meet_are_refused():
    old = pa.record_batch({"position": pa.array([1], pa.int64()), "decision_id": ["a"], "f.x": ["one"]})
    new = pa.record_batch({"position": pa.array([2], pa.int64()), "decision_id": ["b"], "f.x": [1.0]})
    model = model_of(lambda f: f.x, Output(), "error")
    with pytest.raises(ColumnsError, match="Feature sets of this range disagree"):
        list(score_blocks(model, [old, new]))


def test_the_recorded_champion_answers_what_was_decided():
    model = RecordedModel(ModelInfo("c", "1", "0" * 64, "recorded", "recorded:champion", ()))
    assert columns_for(model.info) == ("decision_id", "score", "decision")
    batch = pa.record_batch(
        {
            "position": pa.array([1, 2], pa.int64()),
            "decision_id": ["a", "b"],
            "score": pa.array([0.5, None], pa.float64()),
            "decision": pa.array(["yes", None], pa.string()),
        }
    )
    out = pa.Table.from_batches(score_blocks(model, [batch])).to_pydict()
    assert (out["score"], out["decision"]) == ([0.5, None], ["yes", None])
    assert out["error"] == [None, "no score"]


def test_a_challenger_never_sees_what_was_decided():
    assert columns_for(INFO) == ("decision_id", "f.x")


def test_reasons_are_short_and_on_one_line():
    reason = reason_of(ValueError("a\n b" + "x" * 500))
    assert len(reason) == 200
    assert "\n" not in reason


def test_a_model_that_exits_costs_its_rows_alone():
    result, failed = guard(sys.exit, 3)
    assert (result, failed.reason) == (None, "SystemExit: 3")


class Leave(SystemExit):
    pass


class Cancelled(BaseException):
    pass


@pytest.mark.parametrize(("raised", "told"), [(Leave(4), "Leave: 4"), (Cancelled("x"), "Cancelled: x")])
def test_what_a_library_ends_by_costs_rows_too_and_what_ends_the_command_passes(raised, told):
    def ends(_block):
        raise raised

    result, failed = guard(ends, None)
    assert (result, failed.reason) == (None, told)
    for own in (Terminated(143), KeyboardInterrupt()):
        raised = own
        with pytest.raises(type(own)):
            guard(ends, None)


class MuteError(Exception):
    def __str__(self):
        raise MuteError


def test_what_is_raised_without_words_or_with_half_a_character_is_a_reason():
    def torn(frame):
        raise ValueError("half \ud800 of it")

    def mute(frame):
        raise MuteError

    assert scored(torn, [1.0])["error"] == ["ValueError: half \\ud800 of it"]
    assert scored(mute, [1.0])["error"] == ["MuteError: "]


def test_a_decision_that_the_log_does_not_keep_costs_its_row():
    texts = ["yes", "y" * 257, "é" * 256, "\ud800"]
    out = scored(lambda frame: texts[: len(frame)] + ["no"] * (len(frame) - 4), [1.0, 2.0, 3.0, 4.0])
    assert out["decision"] == ["yes", None, "é" * 256, None]
    assert out["error"] == [
        None,
        "bad answer: a decision of 257 characters",
        None,
        "bad answer: a decision with half a surrogate pair",
    ]
