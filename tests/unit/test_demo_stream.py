"""The demo's service: what it records, in which order, and what it leaves out."""

from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest

from harness.demo.errors import RecordingIncomplete
from harness.demo.flights import FEATURES, build_requests
from harness.demo.stream import Served, Service
from recorders.columns import SCORE_SCHEMA
from recorders.counters import Counters
from replay.model import ModelInfo
from tests.unit.demo_tables import flight, tables

START, NOON, NIGHT = (datetime(2013, 1, 1, hour, tzinfo=UTC) for hour in (0, 12, 23))


class Listener:
    """Stands where the recorder stands and keeps what it is told."""

    def __init__(self, *, arrives: bool = True) -> None:
        self.heard: list[tuple[str, str, datetime]] = []
        self.kept: dict[str, dict[str, Any]] = {}
        self.counters = Counters(accepted=2, sent=1, acked=1, resent=0, rejected={}, dropped={})
        self._arrives = arrives

    def record(self, features: dict[str, object], **known: Any) -> None:
        self.heard.append(("decision", known["decision_id"], known["occurred_at"]))
        self.kept[known["decision_id"]] = {"features": features, **known}

    def outcome(self, decision_id: str, label: str, value: bool, *, occurred_at: datetime) -> None:
        self.heard.append(("outcome", decision_id, occurred_at))
        self.kept[f"{label} {decision_id}"] = {"value": value}

    def flush(self, _timeout_s: float) -> bool:
        return self._arrives


class Half:
    """A model that says one half to everything."""

    info = ModelInfo("half", "1", "0" * 64, "py", "py:half", FEATURES)

    def score(self, columns: pa.RecordBatch) -> pa.RecordBatch:
        rows = columns.num_rows
        return pa.RecordBatch.from_arrays(
            [
                columns.column("decision_position"),
                columns.column("decision_id"),
                pa.array([0.5] * rows, pa.float64()),
                pa.array(["late"] * rows, pa.string()),
                pa.nulls(rows, pa.string()),
            ],
            schema=SCORE_SCHEMA,
        )


def service(listener: Listener, *flights: dict[str, object], since: datetime = START) -> Service:
    return Service(build_requests(tables(*flights)), listener, since=since)  # type: ignore[arg-type]  # a fake


def test_requests_and_arrivals_come_in_the_order_in_which_they_happened() -> None:
    listener = Listener()
    first = flight(flight=1, time_hour="2013-01-01T10:00:00Z", dest="BOS", arr_time=610.0)
    second = flight(flight=2, time_hour="2013-01-01T11:00:00Z", dest="BOS", arr_time=710.0)
    third = flight(flight=3, time_hour="2013-01-01T12:00:00Z", dest="BOS", arr_time=810.0)
    year = service(listener, third, first, second)
    served = year.serve(year.decide(Half(), START, NIGHT), START, NIGHT)
    assert served == Served(3, 3)
    assert [(kind, name[:3]) for kind, name, _ in listener.heard] == [
        ("decision", "UA1"),
        ("decision", "UA2"),
        ("outcome", "UA1"),
        ("decision", "UA3"),
        ("outcome", "UA2"),
        ("outcome", "UA3"),
    ]
    times = [when for _, _, when in listener.heard]
    assert times == sorted(times)


def test_a_cancelled_flight_is_decided_on_and_has_no_outcome() -> None:
    listener = Listener()
    year = service(listener, flight(dep_delay=None, arr_time=None, arr_delay=None))
    assert year.serve(year.decide(Half(), START, NIGHT), START, NIGHT) == Served(1, 0)


def test_a_flight_before_the_service_began_leaves_no_outcome() -> None:
    listener = Listener()
    early = flight(flight=1, time_hour="2013-01-01T11:00:00Z", arr_time=1200.0)
    year = service(listener, early, since=NOON)
    assert year.serve(year.decide(Half(), NOON, NIGHT), NOON, NIGHT) == Served(0, 0)


def test_an_arrival_after_the_cut_waits_for_the_next_stretch() -> None:
    listener = Listener()
    year = service(listener, flight(time_hour="2013-01-01T11:00:00Z", dest="BOS", arr_time=800.0))
    answers = year.decide(Half(), START, NIGHT)
    assert year.serve(answers, START, NOON) == Served(1, 0)
    assert year.serve(answers, NOON, NIGHT) == Served(0, 1)


def test_gaps_are_recorded_as_gaps_and_scores_as_given() -> None:
    listener = Listener()
    year = service(listener, flight(tailnum="N2", time_hour="2013-01-01T11:00:00Z"))
    year.serve(year.decide(Half(), START, NIGHT), START, NIGHT)
    kept = listener.kept["UA1-EWR-2013-01-01"]
    gaps = dict.fromkeys(("pressure", "plane_age", "seats", "recent_delay"), "missing")
    assert kept["statuses"] == gaps
    assert {name for name, value in kept["features"].items() if value is None} == set(gaps)
    assert (kept["score"], kept["decision"]) == (0.5, "late")
    assert type(kept["features"]["hour"]) is int


def test_events_that_do_not_reach_the_log_end_the_demo() -> None:
    year = service(Listener(arrives=False), flight())
    with pytest.raises(RecordingIncomplete, match="accepted 2 events and 1 have reached"):
        year.serve(year.decide(Half(), START, NIGHT), START, NIGHT)
