"""Law: the compiled hot path and the Python path give the same bytes, or the same refusal, for any input.

`python tests/laws/test_hot_path.py SECONDS` searches longer than the suite does, with any supported Python
that has msgspec, hypothesis and the compiled extension.
"""

import copy
import signal
import sys
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace
from typing import Any, NoReturn
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorders import hotpath
from recorders.counters import Counters
from recorders.events import ENVELOPE, DecisionEncoder
from recorders.fields import FIELD_TYPES, FeatureSet, Field
from recorders.limits import Limits
from recorders.recorder import Recorder
from recorders.sampling import Sampling
from tests.support.recording import MemoryLink, StillRecorder
from tests.support.snapshots import VALUES, ZONES, feature_sets

pytestmark = pytest.mark.skipif(not hotpath.COMPILED, reason=hotpath.which())
SMALL = Limits(text_length=40, list_length=9, event_bytes=900)
NAMES = tuple(name for name, _, _ in ENVELOPE)


class Text(str):
    __slots__ = ()


class Whole(int):
    pass


class Share(float):
    pass


class Snapshot(dict[str, object]):
    pass


class Liar:
    """Raises whatever is asked of it."""

    def _no(self, *_: object) -> NoReturn:
        raise ZeroDivisionError("hostile")

    __repr__ = __str__ = __eq__ = __len__ = __iter__ = __bool__ = __float__ = __index__ = _no  # type: ignore[assignment]
    __hash__ = object.__hash__


class Changing(str):
    """A key that empties its snapshot when it is compared."""

    __slots__ = ("snapshot",)
    snapshot: dict[object, object]

    def __eq__(self, other: object) -> bool:
        self.snapshot.clear()
        return False

    def __hash__(self) -> int:
        return str.__hash__(self)


def recursive() -> list[object]:
    made: list[object] = []
    made.append(made)
    return made


class Numpy(float):
    __module__ = "numpy"

    def tolist(self) -> float:
        return float(self) + 1


EDGES = [2**n + d for n in (5, 7, 8, 15, 16, 31, 32, 53, 63, 64) for d in (-1, 0, 1)]
ODD: list[object] = [
    *EDGES,
    *[-n for n in EDGES],
    float(2**63), 1e308, -0.0, float("nan"), float("inf"), float("-inf"), 7.0, True,
    "", "x" * 31, "x" * 32, "x" * 40, "x" * 41, "é" * 40, "\ud800", "\0", "2026-01-01T00:00:00Z",
    b"", b"x" * 40, b"x" * 41, bytearray(b"ab"), memoryview(b"ab"), 1j, 10**400,
    Text("sub"), Whole(7), Share(0.5), Numpy(2.0), Decimal("1.5"), Decimal("NaN"), Fraction(1, 2), range(3),
    [], [1, 2.5], [2**53 + 1], [1.0] * 9, [1.0] * 10, [None], [True], ["1"], (1.0,), {1.0}, recursive(),
    datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2026, 2, 28), datetime(1970, 1, 1, tzinfo=UTC),  # noqa: DTZ001
    datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
    datetime(2106, 2, 7, 6, 28, 15, tzinfo=UTC), datetime(2106, 2, 7, 6, 28, 16, tzinfo=UTC),
    datetime(2514, 5, 30, 1, 53, 3, 999999, tzinfo=UTC), datetime(2514, 5, 30, 1, 53, 4, tzinfo=UTC),
    timedelta(1), SimpleNamespace(), Liar(), Liar, {}, {"age": 1},
]  # fmt: skip
INSTANTS = st.datetimes(timezones=st.just(UTC) | ZONES)
VALUE = st.sampled_from(ODD) | st.one_of(*VALUES.values()) | INSTANTS | st.none()
KEYS = st.sampled_from(["x.0", "x.1", "age", Text("x.0"), 7, None, "\ud800", "é"])
# Mostly what is plain, for what is not ends the comparison of all the rest.
PLAIN_ENVELOPE: dict[str, st.SearchStrategy[Any]] = {
    "decision_id": st.just("d-1") | st.text(min_size=1, max_size=300),
    "unit": st.none() | st.text(max_size=300),
    "model": st.none() | st.just("other"),
    "model_version": st.none() | st.just("8"),
    "score": st.none() | st.floats() | st.integers(),
    "decision": st.none() | st.text(max_size=5),
    "propensity": st.none() | st.floats(0, 1) | st.sampled_from([0, 1, 2, 5e-324]),
    "inclusion": st.sampled_from([1.0, 1, 0.25]),
    "latency_us": st.none() | st.integers(-1, 2**64),
    "trace_id": st.none() | st.just("t"),
}


