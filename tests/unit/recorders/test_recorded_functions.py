"""The predict decorator and the recorded model: results stay as they are, rows become decisions."""

import asyncio
import copy
import pickle
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from recorders.fields import FeatureSet, Field
from recorders.integrations.model import RecordedModel
from recorders.integrations.predict import Call, recorded
from recorders.integrations.rows import SLICE_ROWS
from tests.support.recording import MemoryLink, StillRecorder, still

FEATURES = ("age", "amount")


class Bench:
    def __init__(self, feature_set: FeatureSet | None = None) -> None:
        self.link = MemoryLink()
        self.recorder: StillRecorder = still(self.link)
        if feature_set is not None:
            self.recorder = StillRecorder("p", feature_set, self.link, model="m", model_version="1")

    def rows(self) -> list[list[Any]]:
        """Return score, decision and the features of each row, with the fields that were missing."""
        self.recorder.carry_all()
        events = [
            msgspec.msgpack.decode(frame.payload) for frame in self.link.frames if frame.kind == "decision"
        ]
        return [[*row[5:7], *row[11:]] for rows in events for row in rows]


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize(
    ("result", "score", "decision"),
    [
        (0.5, 0.5, None),
        (1, 1.0, None),
        (np.float64(0.5), 0.5, None),
        ("block", None, "block"),
        ((0.5, "block"), 0.5, "block"),
        ({"score": 0.5, "decision": "block", "why": "new"}, 0.5, "block"),
    ],
)
def test_what_predict_returns_is_recorded(bench: Bench, result: Any, score: Any, decision: Any) -> None:
    @recorded(bench.recorder)
    def predict(order: dict[str, Any]) -> Any:
        """Its own words."""
        order["age"] = -1  # what was served is what counts
        return result

    assert predict({"age": 41, "amount": 2.5}) is result
    assert predict.__doc__ == "Its own words."
    assert predict(order={"age": 42, "amount": 2.5}) is result
    assert bench.rows() == [[score, decision, 41, 2.5, None], [score, decision, 42, 2.5, None]]


def test_an_async_predict_stays_async(bench: Bench) -> None:
    @recorded(bench.recorder, extract=lambda call: {"features": call.args[1], "score": call.result})
    async def predict(shop: str, order: dict[str, Any]) -> float:
        await asyncio.sleep(0)
        return 0.25

    assert asyncio.run(predict("NZ", {"age": 41, "amount": 2.5})) == 0.25
    assert bench.rows() == [[0.25, None, 41, 2.5, None]]


def test_a_predict_that_raises_decided_nothing(bench: Bench) -> None:
    @recorded(bench.recorder)
    def predict(order: dict[str, Any]) -> float:
        raise KeyError("its own")

    with pytest.raises(KeyError, match="its own"):
        predict({"age": 41, "amount": 2.5})
    assert bench.rows() == []
    assert bench.recorder.counters.rejected == {}


def test_a_broken_extractor_costs_the_event_alone(bench: Bench) -> None:
    def broken(call: Call) -> Any:
        raise RuntimeError

    @recorded(bench.recorder, extract=broken)
    def predict(order: Any) -> float:
        return 0.5

    @recorded(bench.recorder)
    def unnamed(order: Any) -> float:
        return 0.5

    assert predict({"age": 41}) == unnamed([41]) == unnamed(object()) == 0.5
    assert bench.recorder.counters.rejected == {"exception": 1, "type": 2}
    assert "extract=" in bench.recorder.samples["type"]


# Models.

FRAME = pd.DataFrame({"age": [20, 30, 40, 50] * 5, "amount": [1.0, 9.0, 2.0, 8.0] * 5, "other": 1.0})
LATE = (FRAME["amount"] > 5).to_numpy()
CLASSIFIER = make_pipeline(StandardScaler(), LogisticRegression()).fit(FRAME[list(FEATURES)], LATE)


def test_a_classifier_records_the_score_of_its_second_class_for_every_row(bench: Bench) -> None:
    model = RecordedModel(CLASSIFIER, bench.recorder, threshold=0.5, decisions=("late", "on_time"))
    given = FRAME[list(FEATURES)]
    answer = model.predict_proba(given)
    np.testing.assert_array_equal(answer, CLASSIFIER.predict_proba(given))
    expected = [
        [score, "late" if score >= 0.5 else "on_time", age, amount, None]
        for score, age, amount in zip(answer[:, 1].tolist(), FRAME["age"], FRAME["amount"], strict=True)
    ]
    assert bench.rows() == expected
    model.predict(given)  # the same request once more, by another method
    assert bench.recorder.counters.accepted == len(FRAME)


def test_it_is_the_model_in_all_else(bench: Bench) -> None:
    model = RecordedModel(CLASSIFIER, bench.recorder)
    check_is_fitted(model)
    assert model.classes_.tolist() == [False, True]
    assert model.get_params() == CLASSIFIER.get_params()
    with pytest.raises(AttributeError, match="nothing"):
        _ = model.nothing
    with pytest.raises(TypeError, match="recorded_model"):
        pickle.dumps(model)
    with pytest.raises(TypeError, match="recorded_model"):
        copy.copy(model)
    with pytest.raises(TypeError, match="no method 'decide'"):
        RecordedModel(CLASSIFIER, bench.recorder, method="decide")
    with pytest.raises(ValueError, match="feature names"):
        model.predict_proba(FRAME[["other"]])  # the model's own error
    assert bench.recorder.counters.rejected == {}


