"""Law: the compiled search and the Python one find the same in every document, or it is declined."""

import gc
import tracemalloc
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorders import hotpath
from recorders.doors.casts import PLAIN, cast_for
from recorders.doors.mapping import Pick
from recorders.doors.paths import ABSENT
from recorders.doors.picks import Picks

compiled = pytest.mark.skipif(not hotpath.COMPILED, reason=hotpath.which())

NAMES = ("a", "b", "é", "a.b", "0")
STEPS = st.sampled_from(
    [*(f'."{name}"' for name in NAMES), "[0]", "[1]", "[-1]", "[-2]", "[-999999]", "[999999]"]
)
PATHS = st.lists(STEPS, min_size=1, max_size=4).map(lambda steps: "".join(steps).removeprefix("."))
FALLBACKS = st.sampled_from([None, "all", 1.5, True, False, ""])
PICKS = st.lists(st.builds(Pick, st.lists(PATHS, max_size=3).map(tuple), FALLBACKS), max_size=6)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(["a", "", "ab"])
)


class Odd(dict[str, Any]):
    """A dict that is none to either."""


class OddList(list[Any]):
    """A list that could answer otherwise than one."""

    def __getitem__(self, place: Any) -> Any:
        return "odd"


def nested(inside: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    tables = st.dictionaries(st.sampled_from(NAMES), inside, max_size=4)
    rows = st.lists(inside, max_size=3)
    return tables | rows | rows.map(tuple) | tables.map(Odd) | rows.map(OddList)


DOCUMENTS = st.recursive(LEAVES, nested, max_leaves=12)


def both(picks: Picks, document: Any) -> list[Any]:
    """Return what is found; fail if the two ways differ in a value, or give another object."""
    found = picks.find(document)
    with patch("recorders.hotpath.find_values", None):
        patiently = picks.find(document)
    assert len(found) == len(patiently)
    assert all(one is other or one == other == "odd" for one, other in zip(found, patiently, strict=True))
    return found


def at_once(picks: Picks, document: Any) -> list[Any] | None:
    assert hotpath.find_values is not None
    return hotpath.find_values(picks.plan, document, ABSENT)


@compiled
@settings(max_examples=400, deadline=None)
@given(PICKS, DOCUMENTS)
def test_both_find_the_same_in_every_document(drawn: list[Pick], document: Any) -> None:
    both(Picks(drawn), document)


@compiled
@settings(max_examples=50, deadline=None)
@given(
    st.lists(PATHS, max_size=4),
    st.recursive(LEAVES, lambda inside: st.lists(inside, max_size=3), max_leaves=9),
)
def test_what_json_holds_is_not_declined(paths: list[str], document: Any) -> None:
    assert at_once(Picks([Pick((path,)) for path in paths]), document) is not None


PICKED = Picks(
    [
        Pick(("event.id",)),
        Pick(("input[0]",)),
        Pick(("input[7]", "input[-1]")),
        Pick(("event.none", "event.not", "event.id"), "all"),
        Pick(("event.none", "event.not")),
        Pick(("event.not",), "all"),
        Pick(("event.not",)),
        Pick(),
        Pick((), "all"),
        Pick(("event.id.further",)),
    ]
)
DOCUMENT = {"event": {"id": "x", "none": None}, "input": [6.5, 2]}
FOUND = ["x", 6.5, 2, "x", None, "all", ABSENT, ABSENT, "all", ABSENT]


def test_each_kind_of_pick_finds_what_it_is_to_find() -> None:
    assert both(PICKED, DOCUMENT) == FOUND
    assert both(PICKED, []) == both(PICKED, None)


@compiled
@pytest.mark.parametrize("odd", [OddList([1]), {0: 1}], ids=["list", "dict"])
def test_what_could_answer_otherwise_is_declined(odd: Any) -> None:
    picks = Picks([Pick(("x[0]",)), Pick(("x.y[0]",))])
    assert at_once(picks, {"x": odd}) is None
    both(picks, {"x": odd})


@pytest.mark.parametrize("kind", PLAIN)
@given(value=LEAVES)
def test_a_cast_leaves_alone_what_is_of_the_type_of_its_kind(kind: str, value: Any) -> None:
    if type(value) is PLAIN[kind]:
        assert cast_for("x", kind)(value) is value or cast_for("x", kind)(value) == value
        assert type(cast_for("x", kind)(value)) is type(value)


@compiled
def test_nothing_is_left_behind() -> None:
    given_ = [DOCUMENT, {"event": {"id": "x"}, "input": OddList()}, {}, 7]
    tracemalloc.start()
    for times in (50, 2_000):
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(times):
            for document in given_:
                PICKED.find(document)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 30_000, "one list kept by each call would be more"


@compiled
@pytest.mark.parametrize(
    "plan", [[], (1,), ((),), (((), None, None),), (([], None),), ((((),), None),), ((((1.0,),), None),)]
)
def test_what_is_no_plan_is_refused(plan: Any) -> None:
    assert hotpath.find_values is not None
    with pytest.raises(TypeError):
        hotpath.find_values(plan, {}, ABSENT)
