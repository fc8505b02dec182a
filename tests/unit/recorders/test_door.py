"""The door: what a field accepts, what it refuses, and under which reason."""

import decimal
import enum
import math
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone, tzinfo

import msgspec
import numpy as np
import pandas as pd
import pytest

from recorders import Recorder
from recorders.errors import InvalidEvent
from recorders.values import shown
from tests.support.recording import EVERY, NOON, PLAIN, TWO, MemoryLink, StillRecorder, still

GOOD: dict[str, object] = {
    "float64": 1.5,
    "int64": 3,
    "bool": True,
    "string": "s",
    "category": "c",
    "timestamp": NOON,
    "bytes": b"b",
    "list[float64]": [1.0],
}


class Colour(enum.StrEnum):
    RED = "red"


class Celsius(float):
    pass


class Lying(str):
    __slots__ = ()

    def __str__(self) -> str:
        return "other"


def every(kind: str, value: object) -> dict[str, object]:
    return {field.name: value if field.type == kind else GOOD[field.type] for field in EVERY.fields}


def recorded(kind: str, value: object) -> tuple[object, dict[str, int]]:
    """Return what the log would get for the field of that type, and what was rejected."""
    link = MemoryLink()
    recorder = StillRecorder("p", EVERY, link, model="m", model_version="1")
    accepted = recorder.record(every(kind, value))
    recorder.carry_all()
    counts = dict(recorder.counters.rejected)
    assert (accepted is None) == bool(counts)
    if accepted is None:
        return None, counts
    (event,) = msgspec.msgpack.decode(link.frames[0].payload)
    place = [field.type for field in EVERY.fields].index(kind)
    return event[11 + place], counts


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        ("float64", 7, 7.0),
        ("float64", 2**53, 2.0**53),
        ("float64", Celsius(1.25), 1.25),
        ("float64", np.float64(1.5), 1.5),
        ("float64", np.float32(0.1), float(np.float32(0.1))),
        ("float64", np.int32(4), 4.0),
        ("float64", decimal.Decimal("1.5"), 1.5),
        ("float64", math.inf, math.inf),
        ("float64", None, None),
        ("int64", -(2**63), -(2**63)),
        ("int64", np.int64(2**63 - 1), 2**63 - 1),
        ("int64", np.uint8(200), 200),
        ("bool", np.bool_(True), True),
        ("string", "", ""),
        ("string", Colour.RED, "red"),
        ("string", Lying("mine"), "mine"),
        ("string", np.str_("n"), "n"),
        ("category", "\U0001f6eb", "\U0001f6eb"),
        ("timestamp", datetime(2026, 1, 1, 13, tzinfo=timezone(timedelta(hours=1))), NOON),
        ("timestamp", pd.Timestamp("2026-01-01T12:00:00Z"), NOON),
        ("bytes", bytearray(b"b"), b"b"),
        ("bytes", memoryview(b"b"), b"b"),
        ("list[float64]", (1, 2.5), [1.0, 2.5]),
        ("list[float64]", np.arange(2.0), [0.0, 1.0]),
        ("list[float64]", [], []),
    ],
)
def test_what_can_be_made_plain_is_accepted(kind: str, value: object, kept: object) -> None:
    found, counts = recorded(kind, value)
    assert counts == {}
    assert found == kept
    assert type(found) is type(kept)