@st.composite
def given_features(draw: st.DrawFn, feature_set: FeatureSet) -> object:
    """Draw what a service might pass: mostly a snapshot, in any order, with odd values and keys."""
    fields = list(feature_set.fields)
    if draw(st.booleans()):
        fields = draw(st.permutations(fields))
    plain = draw(st.sampled_from([True, True, False]))
    made: dict[Any, object] = {
        field.name: draw(VALUES[field.type] | st.none() if plain else VALUE) for field in fields
    }
    fate = draw(st.sampled_from(["whole"] * 6 + ["less", "more", "mapping"]))
    if fate == "less":
        made.popitem()
    elif fate == "more":
        made[draw(KEYS)] = draw(VALUE)
    elif fate == "mapping":
        return draw(st.sampled_from([Snapshot, OrderedDict, lambda it: defaultdict(float, it), list, tuple]))(
            made
        )  # type: ignore[no-any-return]
    return made


@st.composite
def keywords(draw: st.DrawFn) -> dict[str, object]:
    """Draw keywords of `record`: mostly plain ones."""
    names = draw(st.lists(st.sampled_from(sorted(PLAIN_ENVELOPE)), unique=True))
    odd = draw(st.sampled_from([0, 0, 0, 1]))
    return {name: draw(VALUE if place < odd else PLAIN_ENVELOPE[name]) for place, name in enumerate(names)}


def python_encoder(feature_set: FeatureSet, limits: Limits) -> DecisionEncoder:
    with patch("recorders.events.hot_path", return_value=None):
        return DecisionEncoder(feature_set, limits)


def answer(call: Callable[[], object]) -> object:
    """Return what a call gives, or what it raises, as something to compare."""
    try:
        return call()
    except Exception as error:  # noqa: BLE001  # whatever it is, both must raise it
        return type(error), getattr(error, "reason", ""), str(error)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), feature_set=feature_sets(), limits=st.sampled_from([SMALL, Limits()]))
def test_both_encode_to_the_same_bytes_or_refuse_alike(
    data: st.DataObject, feature_set: FeatureSet, limits: Limits
) -> None:
    features, known = data.draw(given_features(feature_set)), data.draw(keywords())
    usual = {
        "decision_id": "d-1",
        "occurred_at": data.draw(VALUES["int64"]),
        "model": "m",
        "model_version": "7",
    }
    filled = {"inclusion": 1.0, **usual, **known}
    envelope = tuple(filled.get(name) for name in NAMES)
    statuses = data.draw(st.sampled_from([None] * 5 + [{}, {"x.0": "stale"}, {"x.0": "odd"}, "odd"]))
    fast, slow = DecisionEncoder(feature_set, limits), python_encoder(feature_set, limits)
    assert answer(lambda: fast.encode(features, envelope, statuses)) == answer(  # type: ignore[arg-type]
        lambda: slow.encode(features, envelope, statuses)  # type: ignore[arg-type]
    )


@settings(max_examples=100, deadline=None)
@given(data=st.data(), feature_set=feature_sets())
def test_whatever_is_plain_is_encoded_compiled(data: st.DataObject, feature_set: FeatureSet) -> None:
    """Without this the law above would hold of a path that declines everything."""
    plain = {**VALUES, "timestamp": st.datetimes(timezones=st.just(UTC))}
    features = {field.name: data.draw(plain[field.type] | st.none()) for field in feature_set.fields}
    fast = DecisionEncoder(feature_set, Limits())
    assert fast.hot is not None
    envelope = ("d", 1, "u", "m", "7", 0.5, "block", 1.0, 1.0, 12, "t")
    data_ = fast.hot.encode(features, envelope)
    assert data_ == python_encoder(feature_set, Limits()).encode(features, envelope, None)


def pair(feature_set: FeatureSet, **more: Any) -> tuple[StillRecorder, StillRecorder]:
    """Return a compiled recorder and a Python one that are alike, ids included."""
    point, link = "fraud.checkout", MemoryLink
    fast = StillRecorder(point, feature_set, link(), model="m", model_version="7", **more)
    with patch("recorders.events.hot_path", return_value=None):
        slow = StillRecorder(point, feature_set, link(), model="m", model_version="7", **more)
    return fast, slow


def queued(recorder: StillRecorder) -> list[list[object]]:
    """Return what is queued, slots included, without the time it was recorded at."""
    events = [msgspec.msgpack.decode(data) if data else [] for data in recorder.outbox.decisions]
    return [event[:1] + event[2:] for event in events]


def state(recorder: StillRecorder) -> tuple[list[bytes], Counters, dict[str, str]]:
    encoded = [msgspec.msgpack.encode(event) for event in queued(recorder)]  # bytes: NaN equals NaN there
    return encoded, recorder.counters, dict(recorder.samples)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    data=st.data(),
    feature_set=feature_sets(),
    more=st.sampled_from(
        [
            {},
            {},
            {"limits": SMALL},
            {"limits": Limits(queue_slots=2)},
            {"limits": Limits(event_bytes=2**63)},
            {"sampling": Sampling(rate=0.5)},
        ]
    ),
)
def test_both_record_the_same_events_counts_and_refusals(
    data: st.DataObject, feature_set: FeatureSet, more: dict[str, Any]
) -> None:
    fast, slow = pair(feature_set, **more)
    before_us = time.time_ns() // 1000
    for call in range(data.draw(st.integers(1, 4))):
        features, known = data.draw(given_features(feature_set)), data.draw(keywords())
        if data.draw(st.sampled_from([False] * 5 + [True])):
            for each in (fast, slow):
                each.outbox.switch(off=call % 2 == 0)
                each.promote("another", str(call))
        told = answer(lambda: fast.record(features, **known))  # type: ignore[arg-type]  # noqa: B023  # called at once
        assert told == answer(lambda: slow.record(features, **known))  # type: ignore[arg-type]  # noqa: B023
    assert state(fast) == state(slow)
    for data_ in fast.outbox.decisions:
        assert not data_ or before_us <= msgspec.msgpack.decode(data_)[1] <= time.time_ns() // 1000