@pytest.mark.parametrize(
    "convert",
    [
        lambda frame: frame[["amount", "age", "other"]],
        lambda frame: frame[["age", "amount"]].to_numpy(),
        lambda frame: frame[["age", "amount"]].to_numpy().tolist(),
        lambda frame: sparse.csr_matrix(frame[["age", "amount"]].to_numpy()),
        lambda frame: frame.to_dict("records"),
        lambda frame: {name: frame[name].to_numpy() for name in frame},
    ],
    ids=["frame", "array", "lists", "sparse", "mappings", "columns"],
)
def test_every_kind_of_input_gives_the_same_snapshots(convert: Any) -> None:
    bench = Bench(FeatureSet("both", 1, (Field("age", "float64"), Field("amount", "float64"))))

    class Sum:
        def predict(self, data: Any) -> np.ndarray[Any, Any]:
            return np.arange(20)

    RecordedModel(Sum(), bench.recorder).predict(convert(FRAME))
    expected = [
        [float(i), None, *row, None] for i, row in enumerate(FRAME[["age", "amount"]].to_numpy().tolist())
    ]
    assert bench.rows() == expected


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (np.array(["yes", "no"]), [(None, "yes"), (None, "no")]),
        (pd.Series([1, 2]), [(1.0, None), (2.0, None)]),
        (pd.DataFrame({"score": [0.1, 0.2], "decision": ["a", "b"], "more": 1}), [(0.1, "a"), (0.2, "b")]),
        (pd.DataFrame({"anything": [0.1, 0.2]}), [(0.1, None), (0.2, None)]),
        ([True, False], [(1.0, None), (0.0, None)]),
        ([[0.1, 0.9], [0.2, 0.8]], [(0.9, None), (0.8, None)]),
    ],
    ids=["texts", "series", "frame", "one column", "bools", "pairs"],
)
def test_every_kind_of_answer_is_read_as_in_replay(
    bench: Bench, answer: Any, expected: list[tuple[float, str]]
) -> None:
    class Fixed:
        def predict(self, data: Any) -> Any:
            return answer

    assert RecordedModel(Fixed(), bench.recorder).predict(FRAME.head(2)) is answer
    assert [tuple(row[:2]) for row in bench.rows()] == expected


def test_what_is_no_value_in_a_frame_is_none_where_the_field_is_no_number() -> None:
    fields = (
        Field("x", "float64"),
        Field("kind", "category"),
        Field("seen", "timestamp"),
        Field("n", "int64"),
    )
    bench = Bench(FeatureSet("gaps", 1, fields))
    frame = pd.DataFrame(
        {
            "x": [1.0, np.nan],
            "kind": ["a", None],
            "seen": pd.to_datetime(["2026-01-01T00:00:00Z", None]),
            "n": pd.array([1, None], dtype="Int64"),
        }
    )

    class One:
        def predict(self, data: Any) -> list[float]:
            return [1.0, 1.0]

    RecordedModel(One(), bench.recorder).predict(frame)
    first, second = bench.rows()
    assert first[2:4] == [1.0, "a"]
    assert first[5] == 1
    assert np.isnan(second[2])
    assert second[3:6] == [None, None, None]


def test_a_row_that_cannot_be_recorded_costs_itself_alone(bench: Bench) -> None:
    frame = pd.DataFrame({"age": [1, "x", 3], "amount": 1.0}, dtype=object)

    class One:
        def predict(self, data: Any) -> list[float]:
            return [0.5] * 3

    seen: list[int] = []

    def known(row: int, features: Any) -> Any:
        seen.append(row)
        return {"decision_id": f"d{row}", "unit": str(features["age"])}

    RecordedModel(One(), bench.recorder, known=known).predict(frame)
    assert [row[2] for row in bench.rows()] == [1, 3]
    assert seen == [0, 1, 2]
    assert bench.recorder.counters.rejected == {"type": 1}


@pytest.mark.parametrize(
    ("data", "answer", "reason"),
    [
        ([[1, 2, 3]], [0.5], "type"),
        ([[1, 2.0]], [[0.1, 0.2, 0.7]], "type"),
        ([[1, 2.0]], None, "exception"),
        (object(), [0.5], "exception"),
    ],
)
def test_what_cannot_be_read_is_counted_and_the_answer_stands(
    bench: Bench, data: Any, answer: Any, reason: str
) -> None:
    class Fixed:
        def predict(self, data: Any) -> Any:
            return answer

    assert RecordedModel(Fixed(), bench.recorder).predict(data) is answer
    assert bench.recorder.counters.rejected == {reason: 1}
    assert bench.rows() == []


def test_a_large_batch_is_recorded_in_slices() -> None:
    bench = Bench(FeatureSet("both", 1, (Field("age", "float64"), Field("amount", "float64"))))
    rows = 2 * SLICE_ROWS + 3
    data = np.arange(2.0 * rows).reshape(rows, 2)
    model = RecordedModel(LinearRegression().fit(data[:9], data[:9, 0]), bench.recorder)
    model.predict(data)
    assert [row[2:4] for row in bench.rows()] == data.tolist()