def test_nan_is_a_value_and_not_none() -> None:
    found, _ = recorded("float64", math.nan)
    assert isinstance(found, float)
    assert math.isnan(found)


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        ("float64", True, "type"),
        ("float64", "1.5", "type"),
        ("float64", 1 + 2j, "type"),
        ("float64", decimal.Decimal("0.1"), "range"),
        ("float64", decimal.Decimal("NaN"), "range"),
        ("float64", decimal.Decimal("sNaN"), "range"),
        ("float64", decimal.Decimal("1e999"), "range"),
        ("float64", np.bool_(True), "type"),
        ("float64", 2**53 + 1, "range"),
        ("float64", 2**1024 - 1, "range"),
        ("float64", 10**400, "range"),
        ("int64", True, "type"),
        ("int64", 1.0, "type"),
        ("int64", "1", "type"),
        ("int64", 2**63, "range"),
        ("int64", -(2**63) - 1, "range"),
        ("int64", 2**64, "range"),
        pytest.param("int64", 10**5000, "range", id="int64-too-long-to-print"),
        ("bool", 1, "type"),
        ("bool", "true", "type"),
        ("string", b"s", "type"),
        ("string", 7, "type"),
        pytest.param("string", "\ud800", "text", id="half a surrogate pair"),
        pytest.param("string", "s" * 65_537, "size", id="long string"),
        ("category", 7, "type"),
        ("timestamp", datetime(2026, 1, 1), "naive"),  # noqa: DTZ001  # what is tested
        ("timestamp", NOON.isoformat(), "type"),
        ("timestamp", NOON.date(), "type"),
        ("timestamp", 1_700_000_000, "type"),
        ("timestamp", datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), "range"),
        ("bytes", "Yg==", "type"),
        pytest.param("bytes", bytes(65_537), "size", id="long bytes"),
        ("list[float64]", [1.0, None], "type"),
        ("list[float64]", [True], "type"),
        ("list[float64]", {1.0}, "type"),
        ("list[float64]", (x for x in (1.0,)), "type"),
        ("list[float64]", [[1.0]], "type"),
        ("list[float64]", "12", "type"),
        ("list[float64]", [0.0] * 16_385, "size"),
        ("list[float64]", [2**53 + 1], "range"),
    ],
)
def test_what_cannot_is_refused_with_its_reason(kind: str, value: object, reason: str) -> None:
    _, counts = recorded(kind, value)
    assert counts == {reason: 1}


@pytest.mark.parametrize("name", ["shop\nfraud", "shop\x1b[2J", "shop\u2028fraud", "a\0b"])
def test_a_decision_point_is_shown_in_one_line(name: str) -> None:
    with pytest.raises(InvalidEvent, match="no control character"):
        StillRecorder(name, EVERY, MemoryLink(), model="m", model_version="1")


class Elsewhere(tzinfo):
    def __repr__(self) -> str:
        raise AssertionError("a stranger's code was run to show a value")

    def utcoffset(self, _when: datetime | None) -> timedelta:
        raise AssertionError("a stranger's code was run to show a value")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (datetime(2026, 1, 1), "2026-01-01T00:00:00 (datetime)"),  # noqa: DTZ001  # what is tested
        (NOON, f"{NOON.replace(tzinfo=None).isoformat()} in UTC (datetime)"),
        (datetime(2026, 1, 1, tzinfo=Elsewhere()), "2026-01-01T00:00:00 in Elsewhere (datetime)"),
    ],
)
def test_a_time_is_told_as_people_write_it(value: datetime, told: str) -> None:
    assert shown(value) == told


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        ({"decision_id": ""}, "type"),
        ({"decision_id": 7}, "type"),
        ({"decision_id": "d" * 257}, "size"),
        ({"occurred_at": datetime(2026, 1, 1)}, "naive"),  # noqa: DTZ001  # what is tested
        ({"occurred_at": 5}, "type"),
        ({"unit": 7}, "type"),
        ({"score": "0.5"}, "type"),
        ({"decision": True}, "type"),
        ({"propensity": 0.0}, "range"),
        ({"propensity": 1.5}, "range"),
        ({"propensity": math.nan}, "range"),
        ({"inclusion": None}, "type"),
        ({"inclusion": 0}, "range"),
        ({"latency_us": -1}, "range"),
        ({"latency_us": 1.5}, "type"),
        ({"statuses": {"agee": "stale"}}, "status"),
        ({"statuses": {"age": "old"}}, "status"),
        ({"statuses": ["age"]}, "status"),
    ],
)
def test_the_envelope_is_checked_like_the_features(known: dict[str, object], reason: str) -> None:
    recorder = still(MemoryLink())
    assert recorder.record(PLAIN, **known) is None  # type: ignore[arg-type]
    assert recorder.counters.rejected == {reason: 1}
    assert recorder.counters.accepted == 0


def event_of(features: dict[str, object], **known: object) -> list[object]:
    link = MemoryLink()
    recorder = still(link)
    assert recorder.record(features, **known)  # type: ignore[arg-type]
    recorder.carry_all()
    (event,) = msgspec.msgpack.decode(link.frames[0].payload)
    return list(event)


