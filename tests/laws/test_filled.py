"""Law: compiled and in Python, a document becomes the same decision, or is refused with the same words."""

import gc
import tracemalloc
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorders import hotpath
from recorders.doors.casts import Cell
from recorders.doors.mapping import Mapping
from recorders.doors.paths import ABSENT
from recorders.doors.translate import Translator
from recorders.errors import InvalidEvent

compiled = pytest.mark.skipif(not hotpath.COMPILED, reason=hotpath.which())

HEAD = """
source = "lines"
decision_point = "shop.fraud"
[feature_set]
name = "shop"
version = 1
fields = [
    { name = "a", type = "float64" }, { name = "b", type = "int64" }, { name = "c", type = "bool" },
    { name = "d", type = "string" }, { name = "e", type = "timestamp" },
    { name = "f", type = "list[float64]" },
]
[fields]
a = "input[0]"
b = { path = ["x.b", "input[1]"], value = 7 }
c = "x.c"
d = "x.d"
e = "x.e"
f = "input"
"""
USUAL = """
[decision]
decision_id = "x.id"
occurred_at = "x.at"
model = "x.model"
model_version = { value = "1" }
score = { path = ["x.score", "input[-1]"], value = 0.5 }
decision = "x.decision"
latency_us = "x.took"
"""
BARE = """
[decision]
decision_id = { path = "x.id", value = "all" }
occurred_at = "x.at"
model = { value = "m" }
model_version = "x.model"
"""
TRANSLATORS = [Translator(Mapping.from_toml(HEAD + decision)) for decision in (USUAL, BARE)]
INSTANTS = ["2026-05-04T09:15:27.481920113Z", "2026-05-04T09:15:27+02:00", "2026-05-04T09:15:27", "soon"]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.sampled_from(
        [*INSTANTS, "", "é", "x" * 300, "1.5", Cell("2"), Cell("é"), [], [1.0], {}, b"b", "\ud800"]
    ),
)
NAMES = ("id", "at", "model", "score", "decision", "took", "b", "c", "d", "e")
WHOLE = {"id": "i", "at": INSTANTS[0], "model": "m", "b": 2, "c": True, "d": "t", "e": INSTANTS[1]}
DOCUMENTS = st.builds(
    lambda changed, gone, given: {
        "x": {name: value for name, value in (WHOLE | changed).items() if name not in gone},
        "input": given,
    },
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3),
    st.sets(st.sampled_from(NAMES), max_size=2),
    st.lists(VALUES | st.floats(0, 1), max_size=4) | VALUES,
)


def told(decide: Callable[[], Any]) -> Any:
    """Return what comes of a document, as it can be compared."""
    try:
        return decide()
    except InvalidEvent as error:
        return error.reason, str(error)


def both(translator: Translator, document: Any, row: int = 0) -> Any:
    """Return what a document becomes; fail if the two ways differ."""
    found = told(lambda: translator.decision(document, row=row))
    with patch("recorders.hotpath.fill", None):
        assert told(lambda: translator.decision(document, row=row)) == found
    return found


def filled(translator: Translator, document: Any) -> Any:
    assert hotpath.fill is not None
    return hotpath.fill(translator._entries, translator._template, document, ABSENT)


@compiled
@settings(max_examples=500, deadline=None)
@given(st.sampled_from(TRANSLATORS), DOCUMENTS | VALUES, st.integers(0, 2))
def test_both_make_the_same_of_every_document(translator: Translator, document: Any, row: int) -> None:
    both(translator, document, row)


@compiled
def test_a_usual_document_is_not_declined_and_an_incomplete_one_is() -> None:
    document = {"x": WHOLE, "input": [0.25, 3]}
    for translator in TRANSLATORS:
        features, envelope = filled(translator, document)
        assert features == translator._features(document)
        assert list(features) == list("abcdef")
        assert envelope == translator._envelope_of(document)
        assert filled(translator, {"x": WHOLE | {"at": None}}) is None
        assert both(translator, {"x": WHOLE | {"at": None}})[0] == "incomplete"


@compiled
def test_nothing_is_left_behind() -> None:
    whole = {"x": WHOLE, "input": [0.25, 3]}
    documents = [
        whole,
        {"x": WHOLE | {"id": None}},
        {"x": WHOLE | {"at": "soon"}},
        {"x": WHOLE | {"c": 7}},
        7,
    ]
    tracemalloc.start()
    for times in (50, 1_000):
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(times):
            for document in documents:
                told(lambda document=document: TRANSLATORS[0].decision(document))  # type: ignore[misc]  # bound now
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 30_000, "one object kept by each call would be more"


@compiled
def test_a_cast_may_empty_the_document_that_it_is_in() -> None:
    document = {"a": [object()]}

    def cast(value: object) -> str:
        document.clear()
        gc.collect()
        return repr(type(value))

    pick = ((("a", 0),), ABSENT)
    assert hotpath.fill is not None
    entries = ((pick, "one", None, cast, False), (pick, "two", None, cast, False))
    assert hotpath.fill(entries, (), document, ABSENT) == ({"one": "<class 'object'>"}, ())


PICK = ((("a",),), ABSENT)


@compiled
@pytest.mark.parametrize(
    "entry",
    [
        (),
        [PICK, "a", float, float, False],
        (PICK, "a", float, float),
        ((), "a", float, float, False),
        (PICK, b"a", float, float, False),
        (PICK, "a", float, None, False),
        (PICK, "a", float, float, 0),
        (PICK, 1, float, float, False),
        (PICK, -1, float, float, False),
        (PICK, 2**70, float, float, False),
        (PICK, "a", None, lambda: 0, False),
    ],
)
def test_what_is_no_entry_is_refused(entry: Any) -> None:
    assert hotpath.fill is not None
    with pytest.raises((TypeError, IndexError)):
        hotpath.fill((entry,), (None,), {"a": 1.0}, ABSENT)
    with pytest.raises(TypeError):
        hotpath.fill((), [], {}, ABSENT)  # type: ignore[arg-type]  # that is what is tested