WIDE = FeatureSet("wide", 1, tuple(Field(f"f_{n}", FIELD_TYPES[n % 8]) for n in range(256)))


@pytest.mark.parametrize("letters", [0, 1, 200, 700, 1500, 4000, 7000, 8100, 8192, 70_000])
def test_events_of_every_size_take_the_same_slots(letters: int) -> None:
    one = FeatureSet("one", 1, (Field("text", "string"), Field("raw", "bytes")))
    fast, slow = pair(one)
    for recorder in (fast, slow):
        for _ in range(3):
            recorder.record({"text": "x" * letters, "raw": None})
            recorder.record({"text": "é", "raw": b"x" * letters})
    assert state(fast) == state(slow)


def test_the_widest_snapshot_in_any_order() -> None:
    kinds = dict(zip(FIELD_TYPES, [0.5, 7, True, "s", "c", datetime.now(UTC), b"b", [1.0]], strict=True))
    features: dict[str, object] = {field.name: kinds[field.type] for field in WIDE.fields}
    turned = dict(reversed(features.items()))
    fast, slow = pair(WIDE)
    for recorder in (fast, slow):
        assert recorder.record(features)
        assert recorder.record(turned)
    assert state(fast) == state(slow)
    whole, other = (event for event in queued(fast) if event)
    assert whole[1:] == other[1:]


@pytest.mark.parametrize("features", [{Changing("x.1"): 1, "x.0": 1}, {"x.0": 1, Changing("x.1"): 1}])
def test_a_snapshot_that_changes_while_it_is_read(features: dict[Any, object]) -> None:
    ours = FeatureSet("two", 1, (Field("x.0", "int64"), Field("x.1", "int64")))
    fast, slow = pair(ours)
    for recorder in (fast, slow):
        given_ = copy.copy(features)
        for key in given_:
            if isinstance(key, Changing):
                key.snapshot = given_
        recorder.record(given_)
        assert given_ == {}, "it was compared"
    assert state(fast) == state(slow)


def test_a_text_of_50_megabytes() -> None:
    fast, slow = pair(FeatureSet("one", 1, (Field("text", "string"),)))
    for recorder in (fast, slow):
        assert recorder.record({"text": "é" * 25_000_000}) is None
    assert state(fast) == state(slow)


def test_fields_that_are_hidden_never_meet_the_compiled_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_PSEUDONYM_KEY", "0123456789abcdef")
    hidden = FeatureSet("hidden", 1, (Field("email", "string", pseudonym=True),))
    fast, slow = pair(hidden)
    for recorder in (fast, slow):
        assert recorder.record({"email": "ada"})
    assert state(fast) == state(slow)
    assert b"ada" not in fast.outbox.decisions[0]
    sealed = FeatureSet("s", 1, (Field("name", "string", subject=True), Field("ill", "bool", sensitive=True)))
    fast, slow = pair(sealed)  # encrypted from the sidecar on: on the way there it is as any other
    for recorder in (fast, slow):
        assert recorder.record({"name": "ada", "ill": True})
    assert state(fast) == state(slow)


def test_an_interrupt_passes() -> None:
    fast, _ = pair(FeatureSet("one", 1, (Field("x", "bool"),)))
    assert fast.record({"x": True})
    fast._own_outbox = lambda: signal.raise_signal(signal.SIGINT)  # type: ignore[assignment, return-value, method-assign]
    with pytest.raises(KeyboardInterrupt):
        any(fast.record({"x": True}) is None for _ in range(256))


def test_the_decorated_method_is_a_method() -> None:
    assert Recorder.record.__name__ == "record"
    assert Recorder.record.__doc__ is not None
    with pytest.raises(TypeError, match="nonsense"):
        pair(WIDE)[0].record({}, nonsense=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="positional"):
        pair(WIDE)[0].record({}, 1)  # type: ignore[misc]


def search(seconds: float) -> None:
    """Run the two laws again, on other examples each time, until the time is over."""
    until, runs = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        test_both_encode_to_the_same_bytes_or_refuse_alike()
        test_both_record_the_same_events_counts_and_refusals()
        runs += 1
    version = sys.version.split()[0]
    print(f"{runs} times both laws, no difference: Python {version}, {hotpath.which()}")  # noqa: T201  # a command


if __name__ == "__main__":
    search(float(sys.argv[1]))