def test_an_absent_field_is_none_with_status_missing_and_none_is_just_none() -> None:
    assert event_of({"age": 41})[-3:] == [41, None, [["amount", "missing"]]]
    assert event_of({"age": 41, "amount": None})[-3:] == [41, None, None]


def test_statuses_are_sparse_and_missing_wins_over_what_was_said() -> None:
    assert event_of(PLAIN, statuses={"age": "stale"})[-1] == [["age", "stale"]]
    assert event_of({"age": 1}, statuses={"age": "default", "amount": "stale"})[-1] == [
        ["age", "default"],
        ["amount", "missing"],
    ]


def test_an_undeclared_field_refuses_the_event_and_leaves_a_sample() -> None:
    recorder = still(MemoryLink())
    assert recorder.record({**PLAIN, "agee": 1}) is None
    assert recorder.record({"age": 1, "agee": 1}) is None
    assert recorder.counters.rejected == {"undeclared": 2}
    assert "'agee'" in recorder.samples["undeclared"]
    assert "two:1" in recorder.samples["undeclared"]


@pytest.mark.parametrize(
    ("value", "kept"), [(True, 1.0), (False, 0.0), (3, 3.0), (2.5, 2.5), (np.bool_(True), 1.0), (None, None)]
)
def test_outcomes_are_numbers_or_withdrawn(value: object, kept: object) -> None:
    link = MemoryLink()
    recorder = still(link)
    assert recorder.outcome("d", "late", value, occurred_at=NOON)  # type: ignore[arg-type]
    recorder.carry_all()
    at = int(NOON.astimezone(UTC).timestamp() * 1e6)
    assert msgspec.msgpack.decode(link.frames[0].payload) == [["d", "late", kept, at]]


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", [1], 2**53 + 1])
def test_an_outcome_that_is_no_finite_number_is_refused(value: object) -> None:
    recorder = still(MemoryLink())
    assert recorder.outcome("d", "late", value) is False  # type: ignore[arg-type]
    assert recorder.outcome("", "late", 1) is False
    assert recorder.outcome("d", "", 1) is False
    assert sum(recorder.counters.rejected.values()) == 3


@pytest.mark.parametrize(
    "instant",
    [
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=14))),
    ],
)
def test_an_instant_that_its_zone_takes_out_of_the_calendar_costs_its_event_alone(instant: datetime) -> None:
    link = MemoryLink()
    recorder = still(link)
    assert recorder.record(PLAIN, occurred_at=instant) is None
    assert not recorder.outcome("d", "late", 1.0, occurred_at=instant)
    assert recorder.record(PLAIN, occurred_at=NOON) is not None
    assert recorder.counters.rejected == {"range": 2}


@pytest.mark.parametrize("point", ["x" * 201, "é" * 101, "a\0b", ""])
def test_a_decision_point_that_the_log_would_refuse_is_refused_at_once(point: str) -> None:
    with pytest.raises(InvalidEvent, match="decision_point"):
        Recorder(point, TWO, MemoryLink(), model="m", model_version="1")


def test_a_mapping_that_makes_up_values_is_read_for_what_it_holds() -> None:
    link = MemoryLink()
    recorder = still(link)
    made_up = defaultdict(int, {"age": 3, "county": 2})
    assert recorder.record(made_up) is None
    assert made_up == {"age": 3, "county": 2}
    assert recorder.counters.rejected == {"undeclared": 1}
    assert recorder.record(defaultdict(float, {"age": 3})) is not None


def test_the_snapshot_of_any_mapping_is_taken_on_entry() -> None:
    recorder = still(MemoryLink())
    seen: list[object] = []
    recorder.record = lambda features, **_known: seen.append(features)  # type: ignore[method-assign]
    features = OrderedDict(PLAIN)
    with recorder.decision(features):
        features["age"] = 99
    assert seen == [PLAIN]


def test_a_mapping_that_raises_our_own_error_is_counted_and_not_raised() -> None:
    class Odd(dict[str, object]):
        def __len__(self) -> int:
            raise InvalidEvent("foo", "a", "b", "c")

        def __iter__(self) -> Iterator[str]:
            raise InvalidEvent("foo", "a", "b", "c")

    recorder = still(MemoryLink())
    assert recorder.record(Odd(PLAIN)) is None
    assert recorder.counters.rejected == {"exception": 1}
